import Crypto
import Identity
import Testing
import Wire

@testable import Discovery

private func place(_ number: UInt64) -> Hash256 { SystemCrypto.shared.sha256(peer(number).bytes) }

@Suite struct LookUpTests {
  private func walk(width: Int = 3, maximum: Int = 64) -> LookUp {
    LookUp(target: place(500), local: peer(0), width: width, maximum: maximum, groupMaximum: 2)
  }

  private func at(_ ip: String) -> [Multiaddr] { [address("/ip4/\(ip)/tcp/1")] }

  /// Of one network the nearest two count, as they say of themselves until they answer, and then as their links show.
  @Test func oneNetworkIsNotAll() {
    var walk = walk()
    let order = ranked(9)
    for number in order.prefix(6) { walk.hear(peer(number), place: place(number), at("90.1.0.\(number)")) }
    for number in order.suffix(3) { walk.hear(peer(number), place: place(number), at("\(20 + number).0.0.1")) }
    let asked = (0..<9).compactMap { _ in walk.next(parallel: 9)?.peer }
    #expect(asked == [0, 1, 6].map { peer(order[$0]) })
    for name in asked { _ = walk.settle(name, answered: true) }
    #expect(walk.isOver && walk.answered.map(\.peer) == asked)
    // A nearer one of the same network takes the place of the farthest.
    var nearer = self.walk()
    for number in order[1...3] { nearer.hear(peer(number), place: place(number), at("90.1.0.\(number)")) }
    #expect(nearer.next(parallel: 9)?.peer == peer(order[1]) && nearer.next(parallel: 9)?.peer == peer(order[2]))
    nearer.hear(peer(order[0]), place: place(order[0]), at("90.1.0.9"))
    #expect(nearer.next(parallel: 9)?.peer == peer(order[0]) && nearer.next(parallel: 9) == nil)
    // Three that told addresses of other networks come from one.
    var liars = self.walk()
    for number in order.prefix(3) { liars.hear(peer(number), place: place(number), at("\(40 + number).0.0.1")) }
    for number in order.suffix(2) { liars.hear(peer(number), place: place(number), at("\(20 + number).0.0.1")) }
    for number in order.prefix(3) {
      #expect(liars.next(parallel: 1)?.peer == peer(number))
      _ = liars.settle(peer(number), answered: true, at: IPAddress("90.1.0.1"))
    }
    #expect(!liars.isOver && liars.next(parallel: 1)?.peer == peer(order[7]), "two of them count")
  }

  @Test func aCrowdDoesNotDriveOthersOutOfTheList() {
    var walk = walk(maximum: 10)
    let order = ranked(200)
    for number in order.suffix(5) { walk.hear(peer(number), place: place(number), at("\(20 + number % 60).0.0.1")) }
    for number in order.prefix(150) { walk.hear(peer(number), place: place(number), at("90.1.0.1")) }
    walk.checkInvariants()
    #expect(walk.candidates.count == 10 && order.suffix(5).allSatisfy { walk.state(of: peer($0)) == .heard })
    #expect(order.prefix(5).allSatisfy { walk.state(of: peer($0)) == .heard }, "the nearest of the crowd")
  }

  /// The numbers from 1 to `count`, the nearest to the target first.
  private func ranked(_ count: UInt64) -> [UInt64] { (1...count).sorted { (place($0) ^ place(500)) < (place($1) ^ place(500)) } }

  @Test func endsWhenTheNearestHaveAnswered() {
    var walk = walk()
    let order = ranked(8)
    for number in order.suffix(4) { walk.hear(peer(number), place: place(number), []) }
    #expect(walk.next(parallel: 2)?.peer == peer(order[4]))
    #expect(walk.next(parallel: 2)?.peer == peer(order[5]))
    #expect(walk.next(parallel: 2) == nil, "two at a time")
    #expect(walk.settle(peer(order[4]), answered: true) && !walk.settle(peer(order[4]), answered: true))
    for number in order.prefix(2) { walk.hear(peer(number), place: place(number), []) }
    #expect(walk.next(parallel: 2)?.peer == peer(order[0]), "nearer ones come first")
    #expect(walk.settle(peer(order[0]), answered: true) && !walk.isOver)
    #expect(walk.next(parallel: 2)?.peer == peer(order[1]))
    #expect(walk.settle(peer(order[1]), answered: true) && walk.isOver, "three nearest, though one farther still waits")
    #expect(walk.answered.map(\.peer) == [0, 1, 4].map { peer(order[$0]) })
    walk.checkInvariants()
  }

  @Test func theFailedMakeRoom() {
    var walk = walk()
    let order = ranked(5)
    for number in order { walk.hear(peer(number), place: place(number), []) }
    for _ in 0..<3 { _ = walk.next(parallel: 9) }
    #expect(walk.next(parallel: 9) == nil, "only the nearest three are asked")
    _ = walk.settle(peer(order[1]), answered: false)
    #expect(walk.next(parallel: 9)?.peer == peer(order[3]))
    for number in [order[0], order[2], order[3]] { _ = walk.settle(peer(number), answered: true) }
    #expect(walk.isOver && walk.answered.map(\.peer) == [0, 2, 3].map { peer(order[$0]) })
    walk.revive(peer(order[1]), [item(1).address])
    #expect(!walk.isOver && walk.next(parallel: 9)?.addresses == [item(1).address])
  }

  @Test func boundedAndWithoutTheNodeItself() {
    var walk = walk(maximum: 10)
    for number in 0...400 as ClosedRange<UInt64> {
      walk.hear(peer(number), place: place(number), [])
      walk.checkInvariants()
    }
    #expect(walk.candidates.map(\.peer) == ranked(400).prefix(10).map { peer($0) })
    var empty = self.walk()
    #expect(empty.isOver && empty.next(parallel: 1) == nil)
  }

  @Test func addressesAdd() {
    var walk = walk()
    walk.hear(peer(1), place: place(1), [item(1).address])
    walk.hear(peer(1), place: place(1), [item(1).address, item(2).address])
    walk.hear(peer(1), place: place(1), (1...40).map { item(3, port: $0).address })
    #expect(walk.candidates[0].addresses.count == 16 && walk.candidates[0].addresses[1] == item(2).address)
  }
}
