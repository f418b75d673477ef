import Dashboard
import EventLoop
import Foundation
import Wire
import HTTPAPI

/// The user pressed Ctrl-C, or the process was asked to end.
struct Interrupted: Error {}

/// A running local network with its screen: waits for things to happen and shows them meanwhile.
final class NetworkSession {
  let network: LocalNetwork
  let watch: NetworkWatch
  let screen: Screen
  /// When everything has to be over; `nil` for never.
  var deadline: Instant?
  /// How many transactions were accepted, for the title.
  var acceptedCount: () -> Int = { 0 }
  private let signals: SignalSet

  /// Takes a network; `signals` are blocked already.
  init(_ network: LocalNetwork, screen: Screen, signals: SignalSet) {
    self.network = network
    self.screen = screen
    self.signals = signals
    watch = NetworkWatch(network.nodes)
  }

  /// Nodes that run.
  var running: [LocalNode] { network.nodes.filter { $0.phase == .running } }

  /// The greatest height that any node shows.
  var height: UInt64 { watch.infos.map(\.height).max() ?? 0 }

  func say(_ sentence: String) { screen.say(sentence) }

  /// Lets time go by.
  func pause(_ time: Duration) throws {
    let end = Platform.now + time
    repeat { try tick(min(.milliseconds(100), end - Platform.now)) } while Platform.now < end
  }

  /// Waits until something holds.
  ///
  /// - Throws: ``Failure`` that names what was waited for when the time is over, or when a node ends by itself.
  func wait(_ limit: Duration, for what: String, until condition: () -> Bool) throws {
    let end = min(Platform.now + limit, deadline ?? .distantFuture)
    while !condition() {
      guard Platform.now < end else { throw Failure("gave up waiting for \(what)") }
      try tick(.milliseconds(50))
    }
  }

  private func tick(_ time: Duration) throws {
    screen.show(title: title, makeTable)
    if signals.wait(for: time) != nil { throw Interrupted() }
    if let node = network.findEnded().first, case .ended(let status) = node.phase {
      throw Failure("\(node.name) ended by itself with status \(status); its log ends:\n" + logEnd(node))
    }
  }

  /// The last lines of a node's log.
  func logEnd(_ node: LocalNode) -> String {
    let text = (try? String(contentsOfFile: node.logFile, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").suffix(8).map { "    " + $0 }.joined(separator: "\n")
  }

  private var title: String {
    "Starling local network · \(running.count) processes · \(HumanTime.text(UInt64(max(0, screen.elapsed.seconds)))) · "
      + "\(acceptedCount()) transactions accepted"
  }

  /// The nodes as they are.
  func makeTable() -> TerminalTable {
    var table = TerminalTable([
      .init("NODE"), .init("ROLE", rank: 2), .init("PID", alignedRight: true, rank: 3), .init("HEIGHT", alignedRight: true),
      .init("HEAD", rank: 4), .init("PEERS", alignedRight: true, rank: 1), .init("MEMPOOL", alignedRight: true, rank: 1), .init("STATE"),
    ])
    for node in network.nodes {
      let info = node.phase == .running ? watch.info(node) : nil
      let state: TerminalTable.Cell =
        switch node.phase {
        case .notStarted: .init("joins later", .faint)
        case .killed: .init("killed", .bad)
        case .stopped: .init("stopped", .faint)
        case .ended(let status): .init("ended with status \(status)", .bad)
        case .running: info.map { .init($0.health, $0.health == "healthy" ? .good : .warning) } ?? .init("starting", .warning)
        }
      table.rows.append([
        .init("\(node.number)", .strong), .init(node.role), .init(node.pid.map { "\($0)" } ?? ""), .init(info.map { "\($0.height)" } ?? ""),
        .init(info.map { String($0.head.prefix(12)) } ?? "", .faint), .init(info.map { "\($0.peers)" } ?? ""),
        .init(info.map { "\($0.mempool)" } ?? ""), state,
      ])
    }
    return table
  }

  // MARK: Steps that several commands take

  /// Starts nodes and waits until they produce blocks and each has found two others.
  func startNetwork(_ nodes: [LocalNode]) throws {
    for node in nodes { try network.start(node) }
    try wait(.seconds(30), for: "every node to have two peers and a first block") {
      nodes.allSatisfy { node in watch.info(node).map { $0.peers >= 2 && $0.height >= 1 } ?? false }
    }
  }

  /// Waits until a node that was started is as high as the others were then.
  ///
  /// - Returns: how long that took, and its height.
  func waitUntilLevel(_ node: LocalNode) throws -> (time: Duration, height: UInt64) {
    let begin = Platform.now
    let others = running.filter { $0 !== node }
    let goal = others.compactMap { watch.info($0)?.height }.max() ?? 0
    try wait(.seconds(30), for: "\(node.name) to catch up with height \(goal)") {
      watch.info(node).map { $0.height >= goal && $0.peers >= 1 && $0.health != "syncing" } ?? false
    }
    return (Platform.now - begin, watch.info(node)?.height ?? 0)
  }

  /// Waits until no transaction is pending and all nodes that run are level, then verifies; what a fork of the last moment can
  /// explain gets a second and a third chance.
  func verify(_ stream: TransactionStream) throws -> Verification.Result {
    let nodes = running
    func everyNode(_ condition: (NodeInfoResponse) -> Bool) -> Bool { nodes.allSatisfy { watch.info($0).map(condition) ?? false } }
    try wait(.seconds(25), for: "all mempools to drain") { everyNode { $0.mempool == 0 } }
    try wait(.seconds(25), for: "every node to have two peers") { everyNode { $0.peers >= 2 } }
    var result = Verification.Result()
    for _ in 0..<3 {
      // A block from now on holds whatever was pending on any node a moment ago.
      let goal = height + 1
      try wait(.seconds(10) + network.options.blockTime * 4, for: "every node to reach height \(goal)") {
        nodes.allSatisfy { (watch.info($0)?.height ?? 0) >= goal }
      }
      result = Verification.run(nodes, genesis: network.chain.hex, accepted: stream.current.accepted.map(\.hash))
      if result.holds { break }
    }
    return result
  }

  /// Ends everything and adds what is to be found then.
  func stopNetwork() -> Finding {
    watch.stop()
    let faults = network.stop()
    let ports = network.portsInUse()
    let detail = faults + (ports.isEmpty ? [] : ["still in use: ports \(ports.map(String.init).joined(separator: ", "))"])
    return Finding(
      name: "all processes ended, ports free", holds: detail.isEmpty,
      detail: detail.isEmpty ? "\(network.nodes.count * 2) ports" : detail.joined(separator: "; "))
  }
}
