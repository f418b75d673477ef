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
    for _ in 0..<min(Platform.processorCount, plan.seeds.count) {
      group.enter()
      let thread = Thread { [self] in
        while let seed = take() { finish(SimCampaign.run(plan, seed)) }
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
  static func run(_ plan: SimPlan, _ seed: UInt64, sink: ((String) -> Void)? = nil) -> SimulationReport {
    TrapNotice.during("\nSeed \(seed): a precondition was broken; a debug build says which.\nReplay: \(plan.replay(seed))\n") {
      perform(plan, seed, sink: sink)
    }
  }

  private static func perform(_ plan: SimPlan, _ seed: UInt64, sink: ((String) -> Void)?) -> SimulationReport {
    let start = Platform.now
    let simulation = plan.simulation(seed)
    simulation.listen(sink)
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
      guard showsProgress else { return }
      let done = reports.count
      let all = plan.seeds.count
      let filled = 30 * done / all
      let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 30 - filled)
      Output.write("\r\u{1b}[K\(bar) \(done) of \(all) seeds, \(broken) broken", to: STDERR_FILENO)
    }
  }
}
