import EventLoop
import Foundation
import HostCore
import Identity
import SecureChannel
import Wire

/// What honest peers of a node notice of attacks on it: their pings, and how late blocks reach them, measured in calm phases between phases
/// of attack; and what the attack costs the node and the attacker.
///
/// The node is a process, each attacker is another, all in a network namespace of their own, in which all addresses from 20.0.0.0/8 are this
/// machine's and count as public: an attack comes from 250 addresses of one /24, or from one. Attackers, node and honest
/// peers share this machine's processors, so that what an attacker computes is part of what is measured: the generators do little, and
/// `idle` shows what their processes cost without an attack. Bounded in time, in sockets and in messages.
///
///     attack [seconds=5] [rounds=1] [network=20] [kinds=idle,loris,scan,half-open,headers,flood,requests,gossip,requests-many,
///                                          chain-idle,orphans,forged-parents,ids,json,providers,heights]
///
/// `network=127` stays on the loopback, where a whole network does not count as one. The second line of kinds is for `starling node`, which has
/// to be built beside this program; the first for a host without a chain.
enum AttackBenchmark {
  static func run(_ arguments: [String]) throws {
    let settings = Settings(arguments)
    if settings["network"] == nil { try enterNamespace(arguments) }
    let network = settings["network"] ?? "127"
    let all = Attacker.kinds + Attacker.chainKinds
    let kinds = settings["kinds"].map { $0.split(separator: ",").map(String.init) } ?? all
    Platform.raiseDescriptorLimit()
    for (known, make) in [(Attacker.kinds, { try HostVictim() as any Victim }), (Attacker.chainKinds, { try NodeVictim() })] {
      let kinds = kinds.filter(known.contains)
      guard !kinds.isEmpty else { continue }
      let victim = try make()
      defer { victim.stop() }
      try run(kinds, on: victim, in: network, seconds: settings.number("seconds", 5), rounds: settings.number("rounds", 1))
    }
  }

  /// Begins anew in a network namespace.
  private static func enterNamespace(_ arguments: [String]) throws {
    let network = "20"
    let setUp = "ip link set lo up && ip address add \(network).0.0.0/8 dev lo && exec \"$0\" attack network=\(network) \"$@\""
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().path
    let words = ["unshare"] + (geteuid() == 0 ? [] : ["--map-root-user"]) + ["--net", "sh", "-c", setUp, program] + arguments
    execvp("unshare", words.map { strdup($0) } + [nil])
    throw VictimFailure("unshare cannot be run: \(String(cString: strerror(errno)))")
  }

