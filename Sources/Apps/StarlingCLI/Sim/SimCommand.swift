import EventLoop
import Foundation
import Node
import Simulator
import Threads
import Wire

/// `starling sim`: networks of real nodes in virtual time, from one seed or many.
enum SimCommand {
  static let command = Command(
    "sim", "Simulate a network of nodes in virtual time and check that it keeps its promises.",
    options: [
      CommandOption("scenario", value: "NAME|FILE", help: "What happens: one of the built-in names, or a file. [calm]"),
      CommandOption("nodes", value: "N", help: "How many nodes; the scenario's own number by default."),
      CommandOption("seed", value: "N", help: "What everything is drawn from. [1]"),
      CommandOption("seeds", value: "A..B", help: "Many seeds, one run each, on all cores."),
      CommandOption("for", value: "TIME", help: "How long, in virtual time, such as 90s or 10m; the scenario's own by default."),
      CommandOption("trace", help: "Print every event; equal from run to run."),
      CommandOption("list", help: "List the scenarios."),
      CommandOption("json", help: "Print JSON for scripts."),
    ],
    details: """
      A run checks at every step that no two nodes keep two links, that slots and tables stay within their bounds, that nothing durable is lost,
      that no bad block is applied and no honest node is banned; and at the end that all honest nodes are connected, have one head, and that every
      accepted transaction is in it once. Exit code 1 when one of these was broken; the seed, the last steps and a command that replays it are printed.

      Examples:
        starling sim --scenario partition --seed 7
        starling sim --scenario chaos --nodes 20 --seeds 1..200
        starling sim --scenario wan-1000
      """)

  static func run(_ call: ParsedCommand) throws -> Int32 {
    if call.isOn("list") {
      Output.rows(Scenario.names.compactMap { name in Scenario.named(name, seed: 1).map { (name, "\($0.nodes) nodes. \($0.about)") } })
      return ExitStatus.success
    }
    let plan = try SimPlan(call)
    if call.isOn("trace") && plan.seeds.count > 1 { throw Failure.usage(call, "--trace shows one run; give --seed instead of --seeds") }
    if call.isOn("trace") {
      let simulation = plan.simulation(plan.seeds.lowerBound) { Output.line($0) }
      let violation = simulation.run()
      if let violation { Output.error("\(violation)") }
      return violation == nil ? ExitStatus.success : ExitStatus.failure
    }
    let isJSON = call.isOn("json")
    let campaign = SimCampaign(plan, showsProgress: !isJSON && isatty(STDERR_FILENO) == 1)
    let results = try campaign.run()
    if isJSON {
      for result in results { Output.json(result.summary) }
    } else {
      SimOutput.print(results, plan)
    }
    return results.contains { $0.summary.violation != nil } ? ExitStatus.failure : ExitStatus.success
  }
}

/// Which runs are asked for.
struct SimPlan: Sendable {
  let scenarioWord: String
  let text: String?
  let nodes: Int?
  let seeds: ClosedRange<UInt64>
  let duration: Duration?

  init(_ call: ParsedCommand) throws {
    scenarioWord = call["scenario"] ?? "calm"
    if Scenario.names.contains(scenarioWord) {
      text = nil
    } else if FileManager.default.fileExists(atPath: scenarioWord) {
      guard let data = FileManager.default.contents(atPath: scenarioWord), data.count <= 1 << 20 else {
        throw Failure("\(scenarioWord) cannot be read, or has more than 1 MiB")
      }
      let text = String(decoding: data, as: UTF8.self)
      do throws(ScenarioError) { _ = try Scenario(text: text) } catch {
        throw Failure("\(scenarioWord): \(error)", status: ExitStatus.configuration)
      }
      self.text = text
    } else {
      throw Failure.usage(
        call, "there is no scenario \"\(scenarioWord)\", and no file of that name; scenarios: \(Scenario.names.joined(separator: ", "))")
    }
    nodes = try call["nodes"].map { word in
      guard let count = Int(word), (2...100_000).contains(count) else {
        throw Failure.usage(call, "--nodes takes a number from 2 to 100000, not \"\(word)\"")
      }
      return count
    }
    duration = try call["for"].map { word in
      guard let duration = Parse.duration(word), duration > .zero else {
        throw Failure.usage(call, "--for takes a time such as 90s or 10m, not \"\(word)\"")
      }
      return duration
    }
    if let word = call["seeds"] {
      let parts = word.components(separatedBy: "..")
      guard parts.count == 2, let first = UInt64(parts[0]), let last = UInt64(parts[1]), first <= last, last - first < 1_000_000 else {
        throw Failure.usage(call, "--seeds takes a range such as 1..200, not \"\(word)\"")
      }
      seeds = first...last
    } else {
      guard let seed = UInt64(call["seed"] ?? "1") else {
        throw Failure.usage(call, "--seed takes a number, not \"\(call["seed"] ?? "")\"")
      }
      seeds = seed...seed
    }
  }

  func simulation(_ seed: UInt64, sink: ((String) -> Void)? = nil) -> Simulation {
    var scenario =
      text.flatMap { try? Scenario(text: $0) } ?? Scenario.named(scenarioWord, nodes: nodes, seed: seed) ?? Scenario(name: scenarioWord)
    if text != nil, let nodes { scenario.nodes = nodes }
    return Simulation(scenario, seed: seed, duration: duration, sink: sink)
  }

