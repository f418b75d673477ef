import Foundation

/// A program in a process of its own that is talked to in lines; it ends with this one's interest in it.
final class ChildProcess {
  private let process = Process()
  private let input = Pipe()
  private let output = Pipe()
  private var received = Data()

  /// Starts a program; by default this one with other arguments.
  init(_ arguments: [String], program: String = "/proc/self/exe") throws {
    // The link is this process's own: a child would follow it to itself.
    process.executableURL = URL(fileURLWithPath: program).resolvingSymlinksInPath()
    process.arguments = arguments
    process.standardInput = input
    process.standardOutput = output
    try process.run()
  }

  var identifier: Int32 { process.processIdentifier }

  func say(_ line: String) { try? input.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8)) }

  /// The next line; `nil` when the program has ended.
  func line() -> String? {
    while true {
      if let end = received.firstIndex(of: 0x0a) {
        defer { received = received[(end + 1)...] }
        return String(decoding: received[received.startIndex..<end], as: UTF8.self)
      }
      let part = output.fileHandleForReading.availableData
      if part.isEmpty { return nil }
      received.append(part)
    }
  }

  /// Asks for one line.
  func ask(_ question: String) -> String {
    say(question)
    return line() ?? ""
  }

  /// Ends the program and waits for that. Closing its input is the word.
  func stop() {
    try? input.fileHandleForWriting.close()
    let deadline = Date().addingTimeInterval(3)
    while process.isRunning && Date() < deadline { usleep(10_000) }
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
  }

  /// What a process has computed in all its threads, the kernel's work for it included; without a process, this one.
  static func processorSeconds(of process: Int32? = nil) -> Double {
    var clock = CLOCK_PROCESS_CPUTIME_ID
    if let process, clock_getcpuclockid(process, &clock) != 0 { return 0 }
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// Resident bytes of a process.
  static func residentBytes(of process: Int32) -> Int {
    let text = (try? String(contentsOfFile: "/proc/\(process)/statm", encoding: .utf8)) ?? ""
    return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
  }
}

/// The words `name=value` of a command line.
struct Settings {
  private let values: [String: String]

  init(_ arguments: [String]) {
    values = Dictionary(
      arguments.compactMap { word in
        word.firstIndex(of: "=").map { (String(word[..<$0]), String(word[word.index(after: $0)...])) }
      }, uniquingKeysWith: { $1 })
  }

  subscript(_ name: String) -> String? { values[name] }
  func seconds(_ name: String) -> Double? { values[name].flatMap { Double($0) } }
  func number(_ name: String, _ standard: Int) -> Int { values[name].flatMap { Int($0) } ?? standard }
}
