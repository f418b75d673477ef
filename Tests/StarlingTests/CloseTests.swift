import EventLoop
import FoundationEssentials
import Glibc
import Starling
import Testing

@Suite("Closing") struct CloseTests {
  @Test("a host closes while everything is under way")
  func busy() async throws {
    let (first, second) = try await makePair()
    let silent = try await SilentListener()
    await second.serve("/test/never") { _, _ in
      try await Task.sleep(for: patience)
      return nil
    }
    let stream = try await first.openStream(to: second.peerID, protocols: [echo])
    let started = Counter()
    let writing = Task {
      let block = [UInt8](repeating: 1, count: 64 << 10)
      while true {
        try await stream.write(block)
        started.add()
      }
    }
    let reading = Task { while try await stream.read() != nil {} }
    let connecting = Task { _ = try await first.connect("/ip4/127.0.0.1/tcp/\(silent.port)") }
    let asking = Task { _ = try await first.request(second.peerID, "/test/never", [], timeout: patience) }
    let subscription = try await first.subscribe("test")
    let listening = Task { for await _ in subscription {} }
    try await eventually("all is under way") {
      let inFlight = try await first.withCore { core, _ in core.peering.counts.dialling }
      return started.value > 10 && inFlight == 1
    }
    try await within { await first.close() }
    try await within { await listening.value }
    for task in [writing, reading, connecting, asking] {
      await #expect(throws: HostError.self) { try await within { try await task.value } }
    }
    await first.close()
    await second.close()
    await silent.close()
  }

  @Test("ports are free again, and a host that is let go of closes itself")
  func ports() async throws {
    var host: Host? = try await makeHost()
    let address: Multiaddr = try #require(await host?.address).withoutPeerID
    host = nil
    try await eventually("the port is free") {
      guard let next = try? await makeHost({ $0.listen = [address] }) else { return false }
      await next.close()
      return true
    }
    #expect(host == nil)
  }

  /// What the runtime opens once for itself, as its first timer, is no leak: one grows with every host.
  @Test("nothing is left of closed hosts: no descriptor, no thread")
  func leaks() async {
    await #expect(processExitsWith: .success) {
      func threads() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").filter { task in
          let name = (try? String(contentsOfFile: "/proc/self/task/\(task)/comm", encoding: .utf8)) ?? ""
          return name.hasPrefix("shard") || name.hasPrefix("core")
        }.count
      }
      func descriptors() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { name in
          (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(name)")).map { "\(name) \($0)" }
        }
      }
      var open: [[String]] = []
      for _ in 0..<6 {
        let (first, second) = try await makePair()
        let stream = try await first.openStream(to: second.peerID, protocols: [echo])
        try await stream.write([1])
        _ = try await stream.readExactly(1)
        #expect(try threads() == 4)
        await close(first, second)
        open.append(try descriptors())
      }
      #expect(try threads() == 0)
      let grown = try #require(open.last).count - open[0].count
      #expect(grown < open.count - 1, "\(open)")
    }
  }
}
