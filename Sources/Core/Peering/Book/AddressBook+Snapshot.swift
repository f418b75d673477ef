import Identity
import Wire

// The new table as it is persisted: in parts, so that no turn has to write all of it. The tried table is persisted peer by peer.
//
// A part is a version byte (1) and entries: flags (1: IPv6), the length and bytes of the PeerID (0: nobody known), 4 or 16 bytes of address,
// 2 of port, 8 of the teller's group, then the seconds since 1970 at which it was heard of, dialled and reached (4 each, 0: never), and
// failures (1). All numbers are big-endian.
extension AddressBook {
  /// How many parts a snapshot of the new table has.
  public static let snapshotParts = 32

  /// One part of the new table. Further references of an address and addresses that are more than IP and port are left out. O(part).
  public func snapshot(part: Int, clock: WallClock) -> [UInt8] {
    var bytes: [UInt8] = [1]
    let offset = Self.offset(clock)
    let range = configuration.newBuckets * part / Self.snapshotParts..<configuration.newBuckets * (part + 1) / Self.snapshotParts
    for bucket in range {
      for id in fresh.records(in: bucket) {
        let record = records[id]
        guard record.buckets[0] == UInt16(bucket), !record.marks.contains(.other) else { continue }
        append(record, offset, to: &bytes)
      }
    }
    return bytes
  }

  private func append(_ record: BookRecord, _ offset: Int64, to bytes: inout [UInt8]) {
    let isV6 = record.marks.contains(.v6)
    bytes.append(isV6 ? 1 : 0)
    let peer = record.peer?.bytes ?? []
    bytes.append(UInt8(peer.count))
    bytes.append(contentsOf: peer)
    if isV6 {
      bytes.appendBigEndian(record.high)
      bytes.appendBigEndian(record.low)
    } else {
      bytes.appendBigEndian(UInt32(truncatingIfNeeded: record.low))
    }
    bytes.appendBigEndian(record.port)
    bytes.appendBigEndian(record.source.number)
    for time in [record.heard, record.tried, record.succeeded] {
      bytes.appendBigEndian(time == .never ? 0 : UInt32(clamping: offset + Int64(time)))
    }
    bytes.append(record.failures)
  }

  /// Takes in a part; what does not fit is left out. Returns whether all of it could be read. O(part).
  @discardableResult
  public mutating func restore(_ part: RawSpan, clock: WallClock, now: Instant, using generator: inout SeededGenerator) -> Bool {
    guard part.byteCount > 0, part.byte(0) == 1 else { return false }
    let offset = Self.offset(clock)
    let now = BookSeconds(at: now)
    func seconds(_ wall: UInt32) -> BookSeconds { wall == 0 ? .never : min(now, BookSeconds(clamping: Int64(wall) - offset)) }
    var place = 1
    while place < part.byteCount {
      guard place + 2 <= part.byteCount, part.byte(place) <= 1 else { return false }
      let isV6 = part.byte(place) == 1
      let nameBytes = Int(part.byte(place + 1))
      let addressBytes = isV6 ? 16 : 4
      let end = place + 2 + nameBytes + addressBytes + 23
      guard end <= part.byteCount else { return false }
      place += 2
      var peer: PeerID?
      if nameBytes > 0 {
        guard let name = try? PeerID(bytes: part.extracting(place..<place + nameBytes)) else { return false }
        peer = name
      }
      place += nameBytes
      func number(_ count: Int) -> UInt64 {
        defer { place += count }
        return (0..<count).reduce(0) { $0 << 8 | UInt64(part.byte(place + $1)) }
      }
      let ip = isV6 ? IPAddress.v6(high: number(8), low: number(8)) : .v4(UInt32(number(4)))
      let item = BookItem(peer: peer, endpoint: .plain(ip, UInt16(number(2))))
      let source = NetworkGroup(number: number(8))
      let times = (0..<3).map { _ in seconds(UInt32(number(4))) }
      let failures = UInt8(number(1))
      guard case .added = add(item, from: source, marks: [], at: now, using: &generator), let id = find(item) else { continue }
      records[id].heard = times[0]
      records[id].tried = times[1]
      records[id].succeeded = times[2]
      records[id].failures = failures
    }
    return true
  }

  /// Takes in an address that had stood in *tried*. Returns whether it stands there again.
  mutating func restoreTried(
    _ item: BookItem, succeeded: BookSeconds, first: BookSeconds, failures: Int, at now: BookSeconds, using generator: inout SeededGenerator
  ) -> Bool {
    let source = groups.spread(of: item.endpoint)
    if case .refused = add(item, from: source, marks: .pinned, at: now, using: &generator) { return false }
    guard let id = find(item) else { return false }
    records[id].marks.remove(.pinned)
    records[id].heard = succeeded
    records[id].succeeded = succeeded
    records[id].firstSucceeded = min(first, succeeded)
    records[id].failures = UInt8(clamping: failures)
    let place = triedPlace(item.endpoint)
    if tried.record(at: place.bucket, place.position) == nil { promote(id, to: place) }
    let isTried = records[id].isTried
    if !records[id].isHeld { erase(id) }
    return isTried
  }

  /// Seconds since 1970 at the machine's origin.
  private static func offset(_ clock: WallClock) -> Int64 { clock.time(at: .zero).milliseconds / 1_000 }
}
