import Wire

/// Why the mempool does not take a transaction that is otherwise good.
public enum MempoolError: Error, Hashable, Sendable, CustomStringConvertible {
  /// It is there already.
  case known
  /// The pool is full and this fee does not push anything out; a higher one than `fee` might.
  case full(fee: Amount)
  /// The sender has as many pending transactions as it may.
  case senderFull(limit: Int)
  /// The nonce lies too far ahead of the account's.
  case nonceTooFar(nonce: UInt64, limit: UInt64)
  /// Another transaction holds the nonce; replacing it needs at least `needed`.
  case underpriced(fee: Amount, needed: Amount)
  /// The sender's pending transactions would cost more together than it owns.
  case overspent(cost: Amount, spendable: Amount)
  /// An earlier nonce is missing, and transactions like that have as much of the pool as they may; the one of `missing` would be taken.
  case gapsFull(missing: UInt64)

  /// In words, with the number to keep to.
  public var description: String {
    switch self {
    case .known: "transaction is pending already"
    case .full(let fee): "mempool is full; the fee must be above \(fee)"
    case .senderFull(let limit): "sender has \(limit) pending transactions, the limit"
    case .nonceTooFar(let nonce, let limit): "nonce \(nonce) is too far ahead; at most \(limit) is taken now"
    case .underpriced(let fee, let needed): "fee \(fee) does not replace the pending transaction of this nonce; \(needed) would"
    case .overspent(let cost, let spendable): "the sender's pending transactions would cost \(cost) together; it owns \(spendable)"
    case .gapsFull(let missing): "the mempool takes no more transactions ahead of their turn; send nonce \(missing) first"
    }
  }
}

/// Verified transactions that wait for a block: bounded, in nonce order for each sender, by fee between senders.
///
/// When full, the cheapest last transaction of any sender makes room for one with a higher fee; evicting last ones leaves no gaps.
/// What a sender's transactions cost together may not exceed what it owns, and those behind a gap in the nonces, which no block can
/// take, have a share of the pool: filling it costs an attacker what using it costs everybody.
public struct Mempool: Sendable {
  /// Bounds.
  public struct Configuration: Hashable, Sendable {
    /// Transactions in all; 10,000 by default.
    public var transactions = 10_000
    /// Bytes of transactions in all; 32 MiB by default, with overhead about twice that in memory.
    public var bytes = 32 << 20
    /// Transactions of one sender, and how far a nonce may lie ahead; 64 by default, so that one account cannot fill the pool.
    public var transactionsPerSender = 64
    /// Transactions of all senders behind a gap in their nonces; 1,000 by default, so that those that can be executed have most of the pool.
    public var transactionsBehindGaps = 1_000
    /// By how many percent a fee must rise to replace a pending transaction; 10 by default, so that replacing isn't a free flood.
    public var replacementPercent: UInt64 = 10
    /// How long a transaction waits; one hour by default.
    public var lifetime: Duration = .seconds(3600)

    /// The defaults.
    public init() {}
  }

  private struct Entry: Sendable {
    let info: TransactionInfo
    let sequence: UInt64
    let expires: Instant
  }

  /// A sender's last transaction; the cheapest, of equals the newest, comes first.
  private struct Tail: Comparable, Sendable {
    let fee: Amount
    let sequence: UInt64
    let id: Hash256

    static func < (left: Tail, right: Tail) -> Bool { left.fee != right.fee ? left.fee < right.fee : left.sequence > right.sequence }
  }

  /// A sender's next transaction; the dearest, of equals the oldest, comes first.
  private struct Front: Comparable, Sendable {
    let fee: Amount
    let sequence: UInt64
    let sender: Address
    let position: Int

    static func < (left: Front, right: Front) -> Bool { left.fee != right.fee ? left.fee > right.fee : left.sequence < right.sequence }
  }

  private struct Queue: Sendable {
    /// Ids in ascending order of nonces.
    var ids: [Hash256] = []
    /// The account's next nonce, as the pool was last told.
    var next: UInt64
    /// How many stand behind a gap.
    var behindGap = 0
  }

  private let configuration: Configuration
  private var entries: [Hash256: Entry] = [:]
  private var senders: [Address: Queue] = [:]
  /// Transactions behind gaps, of all senders.
  private var behindGaps = 0
  /// May hold outdated tails, which are passed over.
  private var tails = Heap<Tail>()
  /// In the order of arrival, which is that of expiry; may hold ids that have left.
  private var arrivals: [(id: Hash256, sequence: UInt64)] = []
  private var firstArrival = 0
  private var sequence: UInt64 = 0

