import Crypto
import EventLoop
import Foundation
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

  /// Reads the peer book; nothing is changed, except that a torn end is cut off.
  ///
  /// - Throws: a ``Failure`` when there is no book, or a `StoreError` when a node uses it or it is damaged.
  public init(dataDirectory: String) throws {
    let path = NodeConfiguration.bookFile(in: dataDirectory)
    guard FileManager.default.fileExists(atPath: path) else {
      throw Failure(description: "\(dataDirectory) does not hold the peer book of a node; name a node's data folder")
    }
    let rows = try BookFile.rows(try JournalStore(path: path))
    // Only a machine of the same name would pass its own rows over, and a node writes none of itself.
    let name = NodeKey(seed: [UInt8](repeating: 0, count: 32), crypto: SystemCrypto.shared).peerID
    let now = Platform.now
    peering = PeeringMachine(localPeer: name, book: rows, clock: WallClock(now: now, wall: Platform.wallTime), seed: 0, now: now)
  }
}
