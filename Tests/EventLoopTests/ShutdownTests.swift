import EventLoop
import Glibc
import Testing
import Wire

/// Each runs in a process of its own, since it counts the process's threads and descriptors, or changes the process as a whole.
@Suite
struct ShutdownTests {
  @Test func stopLeavesNoThreadAndNoDescriptor() async {
    await #expect(processExitsWith: .success) { try Self.rounds() }
  }

  private static func rounds() throws {
    // The first round makes what stays for the life of the process.
    try Self.round()
    let threads = try #require(Platform.threadCount)
    let descriptors = try #require(Platform.openDescriptorCount)
    for _ in 0..<3 { try Self.round() }
    guard Platform.openDescriptorCount == descriptors else { exit(2) }
    // A joined thread may stand in the system's list for a moment more.
    // As it may have in the first count, so that fewer are no fault; a leak would show three times over.
    func isMore() -> Bool { Platform.threadCount.map { $0 > threads } ?? true }
    try waitUntil("all threads have ended") { !isMore() }
  }

  /// Stops loops under traffic: connections open, half open, and writing; a timer armed; a listener listening.
  private static func round() throws {
    let loops = (0..<3).map { EventLoop(name: "round-\($0)") }
    for loop in loops { try loop.start() }
    let server = TestServer(on: [loops[0], loops[1]]) { SocketProbe() }
    let address = try server.listen()
    let probes = (0..<50).map { _ in SocketProbe() }
    for probe in probes {
      probe.onConnect = { $0.write([UInt8](repeating: 1, count: 8 << 20)) }
      _ = try loops[2].dial(address, probe)
    }
    try loops[2].runAndWait {
      LoopTimer(on: loops[2]) { _ in }.arm(after: .seconds(3600))
      _ = try SignalWatcher(on: loops[2]) { _ in }
    }
    for probe in probes { #expect(probe.connected.wait(for: 1) == [true]) }
    for loop in loops { loop.stop() }
    for probe in probes where probe.closed.values.count != 1 { exit(4) }
    for probe in server.probes.values where probe.closed.values.count != 1 { exit(5) }
    for socket in server.sockets.values where socket.state != .closed { exit(6) }
    if server.closed.values.count != 1 { exit(7) }
  }

  @Test func aShortageOfDescriptorsNeitherSpinsNorLosesConnections() async {
    await #expect(processExitsWith: .success) { try Self.shortage() }
  }

  private static func shortage() throws {
    let loop = EventLoop(name: "scarce")
    try loop.start()
    let server = TestServer.echo(on: [loop])
    let address = try server.listen()
    let probe = SocketProbe()
    _ = try loop.dial(address, probe)
    _ = server.sockets.wait(for: 1)
    // Keep one descriptor for the dialling end, so that none is left for the accepting one.
    var taken: [Int32] = []
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    limit.rlim_cur = 200
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    while true {
      let descriptor = dup(0)
      if descriptor < 0 { break }
      taken.append(descriptor)
    }
    close(taken.removeLast())
    let late = SocketProbe()
    let before = loop.now
    _ = try loop.dial(address, late)
    guard late.connected.wait(for: 1) == [true] else { exit(2) }
    let failures = server.failures.wait(for: 3)
    guard failures.count >= 3, failures.allSatisfy({ $0.code == .tooManyDescriptors }) else { exit(3) }
    // Between three failures lie two delays of 100 ms; a spinning loop would not have waited.
    guard loop.now - before >= .milliseconds(190) else { exit(4) }
    for descriptor in taken { close(descriptor) }
    guard server.sockets.wait(for: 2).count == 2 else { exit(5) }
    loop.stop()
  }

  @Test func signalsReachTheWatcher() async {
    await #expect(processExitsWith: .success) { try Self.signals() }
  }

  private static func signals() throws {
    let loop = EventLoop(name: "signals")
    try loop.start()
    let signals = Recorder<Signal>()
    try loop.runAndWait { _ = try SignalWatcher(on: loop) { signals.add($0) } }
    for (index, signal) in [Signal.hangUp, .interrupt, .terminate].enumerated() {
      kill(getpid(), signal.rawValue)
      guard signals.wait(for: index + 1).last == signal else { exit(2) }
    }
    loop.stop()
  }
}