  /// The sum of the transactions' bytes.
  public private(set) var bytes = 0

  /// Makes an empty pool.
  public init(_ configuration: Configuration = Configuration()) { self.configuration = configuration }

  /// The number of transactions.
  public var count: Int { entries.count }

  /// A pending transaction.
  public subscript(id: Hash256) -> TransactionInfo? { entries[id]?.info }

  /// All pending transactions in the order of arrival. O(n).
  public var transactions: [TransactionInfo] { entries.values.sorted { $0.sequence < $1.sequence }.map(\.info) }

  /// The oldest pending transactions, in the order of arrival. O(`maximum`), and at worst O(n).
  public func oldest(_ maximum: Int) -> [TransactionInfo] {
    var result: [TransactionInfo] = []
    for arrival in arrivals[min(firstArrival, arrivals.count)...] {
      guard result.count < maximum else { break }
      if let entry = entries[arrival.id], entry.sequence == arrival.sequence { result.append(entry.info) }
    }
    return result
  }

  /// A sender's pending transactions in nonce order.
  public func transactions(of sender: Address) -> [TransactionInfo] { (senders[sender]?.ids ?? []).compactMap { entries[$0]?.info } }

  /// The nonce that a wallet should use next: behind the sender's unbroken pending ones. O(pending of the sender).
  public func nextNonce(of sender: Address, confirmed: UInt64) -> UInt64 {
    var next = confirmed
    for info in transactions(of: sender) where info.nonce == next { next += 1 }
    return next
  }

  /// Whether ``insert(_:nextNonce:spendable:now:isReturning:)`` would take the transaction, as far as can be said without changing
  /// anything. O(pending of the sender).
  public func check(_ info: TransactionInfo, nextNonce: UInt64, spendable: Amount) throws(MempoolError) {
    guard entries[info.id] == nil else { throw .known }
    let (limit, overflow) = nextNonce.addingReportingOverflow(UInt64(configuration.transactionsPerSender))
    guard overflow || info.nonce < limit else { throw .nonceTooFar(nonce: info.nonce, limit: limit - 1) }
    if let other = holder(of: info.nonce, info.sender) {
      let needed = replacementFee(other.fee)
      guard info.fee >= needed else { throw .underpriced(fee: info.fee, needed: needed) }
    } else if let pending = senders[info.sender], pending.ids.count >= configuration.transactionsPerSender {
      throw .senderFull(limit: configuration.transactionsPerSender)
    }
    let pending = transactions(of: info.sender).filter { $0.nonce >= nextNonce && $0.nonce != info.nonce }
    let cost = pending.reduce(info.cost) { $0.adding($1.cost) ?? Amount(.max) }
    guard cost <= spendable else { throw .overspent(cost: cost, spendable: spendable) }
    var missing = nextNonce
    for other in pending where other.nonce == missing { missing += 1 }
    guard info.nonce <= missing || behindGaps < configuration.transactionsBehindGaps else { throw .gapsFull(missing: missing) }
  }

  /// Takes a verified transaction and returns the ids of those that made room. O(pending of the sender + log n).
  ///
  /// - Parameters:
  ///   - nextNonce: the sender's next nonce in the head's state.
  ///   - spendable: what the sender's pending transactions may cost together.
  ///   - isReturning: it was accepted before, and comes back from the store or from a block that was undone. The sender's own
  ///     limits do not apply again: they were kept when it was accepted.
  @discardableResult
  public mutating func insert(
    _ info: TransactionInfo, nextNonce: UInt64, spendable: Amount, now: Instant, isReturning: Bool = false
  ) throws(MempoolError) -> [Hash256] {
    do throws(MempoolError) { try check(info, nextNonce: nextNonce, spendable: spendable) } catch {
      switch error {
      case .nonceTooFar where isReturning, .senderFull where isReturning, .overspent where isReturning, .gapsFull where isReturning: break
      default: throw error
      }
    }
    let replaced = holder(of: info.nonce, info.sender)
    var removed = try makeRoom(for: info, replacing: replaced)
    if let replaced {
      remove(replaced.id)
      removed.append(replaced.id)
    }
    sequence += 1
    entries[info.id] = Entry(info: info, sequence: sequence, expires: now + configuration.lifetime)
    bytes += info.bytes.count
    var queue = senders[info.sender] ?? Queue(next: nextNonce)
    let position = queue.ids.firstIndex { (entries[$0]?.info.nonce ?? 0) > info.nonce } ?? queue.ids.count
    queue.ids.insert(info.id, at: position)
    queue.next = nextNonce
    let isLast = position == queue.ids.count - 1
    set(queue, of: info.sender)
    if isLast { pushTail(info.sender) }
    arrivals.append((info.id, sequence))
    compact()
    return removed
  }

