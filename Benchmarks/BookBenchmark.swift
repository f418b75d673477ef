import Foundation
import Identity
import Peering
import Wire

/// What the peer book costs: a million addresses offered, the memory they take, a choice, and the load at the start.
enum BookBenchmark {
  static func run(_ arguments: [String]) {
    let offered = arguments.first.flatMap(Int.init) ?? 1_000_000
    var usual = AddressBook.Configuration()
    measure("default tables, flooded", usual, offered: offered, sources: 400)
    usual.newBuckets = 65_536
    usual.triedBuckets = 16_384
    measure("65,536 new buckets, flooded", usual, offered: offered * 5 / 4, sources: 20_000)
  }

  /// Addresses all over the Internet from tellers in as many network groups; every thirtieth is then dialled with success.
  private static func measure(_ name: String, _ configuration: AddressBook.Configuration, offered: Int, sources: Int) {
    let secret = SipHash.Key(low: 1, high: 2)
    let clock = WallClock(now: .zero, wall: WallTime(milliseconds: 1_800_000_000_000))
    let now = Instant(nanoseconds: 1_000_000_000_000)
    let before = residentBytes()
    var generator = SeededGenerator(seed: 7)
    var items = SeededGenerator(seed: 8)
    var book = AddressBook(configuration: configuration, secret: secret)
    let teller = makePeer(0)
    var start = seconds()
    for number in 0..<offered {
      let item = PeerAddress(peer: makePeer(UInt64(number)), address: makeAddress(&items))
      let source = book.groups.source(teller, at: .v4(0x1000_0000 + UInt32(number % sources) << 16))
      book.add(item, from: source, now: now, using: &generator)
      if number % 30 == 0 { book.succeeded(item, now: now) }
    }
    let took = seconds() - start
    print(
      "\(name): \(offered) offered in \(text(took)) s (\(Int(took / Double(offered) * 1e9)) ns each); \(book.count) kept, "
        + "\(book.count(.new)) new and \(book.count(.tried)) tried places, \((residentBytes() - before) >> 20) MiB")
    let later = now + .seconds(3_600)
    for list in AddressBook.List.allCases {
      let chosen = nanosecondsPerCall { consume(book.choose(list, now: later, using: &generator)) }
      report("  choice in \(list)", "\(Int(chosen.median)) ns", chosen.spreadPercent)
    }
    start = seconds()
    let parts = (0..<AddressBook.snapshotParts).map { book.snapshot(part: $0, clock: clock) }
    let written = seconds() - start
    start = seconds()
    var again = AddressBook(configuration: configuration, secret: secret)
    for part in parts { again.restore(part.rawSpan, clock: clock, now: now, using: &generator) }
    print(
      "  snapshot \(parts.reduce(0) { $0 + $1.count } >> 10) KiB in \(text(written)) s, loaded in \(text(seconds() - start)) s: "
        + "\(again.count) addresses")
  }

  private static func makePeer(_ number: UInt64) -> PeerID {
    var bytes: [UInt8] = [0, 36, 8, 1, 18, 32]
    bytes.append(contentsOf: [UInt8](repeating: 7, count: 24))
    bytes.appendBigEndian(number)
    guard let peer = try? PeerID(bytes: bytes) else { preconditionFailure("36 bytes are an Ed25519 name") }
    return peer
  }

  private static func makeAddress(_ generator: inout SeededGenerator) -> Multiaddr {
    let word = generator.next()
    return Multiaddr(
      ip: .v4(0x1000_0000 + UInt32(truncatingIfNeeded: word) % 0x5000_0000), port: UInt16(truncatingIfNeeded: word >> 40) | 1)
  }

  private static func residentBytes() -> Int {
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else { return 0 }
    return (Int(text.split(separator: " ")[1]) ?? 0) * 4_096
  }

  private static func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private static func text(_ value: Double) -> String { String(format: "%.2f", value) }
}
