import Foundation
import Simulator
import Synchronization

/// How much of a node's outbound links an attacker gets: many seeds of the same attack on each way to choose peers.
enum EclipseBenchmark {
  static func run(_ arguments: [String]) {
    let seeds = arguments.first.flatMap(Int.init) ?? 200
    let chosen = arguments.dropFirst().compactMap(EclipseDefence.init)
    for defence in chosen.isEmpty ? EclipseDefence.allCases : chosen {
      let outcomes = outcomes(of: defence, seeds: seeds)
      func median(_ values: [Double]) -> String { String(format: "%.1f %%", values.sorted()[values.count / 2] * 100) }
      let isolated = outcomes.filter { $0.fewestHonest == 0 }.count
      print(
        "\(defence.rawValue): \(seeds) seeds, \(isolated) ever without an honest outbound link (fewest \(outcomes.map(\.fewestHonest).min() ?? 0)); "
          + "attacker's slots at the median \(median(outcomes.map(\.shareAtEnd))) at the end, \(median(outcomes.map(\.share))) over the week; "
          + "worst end \(median([outcomes.map(\.shareAtEnd).max() ?? 0])); tried table \(median(outcomes.map(\.shareOfTried)))")
    }
  }

  /// A seed is one thread's work.
  private static func outcomes(of defence: EclipseDefence, seeds: Int) -> [EclipseOutcome] {
    let found = Mutex<[EclipseOutcome]>([])
    DispatchQueue.concurrentPerform(iterations: seeds) { index in
      let outcome = EclipseOutcome.of(defence: defence, seed: UInt64(index + 1))
      found.withLock { $0.append(outcome) }
    }
    return found.withLock { $0 }
  }
}
