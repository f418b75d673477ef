import Foundation
import Node
import Simulator

/// `starling sim`: networks of real nodes in virtual time, from one seed or many.
enum SimCommand {
  static let command = Command(
    "sim", "Simulate a network of nodes in virtual time and check that it keeps its promises.",
    options: [
      CommandOption("scenario", value: "NAME|FILE", help: "What happens: one of the built-in names, or a file. [calm]"),
      CommandOption("nodes", value: "N", help: "How many nodes; the scenario's own number by default."),
      CommandOption("seed", value: "N", help: "The number from which everything random is drawn. [the file's, or 1]"),
      CommandOption("seeds", value: "A..B", help: "Many seeds, one run each, on all cores."),
      CommandOption("for", value: "TIME", help: "How long, in virtual time, such as 90s or 10m; the scenario's own by default."),
      CommandOption("report", value: "FILE.html", help: "Write a page with charts of one run; it needs no other file."),
      CommandOption("trace", help: "Print every event; the same in every run."),
      CommandOption("show", help: "Print the scenario as a file that runs the same."),
      CommandOption("list", help: "List the scenarios."),
      CommandOption("json", help: "Print the report's figures as JSON, one line for each seed; series only with one seed."),
    ],
    details: """
      A run checks at every step that no two nodes keep two links, that slots and tables stay within their bounds, that nothing durable is lost, \
      that no bad block is applied and no honest node is banned; and at the end that all honest nodes are connected, have one head, and that every \
      accepted transaction is in it once. When one of these is broken, the seed, the last steps and a command that replays it are printed.

      Exit codes: 0 everything held, 1 something was broken.

      Examples:
        starling sim --scenario partition --seed 7
        starling sim --scenario chaos --nodes 20 --seeds 1..200
        starling sim --scenario wan-1000 --report wan.html
      """)

  static func run(_ call: ParsedCommand) throws -> Int32 {
    if call.isOn("list") {
      Output.rows(Scenario.names.compactMap { name in Scenario.named(name, seed: 1).map { (name, "\($0.nodes) nodes. \($0.about)") } })
      return ExitStatus.success
    }
    let plan = try SimPlan(call)
    for option in ["trace", "report"] where plan.seeds.count > 1 && (call.isOn(option) || call[option] != nil) {
      throw Failure.usage(call, "--\(option) shows one run; give --seed instead of --seeds")
    }
    if call.isOn("show") {
      var scenario = plan.simulation(plan.seeds.lowerBound).scenario
      scenario.seed = plan.seeds.lowerBound
      if let duration = plan.duration { scenario.duration = duration }
      Output.text(scenario.text)
      return ExitStatus.success
    }
    if let path = call["report"] { try check(path) }
    let isJSON = call.isOn("json")
    let reports: [SimulationReport]
    if call.isOn("trace") {
      reports = [SimCampaign.run(plan, plan.seeds.lowerBound) { Output.line($0) }]
      if let violation = reports[0].violation { Output.error(violation) }
    } else {
      reports = SimCampaign(plan, showsProgress: !isJSON && isatty(STDERR_FILENO) == 1).run()
      if isJSON {
        for report in reports { Output.json(report) }
      } else {
        SimOutput.print(reports, plan)
      }
    }
    if let path = call["report"], let report = reports.first { try write(ReportPage(report).html, to: path) }
    return reports.contains { $0.violation != nil } ? ExitStatus.failure : ExitStatus.success
  }

  /// Finds out before the simulation whether its report will find its folder.
  private static func check(_ path: String) throws {
    let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder), isFolder.boolValue else {
      throw Failure("--report: there is no folder \(folder)")
    }
    guard access(folder, W_OK) == 0, !FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) || !isFolder.boolValue else {
      throw Failure("--report: \(path) cannot be written")
    }
  }

  private static func write(_ page: String, to path: String) throws {
    do { try Data(page.utf8).write(to: URL(fileURLWithPath: path), options: .atomic) } catch {
      throw Failure("\(path) cannot be written: \(error.localizedDescription)")
    }
  }
}
