import SecureChannel
import Wire

/// What is counted while a simulation runs.
struct Measures {
  var blocks: Spreads
  var transactions: Spreads
  /// When each transaction that has no answer yet was submitted last.
  private var submittedAt: [Hash256: Instant] = [:]
  var samples: [Sample] = []
  var faults: [FaultSpan] = []
  var bans: [Ban] = []
  var banCount = 0
  /// Links that ended, by reason.
  var closes: [String: Int] = [:]
  /// Links that were refused when they arrived, by reason.
  var refusals: [String: Int] = [:]
  /// Dials that failed, by what went wrong.
  var dialFailures: [String: Int] = [:]
  var offences: [String: Int] = [:]
  var reorganisations = 0
  var deepestReorganisation = 0
  var traffic = Traffic()

  struct Ban {
    let time: Instant
    let by: Int
    let of: String
    let reason: String
  }

  struct FaultSpan {
    let name: String
    let from: Instant
    let until: Instant
  }

  struct Sample {
    let time: Instant
    let up: Int
    let lowest: UInt64
    let median: UInt64
    let highest: UInt64
    let links: Int
    let isolated: Int
    let bytes: UInt64
  }

  /// The most bans and spans of faults that are kept one by one.
  private static let listMaximum = 1_000

  /// - Parameter window: what is born in this time counts for propagation.
  init(window: ClosedRange<Instant>) {
    blocks = Spreads(window: window)
    transactions = Spreads(window: window)
  }

  mutating func submitted(_ id: Hash256, at time: Instant) { submittedAt[id] = time }

  /// When a transaction that a node has accepted was given to it.
  mutating func submission(of id: Hash256) -> Instant? { submittedAt.removeValue(forKey: id) }

  mutating func banned(_ ban: Ban) {
    banCount += 1
    if bans.count < Measures.listMaximum { bans.append(ban) }
  }

  mutating func began(_ fault: FaultSpan) { if faults.count < Measures.listMaximum { faults.append(fault) } }
}

/// What nodes sent, by the protocol of its stream.
struct Traffic {
  /// A protocol's place in the table.
  struct Slot: Hashable { fileprivate let index: Int }

  private(set) var rows: [(name: ProtocolID, messages: UInt64, bytes: UInt64)] = []
  private var slots: [ProtocolID: Slot] = [:]

  mutating func slot(of name: ProtocolID) -> Slot {
    if let slot = slots[name] { return slot }
    let slot = Slot(index: rows.count)
    slots[name] = slot
    rows.append((name, 0, 0))
    return slot
  }

  mutating func sent(_ slot: Slot, bytes: Int) {
    rows[slot.index].messages += 1
    rows[slot.index].bytes += UInt64(bytes)
  }
}