  private static func run(_ kinds: [String], on victim: any Victim, in network: String, seconds: Int, rounds: Int) throws {
    guard let remote = SocketAddress("\(network).0.0.1", port: victim.port) else { return }
    let loop = EventLoop(name: "honest")
    try loop.start()
    defer { loop.stop() }
    // From addresses of their own, as honest peers have them.
    let chain = victim.chain
    let honest = try loop.runAndWait { (1...4).map { HonestPeer(loop, remote, from: "\(network).1.0.\($0)", chain: chain) } }
    Thread.sleep(forTimeInterval: 2)
    var results: [String: [Result]] = [:]
    /// What happens while `attack` runs, which tells what it did and computed.
    func phase(_ name: String, after calm: Phase? = nil, _ attack: () throws -> (said: String, cpu: Double)) throws -> (Phase, Double) {
      let before = victim.figures()
      try loop.runAndWait { for peer in honest { _ = peer.take() } }
      let (began, cpu) = (Platform.now, ChildProcess.processorSeconds(of: victim.identifier))
      let (said, attackerCPU) = try attack()
      let (took, spent) = ((Platform.now - began).seconds, ChildProcess.processorSeconds(of: victim.identifier) - cpu)
      let seen = try loop.runAndWait { honest.map { $0.take() } }
      let phase = Phase(
        pings: Samples(seen.flatMap(\.pings)), blocks: seen.map(\.delays.count).max() ?? 0, delays: Samples(seen.flatMap(\.delays)),
        seconds: took,
        cpu: spent)
      let after = victim.figures()
      let alive = try loop.runAndWait { honest.count { $0.isAlive } }
      print("\(name): \(phase.described(beside: calm, hasChain: chain != nil)) \(alive) of 4 honest peers linked;")
      print(
        "    node \(ChildProcess.residentBytes(of: victim.identifier) >> 20) MiB, reserved \(after["memory"] >> 10) KiB;",
        after.change(since: before) + (said.isEmpty ? "" : ". Attacker: \(said)"))
      fflush(nil)
      return (phase, attackerCPU)
    }
    for round in 1...rounds {
      for kind in kinds {
        let (calm, _) = try phase("round \(round) calm") {
          Thread.sleep(forTimeInterval: Double(seconds))
          return ("", 0)
        }
        let (attacked, attackerCPU) = try phase("round \(round) \(kind)", after: calm) {
          let words =
            ["kind=\(kind)", "network=\(network)", "port=\(victim.port)", "seconds=\(seconds)", "round=\(round)"]
            + (victim.chain?.words ?? [])
          let attacker = try ChildProcess(["attacker"] + words)
          defer { attacker.stop() }
          guard let line = attacker.line(), let cpu = Settings(line.split(separator: " ").map(String.init)).seconds("cpu") else {
            throw VictimFailure("the attacker failed")
          }
          return (line, cpu)
        }
        results[kind, default: []].append(Result(calm: calm, attacked: attacked, attackerCPU: attackerCPU))
        // What was opened is over before the next calm is measured.
        Thread.sleep(forTimeInterval: 2)
      }
    }
    print(
      "attack: p99 of pings, times calm; CPU of node above calm and of attacker, in s; blocks and the latest of them in ms; the median of \(rounds)"
    )
    for kind in kinds { print(Result.median(results[kind] ?? []).row(kind, hasChain: chain != nil)) }
    fflush(nil)
  }

  /// What the honest peers and the kernel have seen for some seconds.
  private struct Phase {
    let pings: Samples
    let blocks: Int
    let delays: Samples
    let seconds: Double
    let cpu: Double

    func described(beside calm: Phase?, hasChain: Bool) -> String {
      let ratio = calm.map { String(format: " (%.1f× calm)", Double(pings.p99) / Double(max(1, $0.pings.p99))) } ?? ""
      let blocks = hasChain ? String(format: " \(blocks) blocks in %.1f s, at worst \(delays.worst) ms late;", seconds) : ""
      return String(
        format: "\(pings.count) pings, p50 \(pings.p50) µs, p99 \(pings.p99) µs\(ratio), worst \(pings.worst) µs;\(blocks) CPU %.2f s;", cpu
      )
    }
  }

  /// An attack beside the calm before it.
  private struct Result {
    var latency: Double
    var nodeCPU: Double
    var attackerCPU: Double
    var missedBlocks: Double
    var blockDelay: Double

    init(calm: Phase, attacked: Phase, attackerCPU: Double) {
      latency = Double(attacked.pings.p99) / Double(max(1, calm.pings.p99))
      nodeCPU = max(0, attacked.cpu - calm.cpu / max(0.1, calm.seconds) * attacked.seconds)
      self.attackerCPU = attackerCPU
      missedBlocks = max(0, attacked.seconds.rounded(.down) - Double(attacked.blocks))
      blockDelay = Double(attacked.delays.worst)
    }

    static func median(_ results: [Result]) -> Result {
      var middle = results[0]
      for path in [\Result.latency, \.nodeCPU, \.attackerCPU, \.missedBlocks, \.blockDelay] {
        middle[keyPath: path] = results.map { $0[keyPath: path] }.sorted()[results.count / 2]
      }
      return middle
    }

    func row(_ kind: String, hasChain: Bool) -> String {
      let name = kind.padding(toLength: 16, withPad: " ", startingAt: 0)
      let blocks = hasChain ? String(format: "; %.0f blocks missed, the latest %.0f ms late", missedBlocks, blockDelay) : ""
      return String(
        format: "\(name) p99 %5.1f× calm; node %6.3f s, attacker %6.3f s, ratio %5.2f\(blocks)", latency, nodeCPU, attackerCPU,
        nodeCPU / max(0.001, attackerCPU))
    }
  }

  /// Numbers, in order.
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
