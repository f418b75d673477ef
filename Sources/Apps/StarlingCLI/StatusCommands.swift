import Foundation
import HTTPAPI
import Node
import Wire

/// `starling status`
enum StatusCommand {
  private struct Status: Encodable {
    let node: NodeInfoResponse
    let chain: ChainInfoResponse
    let health: HealthResponse
  }

  private static func words(_ clock: NodeInfoResponse.Clock) -> String {
    let size = abs(clock.aheadSeconds.bounded)
    let others = clock.peers == 1 ? "its only peer" : "the median of \(clock.peers) peers"
    // Within the uncertainty of the comparison nobody can tell them apart.
    if size < max(0.1, clock.uncertaintySeconds.bounded) { return "agrees with \(others)" }
    let seconds = size < 100 ? "\((size * 10).rounded() / 10) s" : "\(Int(size)) s"
    return
      "\(seconds) \(clock.aheadSeconds < 0 ? "behind" : "ahead of") \(others)"
  }

  static func run(_ call: ParsedCommand) throws -> Int32 {
    let api = try NodeAPI(call)
    let status = Status(node: try api.info(), chain: try api.chain(), health: try api.health())
    if call.isOn("json") {
      Output.json(status)
    } else {
      let node = status.node
      var rows: [(String, [String])] = [
        ("Health", HealthCommand.lines(status.health)),
        ("Node", ["\(node.peerID) (\(node.nodeType), Starling \(node.version))"]),
        ("Network", ["\(node.network), chain \(node.chainID)"]),
        ("Head", ["\(node.height) \(node.head)"]),
        (
          "Block time",
          [
            "\(Duration.milliseconds(Int64(clamping: status.chain.blockTimeMilliseconds)).words), \(status.chain.authorities.count) \(status.chain.authorities.count == 1 ? "authority" : "authorities")"
          ]
        ),
        ("Peers", ["\(node.peers)"]),
        ("Mempool", ["\(node.mempool)"]),
        ("Up", [HumanTime.text(node.uptimeSeconds)]),
        ("Listens on", node.addresses.isEmpty ? ["nothing"] : node.addresses),
      ]
      if let production = node.production { rows.insert(("Producer", [production.words]), at: 2) }
      if let clock = node.clock { rows.append(("Clock", [words(clock)])) }
      Output.rows(rows)
    }
    return HealthCommand.status(status.health)
  }
}

/// `starling health`
enum HealthCommand {
  static func run(_ call: ParsedCommand) throws -> Int32 {
    let health = try NodeAPI(call).health()
    if call.isOn("json") { Output.json(health) } else { lines(health).forEach(Output.line) }
    return status(health)
  }

  /// The state and why, then both heads while it is forked and what to look into, each on a line.
  static func lines(_ health: HealthResponse) -> [String] {
    var lines = ["\(health.status.rawValue): \(health.reason)"]
    if let fork = health.fork {
      lines += ["This chain's head: \(fork.height) \(fork.head)", "The other's head: \(fork.otherHeight) \(fork.otherHead)"]
    }
    return lines + (health.warnings ?? []).filter { $0 != health.reason }.map { "Warning: \($0)" }
  }

  static func status(_ health: HealthResponse) -> Int32 { health.status == .healthy ? ExitStatus.success : ExitStatus.unhealthy }
}

extension Double {
  /// The figure, which an API told and which may be any, held inside what can be counted and shown.
  var bounded: Double { self > -1e15 ? min(self, 1e15) : -1e15 }
}

/// Times as an API tells them: they may be any.
enum HumanTime {
  /// Seconds with one unit, for tables.
  static func short(_ seconds: UInt64) -> String { Duration.seconds(Int64(clamping: seconds)).rough }

  /// Seconds as ``text(_:)-(UInt64)`` has them; none for less.
  static func text(_ seconds: Double) -> String { text(UInt64(max(0, seconds.bounded))) }

  /// Seconds as `42 s`, `3 min 20 s`, `2 h` or `4 d 3 h`.
  static func text(_ seconds: UInt64) -> String {
    func both(_ large: UInt64, _ unit: String, _ small: UInt64, _ smallUnit: String) -> String {
      "\(large) \(unit)" + (small == 0 ? "" : " \(small) \(smallUnit)")
    }
    return switch seconds {
    case ..<60: "\(seconds) s"
    case ..<3_600: both(seconds / 60, "min", seconds % 60, "s")
    case ..<86_400: both(seconds / 3_600, "h", seconds / 60 % 60, "min")
    default: both(seconds / 86_400, "d", seconds / 3_600 % 24, "h")
    }
  }
}
