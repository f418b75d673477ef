import HostCore
import Identity
import Ledger
import Sync
import Wire

/// Peers' requests for blocks and transactions, whose cost the peers choose. They stand in line, each peer in its own: one request of a peer is
/// read at a time, when most of what it was answered before has left, and when it can afford it by what its reads have cost.
///
/// Waiting is nobody's offence, since only this side knows the cost. ``HostCore`` bounds how many requests of a link wait, and for how long.
struct Serving {
  /// What one peer may cost.
  struct Limits: Sendable {
    /// What reads may cost in the long run, in bytes a second, each look-up counting as ``lookUpBytes``. Default 32 MiB: more than a chain
    /// can execute, and a few per cent of a core.
    var bytesPerSecond = 32.0 * 1_048_576
    /// The same at once. Default 64 MiB: eight answers of the largest size.
    var burstBytes = 64.0 * 1_048_576
    /// What a look-up counts as. Default 2 KiB: about a microsecond, in which so much is copied.
    var lookUpBytes = 2_048
    /// Bytes of answers that may still have to leave when the next request is read. Default 4 MiB, so that a link with long answers never idles
    /// and its queue of 16 MiB has room for the next.
    var unsentBytes = 4 << 20
    /// Peers whose costs are remembered. Default 1,024.
    var accountsMaximum = 1_024
  }

  /// A request that waits to be read.
  struct Item {
    let stream: StreamRef
    let wish: PeerWish
  }

  private struct Line {
    var waiting: [Item] = []
    var isReading = false
  }

  private let limits: Limits
  private var lines: [PeerID: Line] = [:]
  /// What each peer may still cost. They outlive links, so that coming back earns nothing.
  private var accounts: TokenBuckets<PeerID>
  /// When a peer that waits for nothing else can afford its next request.
  private var releases = DeadlineQueue<PeerID>()

  init(_ limits: Limits) {
    self.limits = limits
    accounts = TokenBuckets(rate: limits.bytesPerSecond, burst: limits.burstBytes, maximum: limits.accountsMaximum)
  }

  /// When ``popReady(_:)`` has somebody.
  var deadline: Instant { releases.next ?? .distantFuture }

  /// A peer that can afford its next request now; its turn is ``next(of:unsent:now:isWanted:)``.
  mutating func popReady(_ now: Instant) -> PeerID? { releases.popExpired(now) }

  /// Puts a request in its peer's line. `isWanted` tells whether anybody still waits for an answer on a stream.
  mutating func add(_ item: Item, of peer: PeerID, isWanted: (StreamRef) -> Bool) {
    var line = lines[peer] ?? Line()
    // Those that were given up meanwhile go, before there are more of them than of those that wait.
    if line.waiting.count >= Self.sweepCount { line.waiting.removeAll { !isWanted($0.stream) } }
    line.waiting.append(item)
    lines[peer] = line
  }

  /// The request of a peer to read now, if its turn has come.
  mutating func next(of peer: PeerID, unsent: Int, now: Instant, isWanted: (StreamRef) -> Bool) -> Item? {
    releases.remove(peer)
    guard var line = lines[peer], !line.isReading, unsent <= limits.unsentBytes else { return nil }
    line.waiting.removeAll { !isWanted($0.stream) }
    guard let item = line.waiting.first else {
      lines[peer] = nil
      return nil
    }
    let ready = accounts.ready(peer, now: now)
    if ready > now {
      releases.set(peer, ready)
      lines[peer] = line
      return nil
    }
    line.waiting.removeFirst()
    line.isReading = true
    lines[peer] = line
    return item
  }

  /// A request of a peer was read, or will never be.
  mutating func done(_ peer: PeerID, _ cost: ReadCost, now: Instant) {
    lines[peer]?.isReading = false
    accounts.spend(peer, Double(cost.bytes + cost.lookUps * limits.lookUpBytes), now: now)
  }

  /// How many requests of a peer wait. For checks.
  func waitingCount(of peer: PeerID) -> Int { lines[peer]?.waiting.count ?? 0 }

  /// A peer has gone: nobody waits for its answers.
  mutating func left(_ peer: PeerID) {
    lines[peer]?.waiting = []
    if lines[peer]?.isReading == false { lines[peer] = nil }
    releases.remove(peer)
  }

  private static let sweepCount = 64
}

/// What a peer asks for.
enum PeerWish {
  case blocks(BlocksRequest)
  case transactions([Hash256])
}
