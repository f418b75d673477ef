import Testing
import Wire

@testable import Simulator

@Suite struct CalmTests {
  @Test func fiveNodesAgreeOnAGrowingChain() {
    var scenario = Scenario(name: "calm")
    scenario.nodes = 5
    scenario.duration = .seconds(60)
    let simulation = Simulation(scenario, seed: 1)
    #expect(simulation.run() == nil)
    let heads = Set(simulation.nodes.map { $0.core?.chain.head.height ?? 0 })
    #expect(heads.count == 1)
    #expect((heads.first ?? 0) >= 9)
    #expect(simulation.load.accepted > 10)
  }

  @Test func sameSeedSameSteps() {
    func run(_ seed: UInt64) -> (UInt64, UInt64) {
      var scenario = Scenario(name: "calm")
      scenario.nodes = 8
      scenario.duration = .seconds(40)
      scenario.settle = .seconds(20)
      let simulation = Simulation(scenario, seed: seed)
      #expect(simulation.run() == nil)
      return (simulation.traceHash, simulation.steps)
    }
    let first = run(7)
    #expect(first == run(7))
    #expect(first != run(8))
    // The same on every machine and in every build; changes whenever the core or the network model decides anything differently.
    var mixer = Mixer(seed: 1)
    mixer.add(Array("starling".utf8))
    #expect(mixer.short == 4_942_947_954_309_605_025)
  }
}
