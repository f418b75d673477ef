import EventLoop
import Foundation
import HostCore
import Identity
import SecureChannel
import Wire

/// What honest peers of a node notice of attacks on it: their pings, measured in calm phases between phases of attack.
///
/// The node is a process, each attacker is another, all on the loopback; attackers use many of its addresses. Attackers, node and honest
/// peers share this machine's processors, so that what an attacker computes is part of what is measured: the generators do little, and
/// `idle` shows what their processes cost without an attack. Bounded in time, in sockets and in messages.
///
///     attack [seconds=6] [rounds=1] [kinds=idle,loris,scan,half-open,headers,flood,requests,gossip,requests-many]
enum AttackBenchmark {
  static func run(_ arguments: [String]) throws {
    let settings = Settings(arguments)
    let seconds = settings.number("seconds", 6)
    let kinds = settings["kinds"].map { $0.split(separator: ",").map(String.init) } ?? Attacker.kinds
    Platform.raiseDescriptorLimit()
    let node = try ChildProcess(["host"])
    defer { node.stop() }
    guard let text = node.line(), let address = try? Multiaddr(text), let port = address.tcpPort,
      let remote = SocketAddress("127.0.0.1", port: port)
    else { return print("the node did not start") }
    let loop = EventLoop(name: "honest")
    try loop.start()
    defer { loop.stop() }
    // From addresses of their own, as honest peers have them.
    let honest = try loop.runAndWait { (1...4).map { Pinger(loop, remote, from: "127.1.0.\($0)") } }
    Thread.sleep(forTimeInterval: 1)
    var ratios: [String: [Double]] = [:]
    func phase(_ name: String, calm: Samples? = nil, _ attack: () throws -> String) throws -> Samples {
      let before = Figures(node.ask("figures"))
      try loop.runAndWait { for pinger in honest { _ = pinger.take() } }
      let said = try attack()
      let samples = Samples(try loop.runAndWait { honest.flatMap { $0.take() } })
      let after = Figures(node.ask("figures"))
      let alive = try loop.runAndWait { honest.count { $0.isAlive } }
      let ratio = calm.map { String(format: " (%.1f× calm)", Double(samples.p99) / Double(max(1, $0.p99))) } ?? ""
      print(
        "\(name): \(samples.count) pings of \(alive) peers, p50 \(samples.p50) µs, p99 \(samples.p99) µs\(ratio), worst \(samples.worst) µs;",
        "node \(ChildProcess.residentBytes(of: node.identifier) >> 20) MiB, reserved \(after["memory"] >> 10) KiB;",
        after.change(since: before))
      if !said.isEmpty { print("    attacker: \(said)") }
      fflush(nil)
      return samples
    }
    for round in 1...settings.number("rounds", 1) {
      for kind in kinds {
        let calm = try phase("round \(round) calm") {
          Thread.sleep(forTimeInterval: Double(seconds))
          return ""
        }
        let attacked = try phase("round \(round) \(kind)", calm: calm) {
          let attacker = try ChildProcess(["attacker", "kind=\(kind)", "port=\(port)", "seconds=\(seconds)", "round=\(round)"])
          defer { attacker.stop() }
          return attacker.line() ?? "the attacker failed"
        }
        ratios[kind, default: []].append(Double(attacked.p99) / Double(max(1, calm.p99)))
        // What was opened is over before the next calm is measured.
        Thread.sleep(forTimeInterval: 2)
      }
    }
    for kind in kinds {
      let sorted = (ratios[kind] ?? []).sorted()
      print("\(kind): p99 at the median \(String(format: "%.1f", sorted[sorted.count / 2])) times calm, of \(sorted.count) rounds")
    }
  }

  /// Microseconds of round trips.
  struct Samples {
    private let sorted: [Int]
    init(_ samples: [Int]) { sorted = samples.sorted() }
    var count: Int { sorted.count }
    var p50: Int { at(0.5) }
    var p99: Int { at(0.99) }
    var worst: Int { sorted.last ?? 0 }
    private func at(_ part: Double) -> Int { sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))] }
  }

  /// The node's own account.
  struct Figures {
    private let values: [String: Int]

    init(_ line: String) {
      values = Dictionary(
        line.split(separator: " ").compactMap { word in
          let parts = word.split(separator: "=")
          return parts.count == 2 ? Int(parts[1]).map { (String(parts[0]), $0) } : nil
        }, uniquingKeysWith: { $1 })
    }

    subscript(_ name: String) -> Int { values[name] ?? 0 }

    /// The counts that have grown.
    func change(since before: Figures) -> String {
      let counts = values.filter { $0.key.contains("/") && $0.value > before[$0.key] }
      return counts.isEmpty
        ? "nothing refused" : counts.sorted { $0.key < $1.key }.map { "\($0.key) +\($0.value - before[$0.key])" }.joined(separator: ", ")
    }
  }
}

/// An honest peer that pings every 5 ms, one ping at a time, as the protocol has it. It comes back when its link is lost.
private final class Pinger: @unchecked Sendable {
  private let loop: EventLoop
  private let remote: SocketAddress
  private let source: String
  private var peer: BarePeer?
  private var stream: StreamID?
  private var sent: Instant?
  private var samples: [Int] = []
  private var timer: LoopTimer?
  private var retry = Instant.zero

  var isAlive: Bool { peer?.isEstablished == true && peer?.isOver == false }

  init(_ loop: EventLoop, _ remote: SocketAddress, from source: String) {
    self.loop = loop
    self.remote = remote
    self.source = source
    connect()
    timer = LoopTimer(on: loop) { [weak self] now in self?.tick(now) }
    timer?.arm(after: .milliseconds(5))
  }

  /// The samples since the last call.
  func take() -> [Int] {
    defer { samples = [] }
    return samples
  }

  private func connect() {
    retry = loop.now + .seconds(1)
    stream = nil
    sent = nil
    guard let descriptor = BarePeer.connect(to: remote, from: source) else { return }
    peer = BarePeer(descriptor, to: remote, on: loop)
    peer?.onOutput = { [weak self] _, output in
      guard let self, case .message(let stream, _) = output, stream == self.stream, let sent else { return }
      samples.append(Int((loop.now - sent).nanoseconds / 1_000))
      self.sent = nil
    }
  }

  private func tick(_ now: Instant) {
    timer?.arm(after: .milliseconds(5))
    guard let peer, !peer.isOver else { return now >= retry ? connect() : () }
    guard peer.isEstablished, sent == nil else { return }
    let stream = stream ?? peer.open(HostProtocols.ping, .fixed(bytes: 32))
    self.stream = stream
    sent = now
    peer.send([UInt8](repeating: 7, count: 32), on: stream)
    peer.flush()
  }
}