  /// The command that repeats one run.
  func replay(_ seed: UInt64) -> String {
    var words = ["starling", "sim", "--scenario", scenarioWord]
    if let nodes { words += ["--nodes", "\(nodes)"] }
    words += ["--seed", "\(seed)"]
    if let duration { words += ["--for", "\(Int(duration.seconds.rounded()))s"] }
    return words.joined(separator: " ")
  }
}

/// How one run went.
struct SimResult: @unchecked Sendable {
  struct Summary: Encodable, Sendable {
    let scenario: String
    let nodes: Int
    let seed: UInt64
    let traceHash: String
    let steps: UInt64
    let virtualSeconds: Double
    let seconds: Double
    let figures: String
    let violation: String?
    let replay: String
    let lastSteps: [String]
  }

  let summary: Summary
  /// Kept for a report when there is one run only.
  let simulation: Simulation?
}

/// Runs seeds on all cores, each on one thread from beginning to end.
final class SimCampaign: @unchecked Sendable {
  private let plan: SimPlan
  private let showsProgress: Bool
  private let lock = Lock()
  private var next: UInt64
  private var results: [SimResult] = []
  private var broken = 0

  init(_ plan: SimPlan, showsProgress: Bool) {
    self.plan = plan
    self.showsProgress = showsProgress
    next = plan.seeds.lowerBound
  }

  func run() throws -> [SimResult] {
    let group = DispatchGroup()
    for _ in 0..<min(Platform.processorCount, plan.seeds.count) {
      group.enter()
      let thread = Thread { [self] in
        while let seed = take() { finish(one(seed)) }
        group.leave()
      }
      thread.stackSize = 16 << 20
      thread.start()
    }
    group.wait()
    if showsProgress { Output.write("\r\u{1b}[K", to: STDERR_FILENO) }
    return results.sorted { $0.summary.seed < $1.summary.seed }
  }

  private func take() -> UInt64? {
    lock.withLock {
      guard next <= plan.seeds.upperBound else { return nil }
      defer { next += 1 }
      return next
    }
  }

  private func one(_ seed: UInt64) -> SimResult {
    let start = Platform.now
    let simulation = plan.simulation(seed)
    let violation = simulation.run()
    let took = Platform.now - start
    return SimResult(
      summary: .init(
        scenario: simulation.scenario.name, nodes: simulation.scenario.nodes, seed: seed,
        traceHash: String(simulation.traceHash, radix: 16),
        steps: simulation.steps, virtualSeconds: simulation.now.nanoseconds == 0 ? 0 : Double(simulation.now.nanoseconds) / 1e9,
        seconds: took.seconds, figures: simulation.summary, violation: violation.map { "\($0)" }, replay: plan.replay(seed),
        lastSteps: violation == nil ? [] : lastSteps(seed)),
      simulation: plan.seeds.count == 1 ? simulation : nil)
  }

  /// Runs the seed again, which takes the same steps, and keeps the last of them.
  private func lastSteps(_ seed: UInt64) -> [String] {
    var lines: [String] = []
    var begin = 0
    let simulation = plan.simulation(seed) { line in
      if lines.count < SimOutput.lastSteps {
        lines.append(line)
      } else {
        lines[begin] = line
        begin = (begin + 1) % SimOutput.lastSteps
      }
    }
    _ = simulation.run()
    return Array(lines[begin...] + lines[..<begin])
  }

  private func finish(_ result: SimResult) {
    lock.withLock {
      results.append(result)
      if result.summary.violation != nil { broken += 1 }
      guard showsProgress else { return }
      let done = results.count
      let all = plan.seeds.count
      let filled = 30 * done / all
      let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 30 - filled)
      Output.write("\r\u{1b}[K\(bar) \(done) of \(all) seeds, \(broken) broken", to: STDERR_FILENO)
    }
  }
}

/// What people read.
enum SimOutput {
  /// How many steps before a broken property are shown.
  static let lastSteps = 30

  static func print(_ results: [SimResult], _ plan: SimPlan) {
    let broken = results.filter { $0.summary.violation != nil }
    for result in broken.prefix(5) {
      let summary = result.summary
      Output.line("Seed \(summary.seed): \(summary.violation ?? "")")
      Output.line("Replay: \(summary.replay)")
      Output.line("The last steps:")
      for line in summary.lastSteps { Output.line("  " + line) }
      Output.line("")
    }
    if broken.count > 5 {
      Output.line("… and \(broken.count - 5) more: seeds \(broken.dropFirst(5).map { "\($0.summary.seed)" }.joined(separator: ", "))\n")
    }
    let virtual = results.reduce(0) { $0 + $1.summary.virtualSeconds }
    let real = results.reduce(0) { $0 + $1.summary.seconds }
    if let only = results.first, results.count == 1 {
      Output.rows([
        ("Scenario", "\(only.summary.scenario), \(only.summary.nodes) nodes, seed \(only.summary.seed)"),
        ("Trace hash", only.summary.traceHash), ("Steps", "\(only.summary.steps)"),
        ("Time", String(format: "%.0f s simulated in %.1f s, %.1f times real time", virtual, real, virtual / max(real, 1e-9))),
        ("Figures", only.summary.figures),
      ])
    } else {
      Output.line(
        String(
          format: "%d seeds of %@: %d broken; %.0f s simulated in %.0f s of processor time", results.count, plan.scenarioWord, broken.count,
          virtual, real))
    }
    Output.line(broken.isEmpty ? "Everything held." : "A property was broken.")
  }
}
