import Crypto
import Identity
import Testing
import Wire

@testable import HostCore

@Suite struct RateTableTests {
  private func name(_ number: Int) -> PeerID {
    NodeKey(seed: [UInt8](repeating: 0, count: 30) + [UInt8(number >> 8), UInt8(number & 0xff)], crypto: SystemCrypto.shared).peerID
  }

  private func network(_ number: Int) -> IPNetwork { IPNetwork("10.0.0.\(number)")! }

  /// All links of a peer share one allowance.
  @Test func linksShare() {
    var table = RateTable(.init())
    let first = table.arrive(name(1), from: network(1), now: .zero)
    let second = table.arrive(name(1), from: network(2), now: .zero)
    #expect(first.inbound === second.inbound && first.outbound === second.outbound)
    _ = first.inbound.takePing(now: .zero)
    table.leave(name(1), from: network(1), now: .zero)
    #expect(table.remembered == (0, 0))
    table.leave(name(1), from: network(2), now: .zero)
    #expect(table.remembered == (1, 1))
    #expect(table.arrive(name(1), from: network(3), now: .zero).inbound === first.inbound)
    #expect(table.remembered == (0, 1))
  }

  /// Nothing is kept of those that asked nothing, nothing for ever, and never more than the maximum.
  @Test func remembersLittle() {
    var table = RateTable(.init(), maximum: 10)
    for number in 1...100 {
      _ = table.arrive(name(number), from: network(number), now: .zero)
      table.leave(name(number), from: network(number), now: .zero)
    }
    #expect(table.remembered == (0, 0))
    for number in 1...100 {
      _ = table.arrive(name(number), from: network(number), now: .zero).inbound.takePing(now: .zero)
      table.leave(name(number), from: network(number), now: .zero)
      #expect(table.remembered == (min(number, 10), min(number, 10)))
    }
    let later = Instant.zero + .seconds(1)
    _ = table.arrive(name(200), from: network(200), now: later).inbound.takePing(now: later)
    table.leave(name(200), from: network(200), now: later)
    #expect(table.remembered == (1, 1))
  }

  /// Several leave from one address: the next one has the least of each.
  @Test func theEmptiestIsLeftBehind() {
    var limits = RateLimits()
    limits.ping = .init(perSecond: 0.001, burst: 5)
    limits.peer = .init(perSecond: 0.001, burst: 5)
    var table = RateTable(limits)
    let (one, other) = (table.arrive(name(1), from: network(1), now: .zero), table.arrive(name(2), from: network(1), now: .zero))
    for _ in 0..<5 { _ = one.inbound.takePing(now: .zero) }
    for _ in 0..<5 { _ = other.inbound.takeRequest("/test", now: .zero) }
    table.leave(name(1), from: network(1), now: .zero)
    table.leave(name(2), from: network(1), now: .zero)
    let third = table.arrive(name(3), from: network(1), now: .zero).inbound
    #expect(
      third.takePing(now: .zero) == .refused(isOffence: false) && third.takeRequest("/test", now: .zero) == .refused(isOffence: false))
  }
}
