import Foundation
import Testing

/// Real peers that this project did not write, and one that breaks the rules, against the program `interop-peer`.
///
/// The scenarios are Python (`Interop/`); each runs as a process of its own. Three go at a time, one of each lane, because most of their time is waiting.
@Suite("Interop") struct InteropTests {
  @Suite("go", .serialized) struct Go {
    static let scenarios = [
      "go/we-dial", "go/they-dial", "go/100-streams-out", "go/100-streams-in", "go/echo-2MB", "go/transfer-we-dial",
      "go/transfer-they-dial", "go/gossip", "go/gossip-relayed", "go/test-plans", "go/kad-find-peer", "go/kad-values", "go/kad-providers",
      "go/kad-client", "go/kad-twenty-nodes", "go/simultaneous-dials", "go/200-topics", "go/identify-changes", "go/absent-data",
    ]

    @Test("a go-libp2p peer", arguments: scenarios) func scenario(name: String) async throws { try await Runner.holds(name) }
  }

  @Suite("py", .serialized) struct Py {
    static let scenarios = [
      "py/we-dial", "py/they-dial", "py/100-streams-out", "py/100-streams-in", "py/echo-2MB", "py/transfer-we-dial",
      "py/transfer-they-dial", "py/gossip", "py/gossip-relayed", "py/private-we-dial", "py/private-they-dial", "py/private-strangers",
      "py/test-plans-we-dial", "py/test-plans-they-dial", "py/kad-find-peer", "py/kad-values", "py/kad-providers",
      "py/simultaneous-dials", "py/200-topics", "py/identify-changes", "py/absent-data", "py/private-silent-dialer",
      "py/private-silent-listener",
    ]

    @Test("a py-libp2p peer", arguments: scenarios) func scenario(name: String) async throws { try await Runner.holds(name) }
  }

  @Suite("hostile and mixed", .serialized) struct Hostile {
    static let scenarios = [
      "mixed/gossip-relayed", "hostile/multistream-garbage", "hostile/multistream-length-huge", "hostile/multistream-length-endless",
      "hostile/multistream-line-too-long", "hostile/half-closed", "hostile/noise-bad-signature", "hostile/noise-bad-tag",
      "hostile/noise-payload-garbage", "hostile/noise-payload-empty", "hostile/noise-ephemeral-short",
      "hostile/noise-ephemeral-low-order", "hostile/noise-garbage", "hostile/noise-wrong-peer-id", "hostile/noise-bad-signature-listener",
      "hostile/noise-bad-tag-listener", "hostile/garbage-listener", "hostile/noise-frame-garbage", "hostile/noise-frame-empty",
      "hostile/yamux-version", "hostile/yamux-type-unknown", "hostile/yamux-parity", "hostile/yamux-frame-beyond-window",
      "hostile/yamux-window-overrun", "hostile/message-length-gossip", "hostile/message-length-identify-push",
      "hostile/message-length-negotiation", "hostile/stream-flood", "hostile/silence", "hostile/silent-listener",
      "hostile/garbage-everywhere",
    ]

    @Test("a peer that breaks the rules", arguments: scenarios) func scenario(name: String) async throws { try await Runner.holds(name) }
  }

  @Test("every scenario stands in a list above")
  func listIsComplete() async throws {
    let result = try await Runner.run("--list")
    #expect(result.output.split(separator: "\n").map(String.init).sorted() == (Go.scenarios + Py.scenarios + Hostile.scenarios).sorted())
  }
}

/// Runs `Interop/interop_tests.py`.
private enum Runner {
  static let checkout = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The first word of `INTEROP_PEER`, or the release build.
  static let peer: URL = {
    let named = ProcessInfo.processInfo.environment["INTEROP_PEER"]?.split(separator: " ").first.map(String.init)
    return named.map { URL(filePath: $0) } ?? checkout.appending(path: ".build/release/interop-peer")
  }()

  static func holds(_ scenario: String) async throws {
    try #require(
      FileManager.default.isExecutableFile(atPath: peer.path),
      "no interop-peer at \(peer.path): swift build -c release --product interop-peer")
    let result = try await run(scenario)
    #expect(result.status == 0, "\(result.output)")
  }

  static func run(_ argument: String) async throws -> (status: Int32, output: String) {
    let log = FileManager.default.temporaryDirectory.appending(path: "interop-\(UUID().uuidString).log")
    try Data().write(to: log)
    defer { try? FileManager.default.removeItem(at: log) }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [
      "timeout", "--kill-after=5", "300", "python3", checkout.appending(path: "Interop/interop_tests.py").path, argument,
    ]
    let output = try FileHandle(forWritingTo: log)
    process.standardOutput = output
    process.standardError = output
    process.standardInput = FileHandle.nullDevice
    try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
      process.terminationHandler = { _ in done.resume() }
      do { try process.run() } catch { done.resume(throwing: error) }
    }
    return (process.terminationStatus, try String(contentsOf: log, encoding: .utf8))
  }
}
