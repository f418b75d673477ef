import Foundation
import TestKit
import Testing

/// A Python program of `Interop/` that runs beside a test until the test lets go of it.
final class Script: Sendable {
  private let program: Program

  init(_ name: String, _ arguments: [String], python: String = "python3") throws {
    program = try Program(
      URL(filePath: "/usr/bin/env"), [python, Self.checkout.appending(path: "Interop/\(name)").path] + arguments, takesInput: true)
  }

  deinit { stop() }

  private static let checkout = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  /// The Python that has py-libp2p.
  static let venv = checkout.appending(path: ".tools/venv/bin/python").path

  /// What it has printed so far.
  var printed: String { program.printed }

  /// Waits for the first whole line.
  func firstLine() throws -> String { try program.firstLine() }

  /// Closes its input, which ends it, and waits for the end.
  func stop() {
    program.closeInput()
    if program.process.isRunning { program.process.waitUntilExit() }
  }

  /// A value as JSON.
  static func json(_ value: Any) throws -> String {
    String(decoding: try JSONSerialization.data(withJSONObject: value, options: [.sortedKeys]), as: UTF8.self)
  }
}
