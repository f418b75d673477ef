import Dashboard
import EventLoop
import Foundation
import Node
import Wire

/// `starling localnet`
enum LocalnetCommand {
  static func run(_ call: ParsedCommand) throws -> Int32 {
    let isCheck = call.isOn("check")
    let json = call.isOn("json")
    if json && !isCheck { throw Failure.usage(call, "--json is for --check") }
    var options = try NetworkOptions.read(call, nodes: 5, blockTime: .seconds(1))
    options.lateNodes = 1
    let rate = try Parse.integer(call, "rate", default: 20, in: 1...500)
    let signals = NetworkOptions.takeSignals()
    let network = try LocalNetwork(options)
    let session = NetworkSession(network, screen: Screen(descriptor: json ? STDERR_FILENO : STDOUT_FILENO), signals: signals)
    // 85 s leave time to end five processes; slow blocks need longer.
    if isCheck { session.deadline = Platform.now + max(.seconds(85), options.blockTime * 60) }
    let show = Show(session, rate: rate)
    defer { show.stopStream() }
    do {
      do {
        try show.play()
      } catch let failure as Failure where !isCheck {
        session.say("A check failed: \(failure)")
      }
      if isCheck { return try show.prove(json: json) }
      try show.stayUp()
    } catch is Interrupted {
      session.say("Ending all processes.")
      session.screen.finish()
      signals.unblock()
      show.stopStream()
      let end = session.stopNetwork()
      network.removeDirectory()
      session.screen.print([end.holds ? "All processes have ended, all ports are free." : "Some of it did not end cleanly: \(end.detail)"])
      return isCheck || !end.holds ? ExitStatus.failure : ExitStatus.success
    } catch let failure as Failure {
      NetworkOptions.report(failure, session)
      return ExitStatus.failure
    }
    return ExitStatus.success
  }
}

/// What `localnet` and `torture` have in common.
enum NetworkOptions {
  static func read(_ call: ParsedCommand, nodes: Int, blockTime: Duration) throws -> LocalNetwork.Options {
    var options = LocalNetwork.Options()
    options.nodes = try Parse.integer(call, "nodes", default: nodes, in: 3...20)
    options.blockTime = try Parse.duration(call, "block-time", default: blockTime, in: .milliseconds(100)...(.seconds(60)))
    options.seed = try Parse.unsigned(call, "seed") ?? UInt64.random(in: 0...99_999_999)
    options.directory = call["keep"]
    return options
  }

  /// Before any thread starts, so that the signals come to the session alone.
  static func takeSignals() -> SignalSet {
    let signals = SignalSet([SIGINT, SIGTERM, SIGHUP], keepsIgnored: true)
    signals.block()
    Platform.ignoreBrokenPipes()
    return signals
  }

  /// Tells why a run failed, ends it and leaves its files.
  static func report(_ failure: Failure, _ session: NetworkSession) {
    session.say("Failed: \(failure)")
    session.screen.show(title: "Failed", session.makeTable)
    session.screen.finish()
    session.screen.print(session.makeTable())
    _ = session.stopNetwork()
    session.screen.print([
      "", "FAILED: \(failure)", "Seed \(session.network.options.seed). Keys, data and logs are left in \(session.network.directory)",
    ])
  }

  /// The program as the user would call it.
  static var program: String {
    let path = CommandLine.arguments.first ?? "starling"
    let here = FileManager.default.currentDirectoryPath + "/"
    return path.hasPrefix(here) ? String(path.dropFirst(here.count)) : path
  }
}

/// The acts of the local network: discovery, load, a crash, a late joiner.
private final class Show {
  private let session: NetworkSession
  private let network: LocalNetwork
  private let rate: Int
  private var stream: TransactionStream?
  private var findings: [Finding] = []
  private var random: SeededGenerator

  init(_ session: NetworkSession, rate: Int) {
    self.session = session
    network = session.network
    self.rate = rate
    random = SeededGenerator(seed: network.options.seed &+ 1)
  }

  private var firstNodes: [LocalNode] { Array(network.nodes.prefix(network.options.nodes)) }

  func stopStream() { stream?.stop() }

