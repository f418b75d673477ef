import HostCore
import Identity
import Peering
import SecureChannel
import TestKit
import Testing
import Wire

@testable import Simulator

/// The network between nodes, seen through links whose ends only note what arrives.
@Suite(.ownThread) struct NetworkTests {
  private static func network(_ change: (inout Scenario) -> Void = { _ in }) -> Simulation {
    var scenario = Scenario(name: "network")
    scenario.nodes = 16
    scenario.jitter = .zero
    scenario.startWithin = .seconds(1)
    scenario.duration = .seconds(60)
    change(&scenario)
    let simulation = Simulation(scenario, seed: 1)
    // Nothing else is under way: the nodes never start.
    while simulation.queue.pop() != nil {}
    return simulation
  }

  /// An open link between two nodes.
  private static func link(_ simulation: Simulation, _ from: Int, _ to: Int) -> (dialler: Noted, listener: Noted) {
    let link = Link(
      id: 1, dialler: from, connection: .outbound(1), remote: simulation.nodes[to].address, target: to,
      expecting: simulation.nodes[to].key.peerID)
    let listener = link.accept(.inbound(1), remote: simulation.nodes[from].address)
    guard let dialler = link.dialler else { preconditionFailure("a new link has a dialler") }
    return (Noted(simulation, dialler), Noted(simulation, listener))
  }

  @Test func aPacketTakesHalfTheRoundTrip() {
    let simulation = Self.network()
    let (here, there) = Self.link(simulation, 0, 1)
    simulation.transmit(here.end, .frames([.goAway]), bytes: 100)
    simulation.run(until: Instant.zero + .seconds(1))
    #expect(simulation.nodes[0].region == .dallas && simulation.nodes[1].region == .toronto)
    #expect(there.times.count == 1)
    // 17 ms, and 8 µs on the sender's line; an idle receiver takes a small packet at once.
    #expect(abs(there.times[0] - 17.008) < 0.0001)
  }

  @Test func jitterKeepsOrderAndItsBound() {
    let simulation = Self.network { $0.jitter = .milliseconds(40) }
    let (here, there) = Self.link(simulation, 0, 1)
    for _ in 0..<200 { simulation.transmit(here.end, .frames([.goAway]), bytes: 100) }
    simulation.run(until: Instant.zero + .seconds(1))
    #expect(there.times.count == 200)
    #expect(there.times == there.times.sorted())
    #expect(there.times[0] >= 17 && there.times[199] <= 17 + 40 + 4)
    #expect(there.times[199] > 27)
  }

