import Foundation
import Testing

@testable import Node

/// Whoever writes lines never waits for whoever reads them, and what is missing is told in its place.
@Suite(.ownThread) struct LineWriterTests {
  private static let loss: @Sendable (Int) -> String = { "lost \($0)\n" }

  /// What there is to read, or comes next; a handle's own methods wait for as much as they may bring.
  private static func part(of handle: FileHandle) throws -> String {
    var bytes = [UInt8](repeating: 0, count: 4_096)
    let count = read(handle.fileDescriptor, &bytes, bytes.count)
    try #require(count > 0)
    return String(decoding: bytes[..<count], as: UTF8.self)
  }

  @Test func aReaderThatRestsHoldsNobodyUp() async throws {
    try await onOwnThread {
      let pipe = Pipe()
      // F_SETPIPE_SZ: one page.
      #expect(fcntl(pipe.fileHandleForWriting.fileDescriptor, 1_031, 4_096) == 4_096)
      let writer = LineWriter(pipe.fileHandleForWriting.fileDescriptor, bytesMaximum: 20_000)
      let filling = String(repeating: "x", count: 93)
      for number in 0..<1_000 { writer.write("\(number) \(filling)\n", orTell: Self.loss) }
      #expect(!writer.flush(within: .milliseconds(1)))
      let dropped = Int(writer.droppedLines)
      #expect((700..<900).contains(dropped), "\(dropped)")

      let reader = pipe.fileHandleForReading
      var text = ""
      while !text.contains("lost") || !text.hasSuffix("\n") {
        text += try Self.part(of: reader)
      }
      #expect(writer.flush(within: patience))
      writer.write("and on\n", orTell: Self.loss)
      #expect(writer.flush(within: patience))
      text += try Self.part(of: reader)
      let expected = (0..<1_000 - dropped).map { "\($0) \(filling)\n" }.joined() + "lost \(dropped)\nand on\n"
      #expect(text == expected)
      #expect(writer.droppedLines == UInt64(dropped))
    }
  }

  /// A disk that was full, then has room.
  @Test func whatCannotBeWrittenIsToldOnceItCan() throws {
    let path = NSTemporaryDirectory() + "starling-lines-\(UUID().uuidString)"
    defer { unlink(path) }
    let descriptor = open("/dev/full", O_WRONLY | O_CLOEXEC)
    defer { close(descriptor) }
    let writer = LineWriter(descriptor)
    for line in ["one\n", "two\n"] {
      writer.write(line, orTell: Self.loss)
      #expect(writer.flush(within: patience))
    }
    #expect(writer.droppedLines == 2)
    let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    #expect(dup2(file, descriptor) == descriptor)
    close(file)
    for line in ["three\n", "four\n"] { writer.write(line, orTell: Self.loss) }
    #expect(writer.flush(within: patience))
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "lost 2\nthree\nfour\n")
  }

  @Test(arguments: LogFormat.allCases) func theLoggerTellsOfALossAsOfAnyEvent(format: LogFormat) throws {
    let descriptor = open("/dev/full", O_WRONLY | O_CLOEXEC)
    defer { close(descriptor) }
    let pipe = Pipe()
    let writer = LineWriter(descriptor)
    let logger = Logger(format: format, to: writer)
    logger.info("test", "first")
    #expect(writer.flush(within: patience))
    #expect(logger.droppedLines == 1)
    #expect(dup2(pipe.fileHandleForWriting.fileDescriptor, descriptor) == descriptor)
    logger.info("test", "second")
    #expect(writer.flush(within: patience))
    let lines = try Self.part(of: pipe.fileHandleForReading).split(separator: "\n")
    try #require(lines.count == 2)
    #expect(lines[0].contains(format == .json ? "\"level\":\"warning\"" : "WARNING log lines are missing here"), "\(lines)")
    #expect(lines[0].contains(format == .json ? "\"lines\":1" : "lines=1"), "\(lines)")
    #expect(lines[1].contains("second"))
  }
}
