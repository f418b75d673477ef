import Identity
import Ledger
import NodeCore
import TestKit
import Testing
import Wire

@testable import Simulator

/// Nodes whose clocks are wrong: what they and the others say of it, and that it is over when the clock is right.
@Suite(.ownThread) struct ClockTests {
  private func simulation(_ seed: UInt64) throws -> Simulation {
    Simulation(
      try Scenario(
        text: """
          name = clocks
          nodes = 8
          seeds = 2
          authorities = 3
          block-time = 2s
          duration = 320s
          settle = 60s
          """), seed: seed)
  }

  /// An authority with its clock an hour ahead says so while its blocks lose every turn, and so do those that refuse them. Set right, and
  /// restarted twice, it makes its blocks at its next turns, and nobody sees two of one slot.
  @Test(arguments: [1, 2, 3] as [UInt64]) func anAuthorityIsBackOnceItsClockIsRight(seed: UInt64) throws {
    let simulation = try simulation(seed)
    let node = try #require(simulation.nodes.first { $0.producer != nil })
    let name = try #require(node.producer.flatMap { Address($0.publicKey) })
    node.clockOffset = .seconds(3_600)
    simulation.run(until: .zero + .seconds(100))
    var core = try #require(node.core)
    let clock = try #require(core.clockComparison)
    #expect(abs(clock.ahead.seconds - 3_600) < 1 && clock.clocks > 2, "\(clock)")
    let info = core.info(simulation.now)
    #expect(info.health.status == "clock" && info.healthReason.contains("3600 s ahead of the median of "), "\(info.healthReason)")
    let production = try #require(info.production)
    #expect(production.last.map { $0.time - info.time > .seconds(-10) } == true && production.next.map { $0.time > info.time } == true)
    #expect(core.statistics(simulation.now).ownBlocksReplaced > 5)
    let others = simulation.nodes.filter { $0 !== node }.compactMap(\.core)
    #expect(others.contains { $0.statistics(simulation.now).blocksRefused[.future] ?? 0 > 5 })
    for other in others {
      let info = other.info(simulation.now)
      #expect(info.health == .healthy && info.warnings.isEmpty, "\(info.healthReason) \(info.warnings)")
    }

    simulation.mend(.clock(node.index))
    for _ in 1...2 {
      simulation.run(until: simulation.now + .seconds(5))
      simulation.crash(node, isSilent: false)
      simulation.start(node)
    }
    simulation.run(until: simulation.now + .seconds(90))
    core = try #require(node.core)
    #expect(core.info(simulation.now).health == .healthy && core.info(simulation.now).warnings.isEmpty)
    let chain = try #require(others.first).chain
    var made: Set<UInt64> = []
    for height in (1...chain.head.height).reversed() {
      guard let header = try chain.block(at: height)?.header, header.time > Simulation.wallStart + .seconds(120) else { break }
      if header.producer == name { made.insert(header.slot) }
    }
    // It has had 13 turns since.
    #expect(made.count >= 11, "\(made.sorted())")
    #expect(simulation.run() == nil)
  }

  /// A node with its clock behind has everybody's blocks wait: it says why, and is well once it is set.
  @Test(arguments: [1, 2] as [UInt64]) func aClockThatIsBehindIsNamed(seed: UInt64) throws {
    let simulation = try simulation(seed)
    let node = try #require(simulation.nodes.first { $0.producer == nil && !$0.isSeed })
    node.clockOffset = .seconds(-60)
    simulation.run(until: .zero + .seconds(100))
    let core = try #require(node.core)
    let info = core.info(simulation.now)
    #expect(info.health.status == "clock" && info.healthReason.contains("s behind the median of "), "\(info.healthReason)")
    #expect(core.statistics(simulation.now).blocksRefused[.future] ?? 0 > 5)
    simulation.mend(.clock(node.index))
    simulation.run(until: simulation.now + .seconds(30))
    #expect(core.info(simulation.now).health == .healthy)
    #expect(simulation.run() == nil)
  }

  /// A producer that is mute never names the others as the cause.
  @Test func aProducerNamesItselfFirst() throws {
    let simulation = try simulation(4)
    simulation.run(until: .zero + .seconds(60))
    let producers = simulation.nodes.filter { $0.producer != nil }
    for node in producers {
      node.disk.isFailing = true
    }
    simulation.run(until: .zero + .seconds(120))
    for node in producers {
      let info = try #require(node.core).info(simulation.now)
      #expect(info.health.status == "disk" && info.healthReason.contains("the disk is full"), "\(info.healthReason)")
      #expect(info.production?.obstacle?.kind == "store-failing")
      #expect(info.warnings.contains { $0.contains("this node is a producer") && $0.contains("the disk is full") }, "\(info.warnings)")
    }
    let idle = try #require(simulation.nodes.first { $0.producer == nil }?.core).info(simulation.now)
    #expect(idle.health.status == "stalled" && idle.healthReason.hasSuffix("none of the 3 producers was heard"), "\(idle.healthReason)")
  }
}
