import Foundation
import Testing
import Threads

/// A process that a test starts and listens to. It is killed with its owner.
///
/// Its output is read on a thread. A file handle's `readabilityHandler` would do that through a source of libdispatch, which now and then reads what
/// is freed already when a pipe ends, and the whole run of the tests with it.
public final class Program: @unchecked Sendable {
  public let process = Process()
  private let input: Pipe?
  private let lock = Lock()
  private var lines: [String] = []
  private var next = 0
  private var isOver = false

  /// - Parameters:
  ///   - takesInput: whether the test will write to it; else there is nothing to read for it.
  ///   - environment: the test's own when `nil`.
  ///   - errors: where standard error goes, a pipe or a file; the test's own when `nil`.
  public init(
    _ executable: URL, _ arguments: [String], in folder: URL? = nil, environment: [String: String]? = nil, takesInput: Bool = false,
    errors: Any? = nil
  ) throws {
    let output = Pipe()
    input = takesInput ? Pipe() : nil
    process.executableURL = executable
    process.arguments = arguments
    if let folder { process.currentDirectoryURL = folder }
    if let environment { process.environment = environment }
    process.standardInput = input ?? FileHandle.nullDevice
    process.standardOutput = output
    if let errors { process.standardError = errors }
    try process.start()
    // The thread keeps the pipe, not the program.
    Thread.detachNewThread { [weak self] in
      var rest: [UInt8] = []
      var part = [UInt8](repeating: 0, count: 65_536)
      while true {
        let count = read(output.fileHandleForReading.fileDescriptor, &part, part.count)
        if count <= 0 { break }
        rest += part[..<count]
        while let end = rest.firstIndex(of: 10) {
          self?.take(String(decoding: rest[..<end], as: UTF8.self))
          rest.removeFirst(end + 1)
        }
      }
      if !rest.isEmpty { self?.take(String(decoding: rest, as: UTF8.self)) }
      self?.finish()
    }
  }

  deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

  private func take(_ line: String) { lock.withLock { lines.append(line) } }
  private func finish() { lock.withLock { isOver = true } }

  /// What it has printed so far, in whole lines.
  public var printed: String { lock.withLock { lines.map { $0 + "\n" }.joined() } }

  /// The next line of its output that is wanted; `nil` at its end.
  public func line(sourceLocation: SourceLocation = #_sourceLocation, where isWanted: (String) -> Bool = { _ in true }) async throws
    -> String?
  {
    var found: String?
    try await eventually("\(name) prints a line that is wanted; it printed\n\(printed)", sourceLocation: sourceLocation) {
      let (line, isOver) = takeNext(where: isWanted)
      found = line
      return line != nil || isOver
    }
    return found
  }

  /// Blocks until it has printed a line; the first one.
  @available(*, noasync, message: "use line()")
  public func firstLine(sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
    try waitUntil("\(name) prints a line", sourceLocation: sourceLocation) { lock.withLock { !lines.isEmpty || isOver } }
    return try #require(lock.withLock { lines.first }, "\(name) ended without a line", sourceLocation: sourceLocation)
  }

  private func takeNext(where isWanted: (String) -> Bool) -> (String?, isOver: Bool) {
    lock.withLock {
      while next < lines.count {
        next += 1
        if isWanted(lines[next - 1]) { return (lines[next - 1], false) }
      }
      return (nil, isOver)
    }
  }

  private var name: String { process.executableURL?.lastPathComponent ?? "" }

  /// Writes a line to its input.
  public func type(_ line: String) throws { try input?.fileHandleForWriting.write(contentsOf: Data("\(line)\n".utf8)) }

  /// Ends its input.
  public func closeInput() { try? input?.fileHandleForWriting.close() }

  /// Its exit status, once it has ended.
  public func end(sourceLocation: SourceLocation = #_sourceLocation) async throws -> Int32 {
    try await process.end(sourceLocation: sourceLocation)
  }
}

extension Process {
  /// Starts it as a shell would: with no signal held back. The threads of libdispatch, on which most tests run, hold back nearly all, and a process
  /// inherits that from the thread that starts it.
  public func start() throws {
    var (none, former) = (sigset_t(), sigset_t())
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, &former)
    defer { pthread_sigmask(SIG_SETMASK, &former, nil) }
    try run()
  }

  /// Its exit status, once it has ended.
  public func end(sourceLocation: SourceLocation = #_sourceLocation) async throws -> Int32 {
    try await eventually("process \(processIdentifier) ends", sourceLocation: sourceLocation) { !isRunning }
    return terminationStatus
  }
}
