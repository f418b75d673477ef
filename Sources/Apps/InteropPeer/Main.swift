import Dispatch
import FoundationEssentials
import Glibc
import Starling

@main
struct Main {
  static func main() async {
    do {
      let options = try Options(Array(CommandLine.arguments.dropFirst()))
      if options.runsTestPlan {
        try await TestPlan(environment: ProcessInfo.processInfo.environment).run()
      } else {
        try await obey(options)
      }
    } catch {
      Output.debug("\(error)")
      exit(2)
    }
  }

  /// Answers commands until standard input ends or one says quit.
  private static func obey(_ options: Options) async throws {
    let peer = try await Peer(options)
    let reporter = Task { [events = peer.host.events] in await peer.report(events) }
    try await peer.host.start()
    let addresses = await peer.host.addresses
    Output.write(
      .object([("ev", .text("ready")), ("id", .text("\(peer.host.peerID)")), ("addrs", .list(addresses.map { .text("\($0)") }))]))
    for await line in Input.lines {
      if line.allSatisfy(\.isWhitespace) { continue }
      if (try? Command(line))?.op == "quit" {
        Output.write(await peer.answer(line))
        break
      }
      Task { Output.write(await peer.answer(line)) }
    }
    await peer.host.close()
    reporter.cancel()
  }
}

/// Standard input, read on a thread of its own; the writer at the other end sets the pace.
enum Input {
  static var lines: AsyncStream<String> {
    AsyncStream(bufferingPolicy: .unbounded) { continuation in
      DispatchQueue(label: "input").async {
        while let line = readLine() { continuation.yield(line) }
        continuation.finish()
      }
    }
  }
}

/// Standard output and error, a line at a time.
enum Output {
  private static let queue = DispatchQueue(label: "output")

  static func write(_ value: JSON) { put(value.line + "\n", 1) }
  static func debug(_ text: String) { put(text + "\n", 2) }

  private static func put(_ text: String, _ descriptor: Int32) {
    queue.sync {
      var rest = Array(text.utf8)[...]
      while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count < 0 && errno == EINTR { continue }
        if count <= 0 { return }
        rest = rest.dropFirst(count)
      }
    }
  }
}

/// What the system knows of this process.
enum Process {
  /// Resident memory in bytes; 0 when the system does not tell.
  static var residentBytes: Int {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var total = 0
    var resident = 0
    let count = withUnsafeMutablePointer(to: &total) { total in
      withUnsafeMutablePointer(to: &resident) { resident in
        withVaList([OpaquePointer(total), OpaquePointer(resident)]) { vfscanf(file, "%ld %ld", $0) }
      }
    }
    return count == 2 ? resident * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
  }
}
