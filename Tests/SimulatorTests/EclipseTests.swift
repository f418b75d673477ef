import Simulator
import TestKit
import Testing

@Suite(.ownThread) struct EclipseTests {
  @Test func sameSeedSameOutcome() {
    var scenario = EclipseScenario.short
    scenario.attack = .seconds(7_200)
    scenario.peace = .seconds(7_200)
    let (first, second) = (EclipseOutcome.of(scenario, seed: 9), EclipseOutcome.of(scenario, seed: 9))
    #expect(first.share == second.share && first.fewestHonest == second.fewestHonest && first.shareOfTried == second.shareOfTried)
  }
}
