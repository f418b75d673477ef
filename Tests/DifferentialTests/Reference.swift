import Foundation
import Wire

/// Python's protobuf, as a process that reads one kind of message (`Interop/protobuf_reference.py`).
final class Reference {
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()

  static let checkout = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
  static let python = checkout.appending(path: ".tools/venv/bin/python")

  /// Starts the process for a message of `Interop/messages.proto`.
  init(_ message: String) throws {
    process.executableURL = Self.python
    process.arguments = [Self.checkout.appending(path: "Interop/protobuf_reference.py").path, message]
    process.standardInput = input
    process.standardOutput = output
    try process.run()
    // Only the process holds these ends now, so that its end is seen.
    try input.fileHandleForReading.close()
    try output.fileHandleForWriting.close()
  }

  /// Closes its input, and waits for its end.
  func end() {
    try? input.fileHandleForWriting.close()
    process.waitUntilExit()
  }

  /// The known fields of each message written anew; `nil` for what protobuf does not read.
  func read(_ messages: [[UInt8]]) throws -> [[UInt8]?] {
    var batch: [UInt8] = []
    for message in messages {
      append(message.count, to: &batch)
      batch += message
    }
    var head: [UInt8] = []
    append(batch.count, to: &head)
    try input.fileHandleForWriting.write(contentsOf: Data(head + batch))
    let answer = try take(Int(number(try take(4), 0)))
    var answers: [[UInt8]?] = []
    var offset = 0
    while offset < answer.count {
      let count = number(answer, offset)
      offset += 4
      if count == .max {
        answers.append(nil)
      } else {
        answers.append(Array(answer[offset..<offset + Int(count)]))
        offset += Int(count)
      }
    }
    return answers
  }

  private func append(_ number: Int, to bytes: inout [UInt8]) {
    for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: number >> shift)) }
  }

  private func number(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
    bytes[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  private func take(_ count: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      guard let part = try output.fileHandleForReading.read(upToCount: count - bytes.count), !part.isEmpty else { throw Ended() }
      bytes += part
    }
    return bytes
  }

  struct Ended: Error, CustomStringConvertible {
    let description = "the Python process ended; its words are above"
  }
}
