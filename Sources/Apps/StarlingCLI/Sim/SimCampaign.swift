import EventLoop
import Foundation
import Simulator
import Threads
import Wire

/// Runs seeds on all cores, each on one thread from beginning to end.
final class SimCampaign: @unchecked Sendable {
  private let plan: SimPlan
  private let showsProgress: Bool
  private let lock = Lock()
  private var next: UInt64?
  private var reports: [SimulationReport] = []
  private var broken = 0

  /// How many steps before a broken property are kept.
  private static let lastSteps: UInt64 = 30

  init(_ plan: SimPlan, showsProgress: Bool) {
    self.plan = plan
    self.showsProgress = showsProgress
    next = plan.seeds.lowerBound
  }

  /// The report of each seed, in their order; without series when there are several.
  func run() -> [SimulationReport] {
    TrapNotice.install()
    let group = DispatchGroup()
    let isShown = showsProgress && plan.seeds.count == 1
    for _ in 0..<min(Platform.processorCount, plan.seeds.count) {
      group.enter()
      let thread = Thread { [self] in
        while let seed = take() {
          finish(isShown ? SimCampaign.run(plan, seed, progress: { self.show($0) }) : SimCampaign.run(plan, seed))
        }
        group.leave()
      }
      thread.stackSize = 16 << 20
      thread.start()
    }
    group.wait()
    if showsProgress { Output.write("\r\u{1b}[K", to: STDERR_FILENO) }
    return reports.sorted { $0.run.seed < $1.run.seed }
  }

  /// One run, with every line of its trace for `sink`.
  static func run(
    _ plan: SimPlan, _ seed: UInt64, sink: ((String) -> Void)? = nil, progress: ((Simulation) -> Void)? = nil
  ) -> SimulationReport {
    TrapNotice.during("\nSeed \(seed): a precondition was broken; a debug build says which.\nReplay: \(plan.replay(seed))\n") {
      perform(plan, seed, sink: sink, progress: progress)
    }
  }

  private static func perform(
    _ plan: SimPlan, _ seed: UInt64, sink: ((String) -> Void)?, progress: ((Simulation) -> Void)?
  ) -> SimulationReport {
    let start = Platform.now
    let simulation = plan.simulation(seed)
    simulation.listen(sink)
    if let progress {
      // A network of a thousand nodes takes a while for its first second.
      for part in 0..<Self.parts {
        progress(simulation)
        simulation.run(until: .zero + (simulation.end - .zero) * part / Self.parts)
      }
      progress(simulation)
    }
    let violation = simulation.run()
    var report = simulation.report(replay: plan.replay(seed), realSeconds: (Platform.now - start).seconds)
    if violation != nil && sink == nil { report.lastSteps = lastSteps(plan, seed, of: simulation.steps) }
    return plan.seeds.count == 1 ? report : report.withoutSeries
  }

  /// Runs the seed again, which takes the same steps, and listens to the last of them.
  private static func lastSteps(_ plan: SimPlan, _ seed: UInt64, of steps: UInt64) -> [String] {
    let simulation = plan.simulation(seed)
    while simulation.steps + lastSteps < steps, simulation.step() {}
    var lines: [String] = []
    simulation.listen { lines.append($0) }
    while simulation.step() {}
    return lines.suffix(Int(lastSteps))
  }

  /// How often a single run shows how far it is.
  private static let parts = 200

  /// How far a single run is, on one line.
  private func show(_ simulation: Simulation) {
    let (now, end) = ((simulation.now - .zero).seconds, (simulation.end - .zero).seconds)
    let bar = Self.bar(Int(now * 1_000), of: Int(end * 1_000))
    Output.write(
      "\r\u{1b}[K\(bar) \(Int(now)) of \(Int(end)) s simulated, \(simulation.nodeCount) nodes, \(simulation.steps) steps",
      to: STDERR_FILENO)
  }

  private static func bar(_ done: Int, of all: Int) -> String {
    let filled = all > 0 ? min(30, 30 * done / all) : 0
    return String(repeating: "█", count: filled) + String(repeating: "░", count: 30 - filled)
  }

  private func take() -> UInt64? {
    lock.withLock {
      guard let seed = next else { return nil }
      next = seed < plan.seeds.upperBound ? seed + 1 : nil
      return seed
    }
  }

  private func finish(_ report: SimulationReport) {
    lock.withLock {
      reports.append(report)
      if report.violation != nil { broken += 1 }
      guard showsProgress, plan.seeds.count > 1 else { return }
      let done = reports.count
      let all = plan.seeds.count
      Output.write("\r\u{1b}[K\(Self.bar(done, of: all)) \(done) of \(all) seeds, \(broken) broken", to: STDERR_FILENO)
    }
  }
}
