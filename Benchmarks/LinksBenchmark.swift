import Crypto
import EventLoop
import Foundation
import Identity
import Wire

/// What an idle inbound link costs in resident memory: thousands of them from two client processes over the loopback, with a host of this
/// package and, when its program is there, with go-libp2p beside it.
///
/// go-libp2p's daemon keeps to its default resource limits, which admit a few hundred links on a machine of this size and cannot be set:
/// it is measured with as many as it takes.
///
///     links [links=5000] [go-links=200] [rounds=1] [p2pd=.tools/p2pd]
enum LinksBenchmark {
  static func run(_ arguments: [String]) throws {
    let settings = Settings(arguments)
    let links = settings.number("links", 5_000)
    for round in 1...settings.number("rounds", 1) {
      try measure("starling round \(round)", links) {
        let host = try ChildProcess(["host", "links=\(links)"] + (settings["gossip"].map { ["gossip=\($0)"] } ?? []))
        return (host, host.line() ?? "")
      }
      let program = settings["p2pd"] ?? ".tools/p2pd"
      guard FileManager.default.isExecutableFile(atPath: program) else {
        print("no go-libp2p at \(program)")
        continue
      }
      try measure("go-libp2p round \(round)", min(links, settings.number("go-links", 200))) { try goHost(program) }
    }
  }

  private static func goHost(_ program: String) throws -> (ChildProcess, String) {
    let port = 20_000 + Int(getpid()) % 10_000
    let control = NSTemporaryDirectory() + "p2pd-\(getpid())"
    try? FileManager.default.removeItem(atPath: control)
    let host = try ChildProcess(
      ["-listen", "/unix\(control)", "-hostAddrs", "/ip4/127.0.0.1/tcp/\(port)", "-relay=false", "-relayService=false", "-pubsub"],
      program: program)
    // Its first lines name its control socket and its PeerID.
    while let line = host.line() { if line.contains("Peer ID") { break } }
    return (host, "/ip4/127.0.0.1/tcp/\(port)")
  }

  private static func measure(_ name: String, _ links: Int, _ start: () throws -> (ChildProcess, String)) throws {
    let (host, address) = try start()
    defer { host.stop() }
    // A first client warms up what is made once.
    let warm = try ChildProcess(["idlers", "to=\(address)", "links=50"])
    _ = warm.line()
    settle()
    let before = ChildProcess.residentBytes(of: host.identifier)
    let begin = Platform.now
    let clients = try (0..<2).map { _ in try ChildProcess(["idlers", "to=\(address)", "links=\(links / 2)"]) }
    defer { for client in clients + [warm] { client.stop() } }
    let connected = clients.compactMap { $0.line().flatMap { Int($0) } }.reduce(0, +)
    let elapsed = (Platform.now - begin).seconds
    var worst = 0
    for second in 1...40 {
      Thread.sleep(forTimeInterval: 1)
      worst = max(worst, ChildProcess.residentBytes(of: host.identifier))
      if second == 10 || second == 40 {
        let now = ChildProcess.residentBytes(of: host.identifier)
        let alive = clients.compactMap { Int($0.ask("alive")) }.reduce(0, +)
        print(
          "\(name): \(alive) of \(connected) links in \(String(format: "%.1f", elapsed)) s, idle for \(second) s;",
          "resident \(before >> 20) MiB → \(now >> 20) MiB (at most \(worst >> 20)),",
          String(format: "%.1f KiB a link", Double(now - before) / 1024 / Double(max(1, alive))))
      }
    }
  }

  private static func settle() { Thread.sleep(forTimeInterval: 2) }
}

/// A process that holds many idle links: each proves a key of its own, says what it is when asked, answers pings and asks for nothing.
///
/// Prints how many links it has made, and on each line of its input how many live.
enum Idlers {
  static func run(_ arguments: [String]) throws {
    let settings = Settings(arguments)
    Platform.raiseDescriptorLimit()
    guard let text = settings["to"], let address = try? Multiaddr(text), let ip = address.ipAddress, let port = address.tcpPort,
      let remote = SocketAddress(ipBytes: ip.bytes, port: port)
    else { return print("no address") }
    let wanted = settings.number("links", 100)
    let loop = EventLoop(name: "idlers")
    try loop.start()
    let crowd = Crowd(loop, remote)
    let done = Flag()
    loop.execute { crowd.grow(to: wanted) { done.set() } }
    done.wait()
    print(try loop.runAndWait { crowd.established })
    fflush(nil)
    while readLine() != nil {
      print(try loop.runAndWait { crowd.established })
      fflush(nil)
    }
  }

  private final class Crowd: @unchecked Sendable {
    private let loop: EventLoop
    private let remote: SocketAddress
    private var peers: [ObjectIdentifier: BarePeer] = [:]
    private var tries = 0
    private var wanted = 0
    private var done: () -> Void = {}
    private var deadline: LoopTimer?
    var established: Int { peers.values.count { $0.isEstablished } }

    init(_ loop: EventLoop, _ remote: SocketAddress) {
      self.loop = loop
      self.remote = remote
    }

    func grow(to count: Int, _ done: @escaping () -> Void) {
      wanted = count
      self.done = done
      let timer = LoopTimer(on: loop) { [weak self] _ in self?.finish() }
      timer.arm(after: .seconds(120))
      deadline = timer
      for _ in 0..<32 { next() }
    }

    private func finish() {
      deadline?.close()
      deadline = nil
      done()
      done = {}
    }

    private func next() {
      guard tries < wanted + 100, peers.count < wanted else { return }
      tries += 1
      guard let descriptor = BarePeer.connect(to: remote, from: "127.0.0.1"), let peer = BarePeer(descriptor, to: remote, on: loop) else {
        return
      }
      peers[ObjectIdentifier(peer)] = peer
      peer.onOutput = { [weak self] _, output in
        guard let self, case .established = output else { return }
        if established >= wanted { finish() } else { next() }
      }
      peer.onEnd = { [weak self] peer in
        guard let self else { return }
        peers[ObjectIdentifier(peer)] = nil
        if deadline != nil { next() }
      }
    }
  }
}