  /// Removes a transaction; nothing happens if it is absent.
  public mutating func remove(_ id: Hash256) {
    take(id)
    compact()
  }

  private mutating func take(_ id: Hash256) {
    guard let entry = entries.removeValue(forKey: id) else { return }
    bytes -= entry.info.bytes.count
    let sender = entry.info.sender
    guard var queue = senders[sender], let position = queue.ids.firstIndex(of: id) else { return }
    queue.ids.remove(at: position)
    let isEmpty = queue.ids.isEmpty
    let wasLast = position == queue.ids.count
    set(queue, of: sender)
    if isEmpty { compactTails() } else if wasLast { pushTail(sender) }
  }

  /// Stores a sender's queue and counts what stands behind a gap in it.
  private mutating func set(_ queue: Queue, of sender: Address) {
    var queue = queue
    behindGaps -= senders[sender]?.behindGap ?? 0
    queue.behindGap = countBehindGap(queue)
    behindGaps += queue.behindGap
    senders[sender] = queue.ids.isEmpty ? nil : queue
  }

  private func countBehindGap(_ queue: Queue) -> Int {
    var next = queue.next
    for (position, id) in queue.ids.enumerated() {
      guard let nonce = entries[id]?.info.nonce, nonce <= next else { return queue.ids.count - position }
      if nonce == next { next += 1 }
    }
    return 0
  }

  /// Drops a sender's transactions that a new head has outdated: nonces below `nextNonce`, those that `isPossible` denies, and from the
  /// first on that the sender cannot pay beside the earlier ones. Returns their ids. O(pending of the sender).
  public mutating func settle(
    _ sender: Address, nextNonce: UInt64, spendable: Amount, isPossible: (TransactionInfo) -> Bool
  ) -> [Hash256] {
    var outdated: [Hash256] = []
    var rest: Amount? = spendable
    for info in transactions(of: sender) {
      guard info.nonce >= nextNonce, isPossible(info) else {
        outdated.append(info.id)
        continue
      }
      rest = rest?.subtracting(info.cost)
      if rest == nil { outdated.append(info.id) }
    }
    for id in outdated { remove(id) }
    if var queue = senders[sender] {
      queue.next = nextNonce
      set(queue, of: sender)
    }
    return outdated
  }

  /// Drops what has waited too long and returns the ids.
  public mutating func expire(now: Instant) -> [Hash256] {
    var expired: [Hash256] = []
    while firstArrival < arrivals.count {
      let arrival = arrivals[firstArrival]
      if let entry = entries[arrival.id], entry.sequence == arrival.sequence {
        if entry.expires > now { break }
        take(arrival.id)
        expired.append(arrival.id)
      }
      firstArrival += 1
    }
    compact()
    return expired
  }

  /// When ``expire(now:)`` has something to do next; never later than needed.
  public var nextExpiry: Instant? {
    var index = firstArrival
    while index < arrivals.count {
      if let entry = entries[arrivals[index].id], entry.sequence == arrivals[index].sequence { return entry.expires }
      index += 1
    }
    return nil
  }

  /// The best transactions for a block: by fee, each sender's in unbroken nonce order. O(senders + selected · log senders).
  /// - Parameter nextNonce: an account's next nonce in the state on which the block is built.
  public func select(maximumCount: Int, maximumBytes: Int, nextNonce: (Address) -> UInt64) -> [TransactionInfo] {
    var fronts: [Front] = []
    var next: [Address: UInt64] = [:]
    for (sender, queue) in senders {
      guard let id = queue.ids.first, let entry = entries[id], entry.info.nonce == nextNonce(sender) else { continue }
      fronts.append(Front(fee: entry.info.fee, sequence: entry.sequence, sender: sender, position: 0))
      next[sender] = entry.info.nonce
    }
    var heap = Heap(fronts)
    var selected: [TransactionInfo] = []
    var used = 0
    while selected.count < maximumCount, let front = heap.pop() {
      guard let queue = senders[front.sender]?.ids, let entry = entries[queue[front.position]] else { continue }
      // Tag and length of the block's repeated field. A sender whose next does not fit is out, for the sake of the nonce order.
      let cost = entry.info.bytes.count + 6
      guard used + cost <= maximumBytes else { continue }
      selected.append(entry.info)
      used += cost
      let position = front.position + 1
      guard position < queue.count, let following = entries[queue[position]], following.info.nonce == entry.info.nonce + 1 else { continue }
      heap.push(Front(fee: following.info.fee, sequence: following.sequence, sender: front.sender, position: position))
    }
    return selected
  }

