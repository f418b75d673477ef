import Simulator

/// A small attack on few seeds: the node keeps honest links throughout and most of its slots, and with one random list it does not.
let eclipse = Check(name: "an attack on the book takes half of the slots at most") { findings in
  let seeds = UInt64(1)...3
  let book = seeds.map { EclipseOutcome.of(.short, seed: $0) }
  let flat = seeds.map { EclipseOutcome.of(.short, defence: .flat, seed: $0) }
  let anchors = seeds.map { EclipseOutcome.of(.short, defence: .anchors, seed: $0) }
  for (seed, outcome) in zip(seeds, book) {
    findings.expect(outcome.fewestHonest >= 1, "seed \(seed): \(outcome.fewestHonest) honest links")
    findings.expect(outcome.shareAtEnd <= 0.5, "seed \(seed): \(outcome.shareAtEnd)")
  }
  func median(_ outcomes: [EclipseOutcome]) -> Double { outcomes.map(\.shareAtEnd).sorted()[outcomes.count / 2] }
  findings.expect(median(book) <= 0.25, "\(median(book))")
  findings.expect(median(flat) >= 0.75, "an attack that hurts nobody tests nothing: \(median(flat))")
  findings.expect(median(anchors) >= 0.5, "\(median(anchors))")
}
