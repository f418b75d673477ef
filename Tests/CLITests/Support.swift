import Foundation
import HTTPAPI
import TestKit
import Testing

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

  /// Runs a program to its end where its output goes elsewhere: how it ended, and what it wrote on standard error.
  static func end(
    of program: String, _ arguments: [String], in folder: Folder, output: FileHandle = .nullDevice
  ) throws -> (status: Int32, isTrap: Bool, errors: String) {
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    process.currentDirectoryURL = folder.url
    // The tests' own variables are none of the program's settings.
    process.environment = ["PATH": "/usr/bin:/bin"]
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    let errors = Pipe()
    process.standardError = errors
    try process.start()
    try errors.fileHandleForWriting.close()
    let text = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, process.terminationReason != .exit, text)
  }

  /// Runs the program to its end, in a folder, with a clean environment.
  static func run(_ arguments: [String], in folder: Folder, environment: [String: String] = [:], limit: Duration = patience) async throws
    -> Outcome
  {
    let files = ["out", "err"].map { folder.path("\(UUID().uuidString).\($0)") }
    for file in files { try Data().write(to: URL(filePath: file)) }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/timeout")
    process.arguments = ["--kill-after=5", "\(limit.components.seconds)", executable.path] + arguments
    process.currentDirectoryURL = folder.url
    process.environment = environment.merging(["PATH": "/usr/bin:/bin", "TMPDIR": folder.url.path]) { own, _ in own }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: URL(filePath: files[0]))
    process.standardError = try FileHandle(forWritingTo: URL(filePath: files[1]))
    try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
      process.terminationHandler = { _ in done.resume() }
      do { try process.start() } catch { done.resume(throwing: error) }
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
  /// A new file to write to.
  func file(_ name: String) throws -> FileHandle {
    try Data().write(to: url.appending(path: name))
    return try FileHandle(forWritingTo: url.appending(path: name))
  }
  func mode(_ name: String) throws -> Int {
    let value = try FileManager.default.attributesOfItem(atPath: path(name))[.posixPermissions]
    return (value as? NSNumber)?.intValue ?? -1
  }
}

/// A running node, started by the program.
typealias RunningNode = Program

extension Program {
  /// - Parameters:
  ///   - shell: what a shell does before it becomes the node.
  ///   - errors: where standard error goes.
  convenience init(_ arguments: [String], in folder: Folder, shell: String? = nil, errors: Any = FileHandle.nullDevice) throws {
    let words = [Starling.executable.path, "node"] + arguments
    try self.init(
      shell == nil ? Starling.executable : URL(filePath: "/bin/bash"),
      shell.map { ["-c", "\($0); exec \"$0\" \"$@\""] + words } ?? Array(words.dropFirst()), in: folder.url, environment: [:],
      errors: errors)
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

extension Router {
  /// Answers a path of the API with one value.
  mutating func answer(_ path: String, _ value: some Encodable & Sendable) {
    get("/api/v1" + path) { _, responder in responder.success(value) }
  }
}
