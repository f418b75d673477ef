import EventLoop
import Foundation
import HostCore
import Identity
import SecureChannel
import Wire

/// What honest peers of a node notice of attacks on it: their pings, measured in calm phases between phases of attack; and what the attack
/// costs the node and the attacker.
///
/// The node is a process, each attacker is another, all on the loopback; attackers use many of its addresses. Attackers, node and honest
/// peers share this machine's processors, so that what an attacker computes is part of what is measured: the generators do little, and
/// `idle` shows what their processes cost without an attack. Bounded in time, in sockets and in messages.
///
///     attack [seconds=6] [rounds=1] [kinds=idle,loris,scan,half-open,headers,flood,requests,gossip,requests-many,
///                                          chain-idle,orphans,forged-parents,ids,json,providers,heights]
///
/// The second line of kinds is for `starling node`, which has to be built beside this program; the first for a host without a chain.
enum AttackBenchmark {
  static func run(_ arguments: [String]) throws {
    let settings = Settings(arguments)
    let all = Attacker.kinds + Attacker.chainKinds
    let kinds = settings["kinds"].map { $0.split(separator: ",").map(String.init) } ?? all
    Platform.raiseDescriptorLimit()
    for (known, make) in [(Attacker.kinds, { try HostVictim() as any Victim }), (Attacker.chainKinds, { try NodeVictim() })] {
      let kinds = kinds.filter(known.contains)
      guard !kinds.isEmpty else { continue }
      let victim = try make()
      defer { victim.stop() }
      try run(kinds, on: victim, seconds: settings.number("seconds", 6), rounds: settings.number("rounds", 1))
    }
  }

  private static func run(_ kinds: [String], on victim: any Victim, seconds: Int, rounds: Int) throws {
    guard let remote = SocketAddress("127.0.0.1", port: victim.port) else { return }
    let loop = EventLoop(name: "honest")
    try loop.start()
    defer { loop.stop() }
    // From addresses of their own, as honest peers have them.
    let chain = victim.chain
    let honest = try loop.runAndWait { (1...4).map { Pinger(loop, remote, from: "127.1.0.\($0)", chain: chain) } }
    Thread.sleep(forTimeInterval: 1)
    var ratios: [String: [Double]] = [:]
    var costs: [String: [Double]] = [:]
    func phase(_ name: String, calm: Phase? = nil, _ attack: () throws -> (said: String, cpu: Double)) throws -> Phase {
      let before = victim.figures()
      let (began, cpu) = (Platform.now, processorSeconds(of: victim.identifier))
      try loop.runAndWait { for pinger in honest { _ = pinger.take() } }
      let (said, attackerCPU) = try attack()
      let samples = Samples(try loop.runAndWait { honest.flatMap { $0.take() } })
      let (took, spent) = ((Platform.now - began).seconds, processorSeconds(of: victim.identifier) - cpu)
      let after = victim.figures()
      let alive = try loop.runAndWait { honest.count { $0.isAlive } }
      let ratio = calm.map { String(format: " (%.1f× calm)", Double(samples.p99) / Double(max(1, $0.samples.p99))) } ?? ""
      let blocks = victim.chain == nil ? "" : String(format: " %d blocks in %.0f s;", after["height"] - before["height"], took)
      print(
        "\(name): \(samples.count) pings of \(alive) peers, p50 \(samples.p50) µs, p99 \(samples.p99) µs\(ratio), worst \(samples.worst) µs;\(blocks)",
        "node \(ChildProcess.residentBytes(of: victim.identifier) >> 20) MiB, reserved \(after["memory"] >> 10) KiB;",
        after.change(since: before))
      if let calm {
        let extra = max(0, spent - calm.cpuPerSecond * took)
        costs[String(name.split(separator: " ").last ?? ""), default: []].append(extra / max(0.01, attackerCPU))
        print(String(format: "    CPU: node %.2f s above calm, attacker %.2f s. Attacker: \(said)", extra, attackerCPU))
      }
      fflush(nil)
      return Phase(samples: samples, cpuPerSecond: spent / max(0.1, took))
    }
    for round in 1...rounds {
      for kind in kinds {
        let calm = try phase("round \(round) calm") {
          Thread.sleep(forTimeInterval: Double(seconds))
          return ("", 0)
        }
        let attacked = try phase("round \(round) \(kind)", calm: calm) {
          let words = ["kind=\(kind)", "port=\(victim.port)", "seconds=\(seconds)", "round=\(round)"] + (victim.chain?.words ?? [])
          let attacker = try ChildProcess(["attacker"] + words)
          defer { attacker.stop() }
          return (attacker.line() ?? "failed", processorSeconds(of: attacker.identifier))
        }
        ratios[kind, default: []].append(Double(attacked.samples.p99) / Double(max(1, calm.samples.p99)))
        // What was opened is over before the next calm is measured.
        Thread.sleep(forTimeInterval: 2)
      }
    }
    for kind in kinds {
      func median(_ values: [Double]?) -> Double { (values ?? [0]).sorted()[(values?.count ?? 1) / 2] }
      print(
        String(
          format: "\(kind): p99 at the median %.1f times calm; the node pays %.2f of the attacker's CPU; \(rounds) rounds",
          median(ratios[kind]), median(costs[kind])))
    }
  }

  private struct Phase {
    let samples: Samples
    let cpuPerSecond: Double
  }

  /// What a process has computed, the kernel's work for it included.
  private static func processorSeconds(of process: Int32) -> Double {
    let text = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
    // The name, in parentheses, may hold blanks.
    let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
    return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
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
  private let chain: ChainFacts?
  private var peer: BarePeer?
  private var introduction: StreamID?
  private var isIntroduced = false
  private var stream: StreamID?
  private var sent: Instant?
  private var samples: [Int] = []
  private var timer: LoopTimer?
  private var retry = Instant.zero

  var isAlive: Bool { peer?.isEstablished == true && peer?.isOver == false }

  init(_ loop: EventLoop, _ remote: SocketAddress, from source: String, chain: ChainFacts?) {
    self.chain = chain
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
    introduction = nil
    isIntroduced = chain == nil
    guard let descriptor = BarePeer.connect(to: remote, from: source) else { return }
    peer = BarePeer(descriptor, to: remote, on: loop)
    peer?.onOutput = { [weak self] _, output in
      guard let self, case .message(let stream, _) = output else { return }
      if stream == introduction { isIntroduced = true }
      guard stream == self.stream, let sent else { return }
      samples.append(Int((loop.now - sent).nanoseconds / 1_000))
      self.sent = nil
    }
  }

  private func tick(_ now: Instant) {
    timer?.arm(after: .milliseconds(5))
    guard let peer, !peer.isOver else { return now >= retry ? connect() : () }
    guard peer.isEstablished, sent == nil else { return }
    if !isIntroduced {
      if introduction == nil { introduction = chain?.introduce(peer) }
      return peer.flush()
    }
    let stream = stream ?? peer.open(HostProtocols.ping, .fixed(bytes: 32))
    self.stream = stream
    sent = now
    peer.send([UInt8](repeating: 7, count: 32), on: stream)
    peer.flush()
  }
}
