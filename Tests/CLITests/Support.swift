import Foundation

/// What a call of the program came to.
struct Outcome: Sendable {
  let status: Int32
  let output: String
  let errors: String

  /// The first line of the output as a JSON object.
  var json: [String: Any] {
    let line = output.split(separator: "\n").last ?? ""
    return (try? JSONSerialization.jsonObject(with: Data(line.utf8))) as? [String: Any] ?? [:]
  }
}

/// The program as it was built beside the tests.
enum Starling {
  static let executable = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().appending(path: "starling")

  /// Runs the program to its end, in a folder, with a clean environment.
  static func run(_ arguments: [String], in folder: Folder, environment: [String: String] = [:], limit: Int = 60) async throws -> Outcome {
    let files = ["out", "err"].map { folder.path("\(UUID().uuidString).\($0)") }
    for file in files { try Data().write(to: URL(filePath: file)) }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/timeout")
    process.arguments = ["--kill-after=5", "\(limit)", executable.path] + arguments
    process.currentDirectoryURL = folder.url
    process.environment = environment.merging(["PATH": "/usr/bin:/bin", "TMPDIR": folder.url.path]) { own, _ in own }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: URL(filePath: files[0]))
    process.standardError = try FileHandle(forWritingTo: URL(filePath: files[1]))
    try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
      process.terminationHandler = { _ in done.resume() }
      do { try process.run() } catch { done.resume(throwing: error) }
    }
    return Outcome(
      status: process.terminationStatus, output: try String(contentsOfFile: files[0], encoding: .utf8),
      errors: try String(contentsOfFile: files[1], encoding: .utf8))
  }
}

/// A temporary folder that is removed with its owner.
final class Folder: Sendable {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "starling-cli-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  func path(_ name: String) -> String { url.appending(path: name).path }
  func text(_ name: String) throws -> String { try String(contentsOfFile: path(name), encoding: .utf8) }
  func write(_ text: String, to name: String) throws { try text.write(toFile: path(name), atomically: true, encoding: .utf8) }
  func mode(_ name: String) throws -> Int {
    let value = try FileManager.default.attributesOfItem(atPath: path(name))[.posixPermissions]
    return (value as? NSNumber)?.intValue ?? -1
  }
}

/// A running node, started by the program.
final class RunningNode: @unchecked Sendable {
  let process = Process()
  private let lines: AsyncStream<String>

  /// - Parameters:
  ///   - shell: what a shell does before it becomes the node.
  ///   - errors: where standard error goes.
  init(_ arguments: [String], in folder: Folder, shell: String? = nil, errors: Any = FileHandle.nullDevice) throws {
    let output = Pipe()
    if let shell {
      process.executableURL = URL(filePath: "/bin/bash")
      process.arguments = ["-c", "\(shell); exec \"$0\" \"$@\"", Starling.executable.path, "node"] + arguments
    } else {
      process.executableURL = Starling.executable
      process.arguments = ["node"] + arguments
    }
    process.currentDirectoryURL = folder.url
    process.environment = [:]
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    let (lines, continuation) = AsyncStream.makeStream(of: String.self, bufferingPolicy: .bufferingNewest(100))
    self.lines = lines
    try process.run()
    Thread.detachNewThread {
      var rest = Data()
      while true {
        let part = output.fileHandleForReading.availableData
        if part.isEmpty { break }
        rest += part
        while let end = rest.firstIndex(of: 10) {
          continuation.yield(String(decoding: rest[..<end], as: UTF8.self))
          rest = Data(rest[(end + 1)...])
        }
      }
      continuation.finish()
    }
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  /// The next line of its output; `nil` at its end or after 20 s.
  func line() async -> String? {
    await withTaskGroup(of: String?.self) { group in
      group.addTask { [lines] in
        for await line in lines { return line }
        return nil
      }
      group.addTask {
        try? await Task.sleep(for: .seconds(20))
        return nil
      }
      defer { group.cancelAll() }
      return await group.next() ?? nil
    }
  }

  /// Its exit status, once it has ended; `nil` after 20 s.
  func end() async -> Int32? {
    let deadline = ContinuousClock.now + .seconds(20)
    while process.isRunning {
      guard ContinuousClock.now < deadline else { return nil }
      try? await Task.sleep(for: .milliseconds(10))
    }
    return process.terminationStatus
  }
}

/// Whether a TCP port of the loopback address can be listened on.
func isFree(_ port: UInt16) -> Bool {
  let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  defer { close(descriptor) }
  var on: Int32 = 1
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = port.bigEndian
  address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
  return withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
  } && listen(descriptor, 1) == 0
}
