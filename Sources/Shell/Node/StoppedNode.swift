import Crypto
import EventLoop
import Foundation
import HostCore
import Identity
import Peering
import Store
import Wire

/// The data folder of a node that does not run, opened to look at its peers.
public struct StoppedNode {
  /// Why a folder cannot be looked into.
  public struct Failure: Error, Sendable, CustomStringConvertible {
    /// What is wrong, with the folder's name.
    public let description: String
  }

  /// The node's peers as it would know them at its next start.
  public let peering: PeeringMachine

  /// Reads the peer book; nothing is changed.
  ///
  /// - Throws: a ``Failure`` when there is no store, or a ``StoreError`` when a node uses it.
  public init(dataDirectory: String) throws {
    guard FileManager.default.fileExists(atPath: dataDirectory + "/store") else {
      throw Failure(description: "\(dataDirectory) holds no node's store")
    }
    let store = try LMDBStore(dataDirectory: dataDirectory)
    let rows = try store.scan(HostCore.bookTable, from: [], limit: 100_000)
    // Only a machine of the same name would pass its own rows over, and a node writes none of itself.
    let name = NodeKey(seed: [UInt8](repeating: 0, count: 32), crypto: SystemCrypto.shared).peerID
    let now = Platform.now
    peering = PeeringMachine(localPeer: name, book: rows, clock: WallClock(now: now, wall: Platform.wallTime), seed: 0, now: now)
  }
}
