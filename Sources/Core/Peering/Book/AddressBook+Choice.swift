import Identity
import Wire

extension AddressBook {
  // MARK: Dials

  /// A dial of this address is under way or failed. `counts` when the failure tells something about the peer.
  mutating func dialled(_ item: BookItem, hasFailed: Bool, counts: Bool, at now: BookSeconds) {
    guard let id = find(item) else { return }
    records[id].tried = now
    if hasFailed && counts && records[id].failures < .max { records[id].failures += 1 }
  }

  /// The wall clock went forward by `step` beside the machine's: all that was heard and dialled is so much older, and is persisted with
  /// the time that it had. O(addresses).
  mutating func move(by step: Duration, now: Instant) {
    let now = BookSeconds(at: now)
    let seconds = Int64(step.seconds.rounded())
    func move(_ time: inout BookSeconds) {
      if time != .never { time = min(now, max(.never + 1, BookSeconds(clamping: Int64(time) - seconds))) }
    }
    records.updateAll { record in
      move(&record.since)
      move(&record.heard)
      move(&record.tried)
      move(&record.succeeded)
      move(&record.firstSucceeded)
    }
  }

  /// An address answered a dial as it should. It moves to *tried*, unless another holds its place there: then that one is tested first.
  ///
  /// Returns whether it is in *tried* now. Nothing happens when the address is not in the book.
  @discardableResult
  public mutating func succeeded(_ item: PeerAddress, now: Instant) -> Bool {
    guard let id = find(BookItem(item)) else { return false }
    let now = BookSeconds(at: now)
    records[id].heard = now
    records[id].tried = now
    records[id].succeeded = now
    if records[id].firstSucceeded == .never { records[id].firstSucceeded = now }
    records[id].failures = 0
    if records[id].isTried { return true }
    let place = triedPlace(endpoint(of: id))
    guard tried.record(at: place.bucket, place.position) == nil else {
      if !pending.contains(id), pending.count < configuration.pendingMaximum { pending.append(id) }
      return false
    }
    promote(id, to: place)
    return true
  }

  /// A dial of this address failed in a way that tells something about it.
  public mutating func failed(_ item: PeerAddress, now: Instant) {
    dialled(BookItem(item), hasFailed: true, counts: true, at: BookSeconds(at: now))
  }

  /// An address is seen to work while a link lasts; no dial was needed.
  mutating func seen(_ item: BookItem, at now: BookSeconds) {
    guard let id = find(item) else { return }
    records[id].heard = now
    records[id].succeeded = now
  }

  mutating func promote(_ id: RecordID, to place: Place) {
    removeFromBuckets(id)
    pending.removeAll { $0 == id }
    if let holder = tried.record(at: place.bucket, place.position) { demote(holder) }
    tried.put(id, at: place.bucket, place.position)
    records[id].add(bucket: place.bucket)
    setTried(id, true)
  }

  /// Back to *new*, at the cost of whoever stands there.
  mutating func demote(_ id: RecordID) {
    guard records[id].isTried else { return }
    removeFromBuckets(id)
    putNew(id, at: newPlace(endpoint(of: id), from: records[id].source))
  }

  // MARK: Test before evict

  /// Whose tried place somebody waits for, and who should be test-dialled therefore.
  func holderToTest(using generator: inout SeededGenerator) -> RecordID? {
    guard !pending.isEmpty else { return nil }
    let place = triedPlace(endpoint(of: pending[generator.index(below: pending.count)]))
    return tried.record(at: place.bucket, place.position)
  }

  /// Decides for those that wait: the holder who has answered lately stays, the one who has not when dialled goes, and one whom nobody
  /// found the time to test goes too. Returns the peers whose address left or entered *tried*.
  mutating func resolvePending(at now: BookSeconds) -> [DialTarget] {
    var changed: [DialTarget] = []
    // Whoever is promoted may push another that waits out of the book.
    for id in pending where pending.contains(id) {
      let place = triedPlace(endpoint(of: id))
      if let holder = tried.record(at: place.bucket, place.position) {
        let record = records[holder]
        if record.succeeded.age(now) < Int(configuration.provenSpan.seconds) {
          pending.removeAll { $0 == id }
          continue
        }
        // A dial under way gets a minute to end.
        let hasFailedTest = record.tried.age(now) < Int(configuration.provenSpan.seconds) && record.tried.age(now) > 60
        let isTestOverdue = records[id].succeeded.age(now) > Int(configuration.testPatience.seconds)
        guard hasFailedTest || isTestOverdue else { continue }
        changed.append(target(of: holder))
      }
      promote(id, to: place)
      changed.append(target(of: id))
    }
    return changed
  }

  // MARK: Choice

  /// A random address of a table, by its worth; `nil` when the table is empty. O(1): at most 64 draws.
  public func choose(_ list: List, now: Instant, using generator: inout SeededGenerator) -> PeerAddress? {
    let now = BookSeconds(at: now)
    var factor = 1.0
    for _ in 0..<64 {
      guard let id = draw(list, using: &generator) else { return nil }
      if generator.unit() < factor * chance(records[id], now) { return item(id).peerAddress }
      factor *= 1.2
    }
    return draw(list, using: &generator).map { item($0).peerAddress }
  }

  /// A random record of a random bucket.
  func draw(_ list: List, using generator: inout SeededGenerator) -> RecordID? {
    list == .new ? fresh.draw(using: &generator) : tried.draw(using: &generator)
  }

  /// All records of a table, a record with several references once, in a stable order. O(n).
  func all(_ list: List) -> [RecordID] {
    if list == .tried { return tried.records }
    var seen: Set<RecordID> = []
    return fresh.records.filter { seen.insert($0).inserted }
  }

  /// How likely an address is taken when it was drawn: two thirds for each failure, up to eight, and a hundredth soon after a dial.
  func chance(_ record: BookRecord, _ now: BookSeconds) -> Double {
    var chance = record.tried.age(now) < Int(configuration.restAfterDial.seconds) ? 0.01 : 1
    for _ in 0..<min(record.failures, 8) { chance *= 0.66 }
    return chance
  }

  /// Whether an address makes room for any other, and is not told on.
  func isTerrible(_ record: BookRecord, _ now: BookSeconds) -> Bool {
    if record.tried.age(now) < 60 { return false }
    if record.heard.age(now) > Int(configuration.horizon.seconds) { return true }
    if record.succeeded == .never { return record.failures >= configuration.attemptsMaximum }
    return record.failures >= configuration.failuresMaximum && record.succeeded.age(now) > Int(configuration.failureSpan.seconds)
  }
}
