import EventLoop
import Foundation
import HTTPAPI
import Node
import Wire

/// `starling torture`
enum TortureCommand {
  static func run(_ call: ParsedCommand) throws -> Int32 {
    let json = call.isOn("json")
    let kills = try Parse.integer(call, "kills", default: 20, in: 1...10_000)
    let rate = try Parse.integer(call, "rate", default: 50, in: 1...500)
    var options = try NetworkOptions.read(call, nodes: 4, blockTime: .milliseconds(500))
    options.lateNodes = 0
    let signals = NetworkOptions.takeSignals()
    let network = try LocalNetwork(options)
    let session = NetworkSession(network, screen: Screen(descriptor: json ? STDERR_FILENO : STDOUT_FILENO), signals: signals)
    let torture = Torture(session, kills: kills)
    do {
      let stream = try torture.begin(rate: rate)
      defer { stream.stop() }
      try torture.kill(stream)
      return try torture.prove(stream, json: json)
    } catch is Interrupted {
      session.screen.finish()
      signals.unblock()
      _ = session.stopNetwork()
      network.removeDirectory()
      return ExitStatus.failure
    } catch let failure as Failure {
      NetworkOptions.report(failure, session)
      return ExitStatus.failure
    }
  }
}

/// Kills nodes at random moments and looks at what they have on disk.
private final class Torture {
  private let session: NetworkSession
  private let network: LocalNetwork
  private let kills: Int
  private var random: SeededGenerator
  private var reopened: [Duration] = []

  init(_ session: NetworkSession, kills: Int) {
    self.session = session
    self.kills = kills
    network = session.network
    random = SeededGenerator(seed: network.options.seed &+ 1)
  }

  func begin(rate: Int) throws -> TransactionStream {
    session.say(
      "\(network.nodes.count) nodes start, with a block every \(network.options.blockTime.words). Seed \(network.options.seed)")
    try session.startNetwork(network.nodes)
    let stream = try TransactionStream(network, nodes: network.nodes, perSecond: rate, seed: random.next())
    session.acceptedCount = { stream.current.accepted.count }
    stream.start()
    session.say("The chain grows, \(rate) transactions a second go out; now nodes are killed, \(kills) times.")
    return stream
  }

  func kill(_ stream: TransactionStream) throws {
    for round in 1...kills {
      try session.pause(random.jitter(.milliseconds(400)))
      let victim = network.nodes[random.index(below: network.nodes.count)]
      let shown = (try? victim.api.info())?.height ?? 0
      network.killAbruptly(victim)
      session.watch.forget(victim)
      let accepted = stream.current.accepted.suffix(2_000).filter { $0.node == victim.number }.map(\.hash)
      do { _ = try StoreInspection.run(victim, network, shown: shown, accepted: accepted) } catch {
        throw Failure("after kill \(round) the store of \(victim.name) is not consistent: \(error)")
      }
      let begin = Platform.now
      try network.start(victim)
      var height: UInt64?
      try session.wait(.seconds(20), for: "\(victim.name) to answer after kill \(round)") {
        height = (try? victim.api.info())?.height
        return height != nil
      }
      reopened.append(Platform.now - begin)
      guard let height, height >= shown else {
        throw Failure("after kill \(round) \(victim.name) is at height \(height ?? 0) and had shown \(shown)")
      }
      session.say("Kill \(round) of \(kills): node \(victim.number) at height \(shown); its store is whole, it is back at \(height).")
    }
  }

  func prove(_ stream: TransactionStream, json: Bool) throws -> Int32 {
    session.say("The kills are over; the stream ends, and every node's chain is read and compared.")
    stream.stop()
    let result = try session.verify(stream)
    let memory = session.running.compactMap { $0.pid.flatMap(ProcessFigures.residentBytes) }
    var findings = result.findings
    let slowest = reopened.max()?.milliseconds ?? 0
    findings.append(
      Finding(
        name: "every reopened store consistent", holds: true,
        detail: "\(reopened.count) of \(kills), back in \(Int(slowest.rounded())) ms at most"))
    findings.append(session.stopNetwork())
    session.screen.finish()
    let report = stream.current
    let summary = Summary(
      holds: findings.allSatisfy(\.holds), seed: network.options.seed, nodes: network.nodes.count, blocks: result.height,
      transactions: report.accepted.count, retries: report.retries, refusals: report.refusals, kills: reopened.count,
      seconds: session.screen.elapsed.seconds, residentMaximumBytes: memory.max() ?? 0, findings: findings)
    summary.show(session.screen, json: json)
    if summary.holds { network.removeDirectory() } else { session.screen.print(["Keys, data and logs are left in \(network.directory)"]) }
    return summary.holds ? ExitStatus.success : ExitStatus.failure
  }
}
