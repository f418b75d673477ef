import Crypto
import EventLoop
import Foundation
import Identity
import Ledger
import Node
import Store
import Wire

/// Opens the store and the peer book that a killed node left, before any peer can mend it.
enum StoreInspection {
  /// Verifies a store.
  ///
  /// - Parameters:
  ///   - shown: the height that the node had told of: its store must reach it.
  ///   - accepted: hashes of transactions that the node had accepted: each must be pending or confirmed there.
  /// - Returns: the height of the store.
  /// - Throws: ``Failure`` that says what is wrong.
  static func run(_ node: LocalNode, _ network: LocalNetwork, shown: UInt64, accepted: [String]) throws -> UInt64 {
    let crypto = SystemCrypto.shared
    let genesis = network.genesis
    var settings = LMDBStore.Configuration()
    settings.mapBytes = 1 << 30
    let now = Platform.now
    // Opening compares the state with the head's state root.
    let chain = try Chain.open(
      genesis: genesis, ledger: AccountLedger(genesis: genesis, crypto: crypto), consensus: ProofOfAuthority(genesis: genesis),
      store: LMDBStore(dataDirectory: node.directory + "/data", configuration: settings), crypto: crypto,
      clock: WallClock(now: now, wall: Platform.wallTime), now: now)
    let height = chain.head.height
    guard height >= shown else { throw Failure("its store has height \(height), and it had shown \(shown)") }
    var parent = chain.genesis
    var seen: Set<Hash256> = []
    for number in stride(from: UInt64(1), through: height, by: 1) {
      guard let block = try chain.block(at: number), block.header.parent == parent else {
        throw Failure("block \(number) is absent or not linked to the one below")
      }
      parent = block.hash(crypto: crypto)
      for id in block.transactionIDs(crypto: crypto) where !seen.insert(id).inserted {
        throw Failure("transaction \(id) is in its chain twice")
      }
    }
    _ = try StoppedNode(dataDirectory: node.directory + "/data")
    guard parent == chain.head.hash else { throw Failure("its last block is not its head") }
    for text in accepted {
      guard let hash = Hash256(hex: text), try chain.transaction(hash) != nil else {
        throw Failure("it accepted transaction \(text), and its store does not hold it")
      }
    }
    return height
  }
}
