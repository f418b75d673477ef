import Foundation
import Testing

/// A Python program of `Interop/` that runs beside a test until the test lets go of it.
final class Script: @unchecked Sendable {
  private let process = Process()
  private let input = Pipe()
  private let lines = Lines()
  private let output = Pipe()

  init(_ name: String, _ arguments: [String], python: String = "python3") throws {
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [python, Self.checkout.appending(path: "Interop/\(name)").path] + arguments
    process.standardInput = input
    process.standardOutput = output
    output.fileHandleForReading.readabilityHandler = { [lines] handle in
      let data = handle.availableData
      if data.isEmpty { handle.readabilityHandler = nil } else { lines.append(String(decoding: data, as: UTF8.self)) }
    }
    try process.run()
  }

  deinit { stop() }

  private static let checkout = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  /// The Python that has py-libp2p.
  static let venv = checkout.appending(path: ".tools/venv/bin/python").path

  /// What it has printed so far.
  var printed: String { lines.all }

  /// Waits for the first whole line.
  func firstLine() throws -> String {
    try waitUntil("\(process.arguments?[1] ?? "") prints a line", seconds: 20) { printed.contains("\n") }
    return String(printed.prefix { $0 != "\n" })
  }

  /// Closes its input, which ends it, and waits for the end.
  func stop() {
    try? input.fileHandleForWriting.close()
    if process.isRunning { process.waitUntilExit() }
  }

  /// A value as JSON.
  static func json(_ value: Any) throws -> String {
    String(decoding: try JSONSerialization.data(withJSONObject: value, options: [.sortedKeys]), as: UTF8.self)
  }
}