  @Test(arguments: [(1e6, 12.5e6), (12.5e6, 1e6)])
  func aLineCarriesOnePacketAfterAnother(upload: Double, download: Double) {
    let simulation = Self.network {
      $0.uploadBytes = upload
      $0.downloadBytes = download
    }
    let (here, there) = Self.link(simulation, 0, 1)
    for _ in 0..<10 { simulation.transmit(here.end, .frames([.goAway]), bytes: 100_000) }
    simulation.run(until: Instant.zero + .seconds(10))
    #expect(there.times.count == 10)
    // 100 ms on the slow line each, 8 ms on the fast one once.
    for (index, time) in there.times.enumerated() { #expect(abs(time - (17 + 8 + 100 * Double(index + 1))) < 0.1) }
  }

  @Test func aSlowReaderIsAHundredTimesSlower() {
    let simulation = Self.network { $0.slow = 0.3 }
    let rates = Set(simulation.nodes.map(\.downloadBytes))
    #expect(rates == [12_500_000, 125_000])
    #expect(simulation.nodes.count { $0.downloadBytes < 1e6 } == 4)
  }

  @Test func aPartitionCutsOneWayOrBothAndLosesNothing() {
    for bothWays in [false, true] {
      let simulation = Self.network()
      let (here, there) = Self.link(simulation, 0, 1)
      simulation.nodes[0].group = 1
      simulation.isBlocked = (from: 1, to: 0, bothWays: bothWays)
      simulation.transmit(here.end, .frames([.goAway]), bytes: 100)
      simulation.transmit(there.end, .frames([.goAway]), bytes: 100)
      simulation.run(until: Instant.zero + .seconds(5))
      #expect(there.times.isEmpty)
      #expect(here.times.isEmpty == bothWays)
      simulation.mend(.partition)
      simulation.run(until: Instant.zero + .seconds(10))
      #expect(there.times.count == 1 && here.times.count == 1)
    }
  }

  @Test func aSuspendedProcessReadsLater() {
    let simulation = Self.network()
    let (here, there) = Self.link(simulation, 0, 1)
    simulation.nodes[1].isSuspended = true
    simulation.transmit(here.end, .frames([.goAway]), bytes: 100)
    simulation.run(until: Instant.zero + .seconds(5))
    #expect(there.times.isEmpty)
    #expect(simulation.nodes[1].unread.count == 1)
  }

  @Test func aSilentlyDeadLinkCarriesNothing() {
    let simulation = Self.network()
    let (here, there) = Self.link(simulation, 0, 1)
    here.end.link.isDead = true
    simulation.transmit(here.end, .frames([.goAway]), bytes: 100)
    simulation.run(until: Instant.zero + .seconds(5))
    #expect(there.times.isEmpty)
  }

  @Test func twoNodesShareARouterAndNobodyOutsideReachesThem() throws {
    var scenario = Scenario(name: "nat")
    scenario.nodes = 20
    scenario.regions = 1
    scenario.nat = 0.4
    scenario.unreachable = 0.1
    scenario.duration = .seconds(90)
    let simulation = Simulation(scenario, seed: 5)
    let routed = simulation.nodes.filter { !($0.address.ipAddress?.isRoutable ?? true) }
    #expect(routed.count == 8)
    #expect(Set(routed.map(\.ip)).count == 4)
    #expect(simulation.nodes.count { $0.isUnreachable } == 10)
    #expect(simulation.run() == nil)
    for node in simulation.nodes where node.isUnreachable {
      let links = try #require(node.core).host.peering.links(now: simulation.now)
      #expect(!links.isEmpty)
      #expect(links.allSatisfy { $0.direction == .outbound })
    }
  }

  @Test(arguments: [false, true])
  func aFullHouseClosesBeforeTheHandshake(isFull: Bool) {
    var scenario = Scenario(name: "full house")
    scenario.nodes = 12
    scenario.links = 4
    scenario.outbound = 2
    scenario.isFull = isFull
    scenario.duration = .seconds(30)
    let simulation = Simulation(scenario, seed: 3)
    _ = simulation.run()
    #expect(simulation.measures.refusals["too-many-peers", default: 0] > 0)
    #expect(simulation.measures.dialFailures["closed before the handshake", default: 0] > 0)
    #expect(simulation.measures.dialFailures["the secure channel failed"] == nil)
    #expect(simulation.measures.dialFailures["the transport broke"] == nil)
  }

  @Test func everyRegionIsAsFarThereAsBack() {
    for from in Region.allCases {
      #expect(from.roundTrip(to: from) == .milliseconds(2))
      for to in Region.allCases {
        #expect(from.roundTrip(to: to) == to.roundTrip(to: from))
        #expect(from == to || from.roundTrip(to: to) > .milliseconds(5))
      }
    }
  }
}

/// An end that notes when something arrives.
private final class Noted: Simulator.LinkEndpoint {
  let end: Simulator.LinkEnd
  /// Milliseconds since the beginning.
  private(set) var times: [Double] = []

  init(_ simulation: Simulation, _ end: Simulator.LinkEnd) {
    self.end = end
    end.socket = .open
    end.endpoint = self
    simulation.nodes[end.node].ends[end.connection] = end
  }

  func receive(_ packet: Packet, _ now: Instant) { times.append((now - .zero).milliseconds) }
  func begin(_ now: Instant) {}
  func delivered(_ now: Instant) {}
  func timer(_ now: Instant) {}
  func protocolsChanged(_ table: ProtocolTable) {}
  func admit(_ now: Instant) {}
  func open(_ stream: StreamID, _ names: [ProtocolID], _ now: Instant) {}
  func send(_ stream: StreamID, _ bytes: [UInt8], _ now: Instant) {}
  func finish(_ stream: StreamID, _ now: Instant) {}
  func reset(_ stream: StreamID, _ code: ResetCode, _ now: Instant) {}
  func close(_ reason: Reason, _ now: Instant) {}
  var streamCount: Int { 0 }
}
