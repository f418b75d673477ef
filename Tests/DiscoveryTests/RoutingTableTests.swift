import Crypto
import Identity
import Testing
import Wire

@testable import Discovery

private let crypto = SystemCrypto.shared

private func place(_ number: UInt64) -> Hash256 { crypto.sha256(peer(number).bytes) }

/// Peers whose places share exactly `shared` leading bits with peer 0's.
private func peers(sharing shared: Int, _ count: Int) -> [UInt64] {
  var found: [UInt64] = []
  var number: UInt64 = 1
  while found.count < count {
    if (place(number) ^ place(0)).leadingZeroBitCount == shared { found.append(number) }
    number += 1
  }
  return found
}

private struct Bench {
  var table: RoutingTable
  init(_ change: (inout Kademlia.Configuration) -> Void = { _ in }) {
    var configuration = Kademlia.Configuration()
    configuration.bucketSize = 3
    change(&configuration)
    table = RoutingTable(local: place(0), configuration)
  }
  mutating func insert(_ number: UInt64, _ group: String? = nil, at seconds: Double = 0) -> RoutingTable.Insertion {
    defer { table.checkInvariants() }
    return table.insert(peer(number), place(number), [item(number % 100).address], group.flatMap { IPNetwork($0) }, at(seconds))
  }
}

@Suite struct RoutingTableTests {
  @Test func aFullBucketChecksItsOldestAndKeepsIt() {
    var bench = Bench()
    let near = peers(sharing: 0, 5)
    for (index, number) in near.prefix(3).enumerated() { #expect(bench.insert(number, at: Double(index)) == .taken) }
    #expect(bench.insert(near[3], at: 10) == .refused, "all were heard of lately")
    #expect(bench.insert(near[3], at: 400) == .check(peer(near[0])))
    bench.table.heard(peer(near[0]), at(401))
    #expect(bench.insert(near[3], at: 402) == .check(peer(near[1])), "the first is now the latest")
    #expect(bench.table.contains(peer(near[0])) && !bench.table.contains(peer(near[3])))
    // The check fails: whoever waits gets the place at once.
    bench.table.failed(peer(near[1]))
    bench.table.checkInvariants()
    #expect(!bench.table.contains(peer(near[1])) && bench.table.contains(peer(near[3])))
    #expect(bench.insert(near[4], at: 403) == .check(peer(near[2])))
  }

  @Test func aFailedPeerIsReplacedAndNotPassedOn() {
    var bench = Bench()
    let near = peers(sharing: 0, 4)
    for number in near.prefix(3) { _ = bench.insert(number) }
    bench.table.failed(peer(near[1]))
    #expect(bench.table.contains(peer(near[1])), "one failure may be this node's own")
    #expect(!bench.table.closest(to: place(0), count: 9).map(\.peer).contains(peer(near[1])))
    #expect(bench.table.closest(to: place(0), count: 9, includingFailed: true).count == 3)
    #expect(bench.insert(near[3]) == .taken)
    #expect(!bench.table.contains(peer(near[1])) && bench.table.count == 3)
    bench.table.failed(peer(near[3]))
    bench.table.heard(peer(near[3]), at(1))
    bench.table.failed(peer(near[3]))
    #expect(bench.table.contains(peer(near[3])), "failures count in a row")
    bench.table.failed(peer(near[3]))
    #expect(!bench.table.contains(peer(near[3])))
  }

  @Test func oneNetworkFillsOnlyACorner() {
    var bench = Bench()
    let first = peers(sharing: 0, 4)
    let second = peers(sharing: 1, 4)
    #expect(bench.insert(first[0], "20.1.0.0/16") == .taken)
    #expect(bench.insert(first[1], "20.1.0.0/16") == .taken)
    #expect(bench.insert(first[2], "20.1.0.0/16") == .refused, "two in one bucket")
    #expect(bench.insert(second[0], "20.1.0.0/16") == .taken)
    #expect(bench.insert(second[1], "20.1.0.0/16") == .refused, "three in the table")
    #expect(bench.insert(second[1], "20.2.0.0/16") == .taken)
    #expect(bench.insert(first[2]) == .taken, "addresses at home are not counted")
    bench.table.remove(peer(first[0]))
    #expect(bench.insert(second[2], "20.1.0.0/16") == .taken)
    // One that comes back from a full group keeps its place and its old group.
    #expect(bench.insert(second[1], "20.1.0.0/16") == .taken)
  }

  @Test func theNodeItselfHasNoPlace() {
    var bench = Bench()
    #expect(bench.insert(0) == .refused && bench.table.count == 0)
  }

  /// Random use against a plain model: the buckets stay within their limits and `closest` is what sorting all gives.
  @Test(arguments: 0..<8 as Range<UInt64>) func property(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var bench = Bench { $0.bucketSize = 4 }
    for step in 0..<300 {
      let number = 1 + generator.next() % 120
      switch generator.index(below: 6) {
      case 0: bench.table.remove(peer(number))
      case 1: bench.table.failed(peer(number))
      case 2: bench.table.heard(peer(number), at(Double(step) * 3))
      default: _ = bench.insert(number, number % 3 == 0 ? "20.\(number % 7).0.0/16" : nil, at: Double(step) * 3)
      }
      bench.table.checkInvariants()
    }
    let target = place(generator.next())
    let sorted = bench.table.peers.map { ($0, crypto.sha256($0.bytes) ^ target) }.sorted { $0.1 < $1.1 }.map(\.0)
    #expect(bench.table.closest(to: target, count: 7, includingFailed: true).map(\.peer) == Array(sorted.prefix(7)), "seed \(seed)")
  }
}