  /// Traps when the indices disagree or a bound is passed. O(n log n); for tests.
  public func checkInvariants() {
    precondition(entries.count <= configuration.transactions, "\(entries.count) transactions")
    precondition(bytes <= configuration.bytes, "\(bytes) bytes")
    precondition(bytes == entries.values.reduce(0) { $0 + $1.info.bytes.count }, "byte count is off")
    precondition(entries.count == senders.values.reduce(0) { $0 + $1.ids.count }, "index is off")
    precondition(behindGaps == senders.values.reduce(0) { $0 + countBehindGap($1) }, "gaps are off")
    for (sender, queue) in senders {
      precondition(!queue.ids.isEmpty, "an empty queue of \(sender.short)")
      let nonces = queue.ids.compactMap { entries[$0]?.info.nonce }
      precondition(nonces.count == queue.ids.count && zip(nonces, nonces.dropFirst()).allSatisfy { $0 < $1 }, "nonces \(nonces)")
    }
    precondition(arrivals.count - firstArrival <= 2 * configuration.transactions + 64, "\(arrivals.count) arrivals")
    precondition(tails.count <= 2 * configuration.transactions + 65, "\(tails.count) tails")
  }

  private func holder(of nonce: UInt64, _ sender: Address) -> TransactionInfo? {
    for id in senders[sender]?.ids ?? [] {
      if let info = entries[id]?.info, info.nonce == nonce { return info }
    }
    return nil
  }

  private func replacementFee(_ fee: Amount) -> Amount {
    let (product, overflow) = (fee.units / 100).multipliedReportingOverflow(by: configuration.replacementPercent)
    let rest = (fee.units % 100) * min(configuration.replacementPercent, 10_000) / 100
    return overflow ? Amount(.max) : (fee.adding(Amount(max(1, product &+ rest))) ?? Amount(.max))
  }

  private mutating func makeRoom(for info: TransactionInfo, replacing replaced: TransactionInfo?) throws(MempoolError) -> [Hash256] {
    var count = entries.count + 1 - (replaced == nil ? 0 : 1)
    var size = bytes + info.bytes.count - (replaced?.bytes.count ?? 0)
    guard info.bytes.count <= configuration.bytes, configuration.transactions > 0 else { throw .full(fee: Amount(.max)) }
    var victims: [Tail] = []
    var chosen: Set<Hash256> = []
    var floor: Amount?
    while count > configuration.transactions || size > configuration.bytes {
      guard let tail = tails.pop() else {
        floor = info.fee
        break
      }
      guard let entry = entries[tail.id], senders[entry.info.sender]?.ids.last == tail.id, entry.sequence == tail.sequence else { continue }
      // One that became the last again is in the heap twice.
      guard chosen.insert(tail.id).inserted else { continue }
      victims.append(tail)
      // Evicting what this one builds on, or what it replaces, would be for nothing.
      if entry.info.fee >= info.fee || entry.info.sender == info.sender && entry.info.nonce <= info.nonce {
        floor = entry.info.fee
        break
      }
      count -= 1
      size -= entry.info.bytes.count
    }
    if let floor {
      for victim in victims { tails.push(victim) }
      throw .full(fee: floor)
    }
    for victim in victims { remove(victim.id) }
    return victims.map(\.id)
  }

  private mutating func pushTail(_ sender: Address) {
    guard let id = senders[sender]?.ids.last, let entry = entries[id] else { return }
    tails.push(Tail(fee: entry.info.fee, sequence: entry.sequence, id: id))
    compactTails()
  }

  /// Forgets tails that no longer are one, once they are the greater part. Amortised O(log n).
  private mutating func compactTails() {
    guard tails.count > 2 * senders.count + 64 else { return }
    tails = Heap(
      senders.values.compactMap { queue in
        queue.ids.last.flatMap { entries[$0] }.map { Tail(fee: $0.info.fee, sequence: $0.sequence, id: $0.info.id) }
      })
  }

  /// Forgets arrivals of what has left: those in front at once, the others once they are the greater part. Amortised O(1).
  private mutating func compact() {
    while firstArrival < arrivals.count, entries[arrivals[firstArrival].id]?.sequence != arrivals[firstArrival].sequence {
      firstArrival += 1
    }
    guard arrivals.count - firstArrival > 2 * entries.count + 63 || firstArrival > 1024 && firstArrival > arrivals.count / 2 else { return }
    arrivals = arrivals[firstArrival...].filter { entries[$0.id]?.sequence == $0.sequence }
    firstArrival = 0
  }
}
