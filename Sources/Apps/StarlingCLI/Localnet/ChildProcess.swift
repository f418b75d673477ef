import Foundation

/// A process of this same program, that ends when this process does, however that happens.
///
/// It has a process group of its own, so that Ctrl-C in the terminal reaches this process alone, which then ends the others in order.
/// Its standard input is a pipe that nobody writes to: the kernel closes it with this process. One thread owns a child.
final class ChildProcess {
  let pid: pid_t
  /// As the shell counts: the exit code, or 128 and the signal; `nil` while it runs.
  private(set) var status: Int32?
  private let lifeline: Int32

  /// Starts the program with arguments; its output goes to the end of a file.
  init(_ arguments: [String], output: String) throws {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw Failure("a pipe could not be made: \(Self.problem(errno))") }
    // No other child may hold this one's lifeline open.
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let log = open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard log >= 0 else {
      let problem = Self.problem(errno)
      close(ends[0])
      close(ends[1])
      throw Failure("\(output) cannot be written: \(problem)")
    }
    defer {
      close(ends[0])
      close(log)
    }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO)
    posix_spawn_file_actions_adddup2(&actions, log, STDOUT_FILENO)
    posix_spawn_file_actions_adddup2(&actions, log, STDERR_FILENO)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // This process holds signals back and ignores broken pipes; a child would inherit both.
    var none = sigset_t()
    sigemptyset(&none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP))
    var words: [UnsafeMutablePointer<CChar>?] = (["starling"] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    // Settings of the user's own node are not these nodes'.
    let kept = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("STARLING_") }.sorted { $0.key < $1.key }
    var environment: [UnsafeMutablePointer<CChar>?] = kept.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for entry in environment { free(entry) } }
    var child: pid_t = 0
    let result = posix_spawn(&child, "/proc/self/exe", &actions, &attributes, &words, &environment)
    guard result == 0 else {
      close(ends[1])
      throw Failure("a node cannot be started: \(Self.problem(result))")
    }
    pid = child
    lifeline = ends[1]
  }

  deinit {
    send(SIGKILL)
    wait()
    close(lifeline)
  }

  /// Sends a signal, unless the process has ended.
  func send(_ signal: Int32) {
    // A process that was not waited for still has its number, so this cannot hit another one.
    if status == nil { kill(pid, signal) }
  }

  /// Whether the process has ended.
  var hasEnded: Bool {
    if status == nil { reap(WNOHANG) }
    return status != nil
  }

  /// Waits for its end.
  func wait() { while status == nil { reap(0) } }

  private func reap(_ options: Int32) {
    var raw: Int32 = 0
    let result = waitpid(pid, &raw, options)
    if result == pid {
      status = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f
    } else if result < 0 && errno == ECHILD {
      status = -1
    }
  }

  private static func problem(_ number: Int32) -> String { String(cString: strerror(number)).lowercased() }
}

/// What the kernel says of a process.
enum ProcessFigures {
  /// Resident memory in bytes.
  static func residentBytes(_ pid: pid_t) -> Int? {
    guard let text = try? String(contentsOfFile: "/proc/\(pid)/statm", encoding: .utf8) else { return nil }
    let fields = text.split(separator: " ")
    return fields.count > 1 ? Int(fields[1]).map { $0 * Int(sysconf(Int32(_SC_PAGESIZE))) } : nil
  }
}
