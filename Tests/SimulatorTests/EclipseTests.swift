import Simulator
import Testing

@Suite struct EclipseTests {
  /// A small attack on few seeds: the node keeps honest links throughout and most of its slots, and with one random list it does not.
  @Test func attackOnTheBook() {
    let seeds = UInt64(1)...3
    let book = seeds.map { EclipseOutcome.of(.short, seed: $0) }
    let flat = seeds.map { EclipseOutcome.of(.short, defence: .flat, seed: $0) }
    let anchors = seeds.map { EclipseOutcome.of(.short, defence: .anchors, seed: $0) }
    for (seed, outcome) in zip(seeds, book) {
      #expect(outcome.fewestHonest >= 1, "seed \(seed)")
      #expect(outcome.shareAtEnd <= 0.5, "seed \(seed)")
    }
    func median(_ outcomes: [EclipseOutcome]) -> Double { outcomes.map(\.shareAtEnd).sorted()[outcomes.count / 2] }
    #expect(median(book) <= 0.25)
    #expect(median(flat) >= 0.75, "an attack that hurts nobody tests nothing")
    #expect(median(anchors) >= 0.5)
  }

  @Test func sameSeedSameOutcome() {
    var scenario = EclipseScenario.short
    scenario.attack = .seconds(7_200)
    scenario.peace = .seconds(7_200)
    let (first, second) = (EclipseOutcome.of(scenario, seed: 9), EclipseOutcome.of(scenario, seed: 9))
    #expect(first.share == second.share && first.fewestHonest == second.fewestHonest && first.shareOfTried == second.shareOfTried)
  }
}