  func play() throws {
    let nodes = firstNodes
    let blockTime = network.options.blockTime
    session.say(
      "\(nodes.count) processes start; 1 to 3 are authorities, a block every \(blockTime.words).")
    session.say("All but node 1 know one address only: node 1's.")
    session.say("Keys, data and logs are in \(network.directory), seed \(network.options.seed).")
    try session.startNetwork(nodes)
    let counts = nodes.compactMap { session.watch.info($0)?.peers }
    session.say("They have found each other: \(counts.map(String.init).joined(separator: ", ")) peers. The chain grows.")

    let stream = try TransactionStream(network, nodes: nodes, perSecond: rate, seed: random.next())
    self.stream = stream
    session.acceptedCount = { stream.current.accepted.count }
    stream.start()
    session.say("\(rate) signed transactions a second go out over HTTP, to changing nodes.")
    try wait(blocks: 5)

    let victim = nodes[random.index(below: nodes.count)]
    let fallen = session.height
    network.killAbruptly(victim)
    session.watch.forget(victim)
    session.say(
      "Node \(victim.number) (\(victim.role)) is killed with SIGKILL at height \(fallen); "
        + (victim.isAuthority ? "its turns lapse." : "the others go on."))
    try wait(blocks: 5)
    try network.start(victim)
    session.say("Node \(victim.number) starts again with what is on its disk.")
    let back = try session.waitUntilLevel(victim)
    session.say("Node \(victim.number) has caught up: height \(back.height), \(Self.seconds(back.time)) after its start.")
    findings.append(
      Finding(
        name: "killed node caught up", holds: true,
        detail: "node \(victim.number), from \(fallen) to \(back.height) in \(Self.seconds(back.time))"))

    // Enough blocks that the newcomer fetches ranges from several peers.
    try wait(blocks: UInt64(max(1, 14 - Int(clamping: session.height))))
    let late = network.nodes[network.options.nodes]
    try network.start(late)
    session.say("Node \(late.number) joins with an empty folder.")
    let joined = try session.waitUntilLevel(late)
    session.say("Node \(late.number) has fetched the chain: height \(joined.height), \(Self.seconds(joined.time)) after its start.")
    findings.append(
      Finding(
        name: "late joiner caught up", holds: true,
        detail: "node \(late.number), from 0 to \(joined.height) in \(Self.seconds(joined.time))"))
  }

  private func wait(blocks: UInt64) throws {
    let goal = session.height + blocks
    try session.wait(.seconds(15) + network.options.blockTime * Int(blocks) * 3, for: "height \(goal)") { session.height >= goal }
  }

  /// Shows what to try, and stays until Ctrl-C.
  func stayUp() throws {
    let program = NetworkOptions.program
    let api = network.nodes[1].api.url
    let nodes = network.nodes.map { "\($0.number) \($0.api.url)" }
    let apis = stride(from: 0, to: nodes.count, by: 2).map { nodes[$0..<min($0 + 2, nodes.count)].joined(separator: "  ") }
    session.screen.notes =
      [
        ""
      ] + apis.enumerated().map { ($0.offset == 0 ? "APIs: " : "      ") + $0.element } + [
        "Try, in another terminal:",
        "  \(program) peers --api \(api)",
        "  \(program) send --key \(network.walletFile) \\",
        "      --set colour=blue --wait --api \(api)",
        "  \(program) identify \(network.nodes[0].address)", "Ctrl-C ends everything.",
      ]
    if !LiveTable.Terminal.of(STDOUT_FILENO).isInteractive { session.screen.print(session.screen.notes) }
    session.say("Everything is up; the stream goes on.")
    while true { try session.pause(.seconds(60)) }
  }

  /// Ends the stream, verifies everything and prints the summary.
  func prove(json: Bool) throws -> Int32 {
    try wait(blocks: 2)
    guard let stream else { return ExitStatus.failure }
    session.say("The stream ends, blocks take what is pending, all chains are compared.")
    stream.stop()
    let result = try session.verify(stream)
    let memory = session.running.compactMap { $0.pid.flatMap(ProcessFigures.residentBytes) }
    findings = result.findings + findings
    session.say("All processes are asked to end.")
    findings.append(session.stopNetwork())
    session.screen.finish()
    let report = stream.current
    let summary = Summary(
      holds: findings.allSatisfy(\.holds), seed: network.options.seed, nodes: network.nodes.count, blocks: result.height,
      transactions: report.accepted.count, retries: report.retries, refusals: report.refusals, kills: 1,
      seconds: session.screen.elapsed.seconds,
      residentMaximumBytes: memory.max() ?? 0, findings: findings)
    summary.show(session.screen, json: json)
    if summary.holds { network.removeDirectory() } else { session.screen.print(["Keys, data and logs are left in \(network.directory)"]) }
    return summary.holds ? ExitStatus.success : ExitStatus.failure
  }

  private static func seconds(_ time: Duration) -> String { String(format: "%.1f s", time.seconds) }
}
