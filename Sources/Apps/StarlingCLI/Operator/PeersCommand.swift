import Dashboard
import EventLoop
import Foundation
import HTTPAPI
import Identity
import Node
import Wire

/// `starling peers`
enum PeersCommand {
  static func run(_ call: ParsedCommand) throws -> Int32 {
    let api = try NodeAPI(call)
    if call.isOn("dialling") { return show(try api.dials(), call) }
    if call.isOn("json") {
      Output.json(try api.peers())
      return ExitStatus.success
    }
    let terminal = LiveTable.Terminal.of(STDOUT_FILENO)
    if terminal.isInteractive && !call.isOn("once") { return try live(api) }
    let peers = try api.peers().peers
    guard !peers.isEmpty else {
      Output.line("No peers. 'starling health' says why.")
      return ExitStatus.success
    }
    Output.table(table(peers).lines(width: terminal.width, colours: terminal.colours))
    return ExitStatus.success
  }

  /// Whom the node dials, what went wrong last, and when it tries again.
  private static func show(_ answer: DialsResponse, _ call: ParsedCommand) -> Int32 {
    if call.isOn("json") {
      Output.json(answer)
      return ExitStatus.success
    }
    if answer.dials.isEmpty { Output.line("This node dials no peer: none is configured, and none waits to be tried again.") }
    for dial in answer.dials {
      Output.line("\(dial.peerID ?? "peer not known") (\(dial.role)) at \(dial.addresses.joined(separator: ", "))")
      let next = dial.nextSeconds.map { $0 < 1 ? "retrying now" : "next try in \(HumanTime.text($0.rounded(.up)))" }
      Output.line("  " + [dial.state, dial.detail, next].compactMap(\.self).joined(separator: "; "))
      if let last = dial.last { Output.line("  \(HumanTime.text(last.secondsAgo)) ago at \(last.address): \(last.words)") }
    }
    return ExitStatus.success
  }

  /// Draws the list again each second until q, Ctrl-C or a signal to end.
  private static func live(_ api: NodeAPI) throws -> Int32 {
    let signals = SignalSet([SIGINT, SIGTERM, SIGHUP])
    signals.block()
    let keys = Keys()
    let screen = LiveTable()
    defer {
      screen.finish()
      keys.restore()
    }
    // A node that is not there at the start is an error; later it may come back.
    var answer: PeersResponse? = try api.peers()
    var fault = ""
    while true {
      let count = answer?.peers.count { $0.state == "active" } ?? 0
      let title = "Peers of \(api.url) · \(count) active · q ends" + (fault.isEmpty ? "" : " · \(fault)")
      screen.show(title: [title, ""], table(answer?.peers ?? []))
      let frame = Platform.now + .seconds(1)
      while Platform.now < frame {
        if signals.wait(for: .zero) != nil || keys.next(within: min(.milliseconds(100), frame - Platform.now)) == UInt8(ascii: "q") {
          return ExitStatus.success
        }
      }
      do throws(HTTPClientError) {
        answer = try api.peers()
        fault = ""
      } catch {
        fault = error.description
      }
    }
  }

  static func table(_ peers: [PeersResponse.Peer]) -> TerminalTable {
    var table = TerminalTable([
      .init("PEER"), .init("DIR", rank: 1), .init("STATE", rank: 2), .init("HEIGHT", alignedRight: true, rank: 3),
      .init("TOLD", alignedRight: true, rank: 8), .init("RTT", alignedRight: true, rank: 4), .init("SCORE", alignedRight: true, rank: 5),
      .init("AGE", alignedRight: true, rank: 6), .init("ROLE", rank: 7), .init("WHY", rank: 9), .init("ADDRESS", rank: 10),
      .init("NETGROUP", rank: 11), .init("AGENT", rank: 12),
    ])
    table.rows = peers.map(row)
    return table
  }

  private static func row(_ peer: PeersResponse.Peer) -> [TerminalTable.Cell] {
    let isTrusted = peer.trusted == true
    let role = [peer.role, isTrusted ? "trusted" : nil].compactMap(\.self).joined(separator: ", ")
    let score = peer.score.map { Int($0.bounded.rounded()) }
    let short: String? = if let text = peer.peerID, let id = try? PeerID(text: text) { id.short } else { nil }
    var row: [TerminalTable.Cell] = [.init(peer.peerID ?? "?", short: short)]
    row.append(.init(direction(peer)))
    row.append(.init(peer.state, peer.state == "active" ? .good : .warning))
    row.append(.init(peer.height.map { "\($0)" } ?? ""))
    row.append(.init(peer.heightSeconds.map(HumanTime.short) ?? ""))
    row.append(.init(peer.rttMilliseconds.map { String(format: $0 < 100 ? "%.1f ms" : "%.0f ms", $0.bounded) } ?? ""))
    row.append(.init(score.map { "\($0)" } ?? "", score ?? 0 >= 1 ? .bad : .plain))
    row.append(.init(peer.connectedSeconds.map(HumanTime.short) ?? ""))
    row.append(.init(role, isTrusted ? .strong : .plain))
    row.append(contentsOf: [.init(peer.reason ?? ""), .init(peer.address), .init(peer.netgroup ?? ""), .init(peer.agent ?? "", .faint)])
    return row
  }

  private static func direction(_ peer: PeersResponse.Peer) -> String {
    switch peer.direction {
    case "inbound": "in"
    case "outbound": "out"
    case let other: other ?? ""
    }
  }
}

/// Keys as they are pressed, while standard input is a terminal.
private final class Keys {
  private var former = termios()
  private let isTerminal: Bool

  init() {
    isTerminal = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &former) == 0
    guard isTerminal else { return }
    var raw = former
    raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
    tcsetattr(STDIN_FILENO, TCSANOW, &raw)
  }

  /// Gives the terminal back as it was.
  func restore() { if isTerminal { tcsetattr(STDIN_FILENO, TCSANOW, &former) } }

  /// The next key; `nil` when none is pressed in time.
  func next(within time: Duration) -> UInt8? {
    let milliseconds = Int32(max(1, time.milliseconds))
    guard isTerminal else {
      usleep(UInt32(milliseconds) * 1_000)
      return nil
    }
    var entry = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
    guard poll(&entry, 1, milliseconds) > 0 else { return nil }
    var byte: UInt8 = 0
    return read(STDIN_FILENO, &byte, 1) == 1 ? byte : nil
  }
}
