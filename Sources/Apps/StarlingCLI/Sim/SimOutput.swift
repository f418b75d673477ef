import Foundation
import Simulator

/// What people read of simulations.
enum SimOutput {
  /// How many broken seeds are shown in full.
  private static let shownBroken = 5

  static func print(_ reports: [SimulationReport], _ plan: SimPlan) {
    let broken = reports.filter { $0.violation != nil }
    for report in broken.prefix(shownBroken) {
      Output.line("Seed \(report.run.seed): \(report.violation ?? "")")
      Output.line("Replay: \(report.run.replay)")
      Output.line("The last steps:")
      for line in report.lastSteps { Output.line("  " + line) }
      Output.line("")
    }
    if broken.count > shownBroken {
      let seeds = broken.dropFirst(shownBroken).map { "\($0.run.seed)" }.joined(separator: ", ")
      Output.line("… and \(broken.count - shownBroken) more: seeds \(seeds)")
      Output.line("")
    }
    if let only = reports.first, reports.count == 1 {
      print(only)
    } else {
      let virtual = reports.reduce(0) { $0 + $1.run.virtualSeconds }
      let real = reports.reduce(0) { $0 + ($1.run.realSeconds ?? 0) }
      let slowest = reports.max { ($0.run.realSeconds ?? 0) < ($1.run.realSeconds ?? 0) }
      Output.line("\(reports.count) seeds of \(plan.scenarioWord): \(broken.count) broken.")
      Output.line(
        String(
          format: "%.0f s simulated in %.0f s of threads; the slowest seed is %@ with %.1f s.", virtual, real,
          slowest.map { "\($0.run.seed)" } ?? "-", slowest?.run.realSeconds ?? 0))
    }
    if !broken.isEmpty {
      Output.line("A property was broken.")
    } else if reports.contains(where: { $0.verdicts.contains { $0.outcome == .unchecked } }) {
      Output.line("Too short to judge how it ends: the nodes had no time to start and come together. What is checked throughout held.")
    } else {
      Output.line("Everything held.")
    }
  }

  private static func print(_ report: SimulationReport) {
    let run = report.run
    let chain = report.chain
    let speed = run.realSeconds.map { String(format: " in %.1f s, %.1f times real time", $0, run.virtualSeconds / max($0, 1e-9)) } ?? ""
    Output.rows([
      ("Scenario", "\(run.scenario), \(run.nodes) nodes, seed \(run.seed)"), ("Trace hash", run.traceHash), ("Steps", "\(run.steps)"),
      ("Time", String(format: "%.0f s simulated", run.virtualSeconds) + speed),
      ("Heights", chain.lowest == chain.highest ? "\(chain.highest)" : "\(chain.lowest) to \(chain.highest)"),
      ("Blocks", spread(report.blocks)),
      ("Transactions", spread(report.transactions) + "; \(chain.accepted) accepted, \(chain.refused) put off or refused"),
      ("Reorganisations", chain.reorganisations == 0 ? "none" : "\(chain.reorganisations), at most \(chain.deepestReorganisation) deep"),
      ("Links ended", counts(report.refusals.ended)), ("Bans", "\(report.refusals.banCount)"),
    ])
  }

  private static func spread(_ propagation: SimulationReport.Propagation) -> String {
    var parts: [String] = []
    for hops in propagation.hops where hops.hops == 1 || hops.hops == 3 {
      parts.append(String(format: "%d hop%@ %.0f ms", hops.hops, hops.hops == 1 ? "" : "s", hops.milliseconds.p50))
    }
    for reach in propagation.reach where reach.share == 0.5 || reach.share == 0.99 {
      parts.append(String(format: "%.0f %% of nodes %.0f ms", reach.share * 100, reach.milliseconds.p50))
    }
    return parts.isEmpty ? "none" : parts.joined(separator: ", ") + " (medians of \(propagation.followed))"
  }

  private static func counts(_ counts: [SimulationReport.Count]) -> String {
    counts.isEmpty ? "none" : counts.map { "\($0.name) \($0.count)" }.joined(separator: ", ")
  }
}
