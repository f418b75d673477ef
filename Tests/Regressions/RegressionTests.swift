import Simulator
import Testing
import Wire

/// Seeds that once broke a property, each with what was wrong.
@Suite struct RegressionTests {
  @Test(arguments: [UInt64(1)])
  func calm(seed: UInt64) {
    // A memory pool that was emptied kept a trail of what had been in it.
    var scenario = Scenario(name: "calm")
    scenario.duration = .seconds(90)
    #expect(Simulation(scenario, seed: seed).run() == nil)
  }
}
