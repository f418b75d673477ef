import TestKit
import Testing
import Wire

@testable import Simulator

/// Equal seeds take equal steps. That debug and release agree is what `Scripts/simulate` shows with the program.
@Suite(.ownThread) struct TraceTests {
  private static func scenario(isFull: Bool = false, faults: [Fault] = []) -> Scenario {
    var scenario = Scenario(name: "trace")
    scenario.nodes = 8
    scenario.duration = .seconds(40)
    scenario.settle = .seconds(20)
    scenario.isFull = isFull
    scenario.faults = faults
    return scenario
  }

  private static func run(_ scenario: Scenario, _ seed: UInt64) -> (hash: UInt64, steps: UInt64) {
    let simulation = Simulation(scenario, seed: seed)
    #expect(simulation.run() == nil)
    return (simulation.traceHash, simulation.steps)
  }

  @Test(arguments: [
    scenario(), scenario(isFull: true),
    scenario(faults: [
      Fault(.crash(share: 0.2, isSilent: true), from: .seconds(8), every: .seconds(5), lasting: .seconds(1)...(.seconds(4))),
      Fault(.partition(share: 0.5, isOneWay: true), from: .seconds(12), lasting: .seconds(3)...(.seconds(5))),
    ]),
  ])
  func sameSeedSameSteps(scenario: Scenario) {
    let first = Self.run(scenario, 7)
    #expect(first == Self.run(scenario, 7))
    #expect(first.hash != Self.run(scenario, 8).hash)
  }

  @Test func listeningChangesNothing() {
    let silent = Simulation(Self.scenario(), seed: 3)
    let heard = Simulation(Self.scenario(), seed: 3)
    var lines = 0
    heard.listen { _ in lines += 1 }
    #expect(silent.run() == nil)
    #expect(heard.run() == nil)
    #expect(silent.traceHash == heard.traceHash)
    #expect(lines > 1_000)
  }

  @Test func theHashIsTheSameOnEveryMachine() {
    var mixer = Mixer(seed: 1)
    mixer.add(Array("starling".utf8))
    #expect(mixer.short == 4_942_947_954_309_605_025)
  }

  @Test(arguments: [false, true])
  func fiveNodesAgreeOnAGrowingChain(isFull: Bool) {
    var scenario = Scenario(name: "calm")
    scenario.nodes = 5
    scenario.duration = .seconds(60)
    scenario.isFull = isFull
    let simulation = Simulation(scenario, seed: 1)
    #expect(simulation.run() == nil)
    let heads = Set(simulation.nodes.map { $0.core?.chain.head.height ?? 0 })
    #expect(heads.count == 1)
    #expect((heads.first ?? 0) >= 9)
    #expect(simulation.load.accepted > 10)
    let links = simulation.nodes.flatMap { $0.core?.host.peering.links(now: simulation.now) ?? [] }
    #expect(links.contains { $0.lastUse != nil }, "the chain tells peering who was of use")
  }
}
