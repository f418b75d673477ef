import Crypto
import EventLoop
import Foundation
import HTTPAPI
import Identity
import Ledger
import Threads
import Wire

/// Signs transactions of several accounts and sends them to changing nodes, at a steady rate, on a thread of its own.
///
/// A transaction whose answer is lost is sent again, unchanged, to the next node until one takes it: it has the same hash, so no
/// harm is done when the first node had taken it already.
final class TransactionStream: @unchecked Sendable {
  /// What has become of the transactions so far.
  struct Report {
    /// Hashes in hex with the number of the node that took each, in order.
    var accepted: [(hash: String, node: Int)] = []
    /// Answers that were lost or nodes that were down, each made good by another node.
    var retries = 0
    /// Why nodes refused, with counts.
    var refusals: [String: Int] = [:]
  }

  private struct Account {
    let key: NodeKey
    var nonce: UInt64 = 0
    /// Data keys that it has: deleting another one would never get into a block and would hold up all that follow.
    var keys: [[UInt8]] = []
    /// Signed and not yet known to be accepted.
    var pending: [UInt8]?
  }

  private let nodes: [LocalNode]
  private let targets: [NodeAPI]
  private let chain: Hash256
  private let receivers: [Address]
  private let interval: Duration
  private let crypto = SystemCrypto.shared
  private var accounts: [Account]
  private var random: SeededGenerator

  private let lock = Lock()
  private var report = Report()
  private var isStopping = false
  private let ended = DispatchSemaphore(value: 0)

  /// Makes a stream to the given nodes.
  init(_ network: LocalNetwork, nodes: [LocalNode], perSecond: Int, seed: UInt64) throws {
    self.nodes = nodes
    targets = nodes.map(\.api)
    chain = network.chain
    receivers = network.addresses
    interval = .nanoseconds(1_000_000_000 / Int64(max(1, perSecond)))
    accounts = network.accounts.map { Account(key: $0) }
    random = SeededGenerator(seed: seed)
  }

  /// Starts sending.
  func start() {
    Thread.detachNewThread { [self] in
      run()
      ended.signal()
    }
  }

  /// Sends no more, and returns when every transaction that was begun is accepted or refused.
  func stop() {
    lock.withLock { isStopping = true }
    ended.wait()
    ended.signal()
  }

  /// The report of this moment.
  var current: Report { lock.withLock { report } }

  private func run() {
    var next = Platform.now
    var turn = 0
    while !lock.withLock({ isStopping }) {
      send(turn % accounts.count)
      turn += 1
      next += interval
      let now = Platform.now
      // After a standstill the lost time is not made good by a burst.
      if next < now - .seconds(1) { next = now }
      if next > now { usleep(UInt32((next - now).nanoseconds / 1_000)) }
    }
    let deadline = Platform.now + .seconds(10)
    for index in accounts.indices {
      while accounts[index].pending != nil && Platform.now < deadline {
        send(index)
        if accounts[index].pending != nil { usleep(100_000) }
      }
    }
  }

  private func send(_ index: Int) {
    let bytes = accounts[index].pending ?? makeTransaction(index)
    accounts[index].pending = bytes
    let first = random.index(below: targets.count)
    for offset in targets.indices {
      let target = (first + offset) % targets.count
      do throws(HTTPClientError) {
        let hash = try targets[target].submit(bytes).transactionHash
        accounts[index].nonce += 1
        accounts[index].pending = nil
        lock.withLock { report.accepted.append((hash, nodes[target].number)) }
        return
      } catch {
        lock.withLock {
          // 503: the node is catching up or full.
          if error.code == .refused && error.status != 503 { report.refusals[error.message, default: 0] += 1 } else { report.retries += 1 }
        }
      }
    }
  }

  private func makeTransaction(_ index: Int) -> [UInt8] {
    let payload: Transaction.Payload
    switch random.index(below: 6) {
    case 0 where !accounts[index].keys.isEmpty: payload = .deleteData(key: accounts[index].keys.removeFirst())
    case 1:
      let key = Array("key-\(accounts[index].nonce)".utf8)
      accounts[index].keys.append(key)
      payload = .setData(key: key, value: random.bytes(32))
    default: payload = .transfer(to: receivers[random.index(below: receivers.count)], amount: Amount(1 + random.next() % 100))
    }
    let account = accounts[index]
    let fee = GenesisConfiguration.Limits().sufficientFee(for: payload)
    return Transaction(chain: chain, nonce: account.nonce, fee: fee, payload: payload, key: account.key, crypto: crypto).encoded
  }
}
