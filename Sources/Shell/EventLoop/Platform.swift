import CUV
import Glibc
import Wire

/// What a node asks of the operating system beside sockets.
public enum Platform {
  /// The time now on the monotonic clock (`CLOCK_MONOTONIC`, nanoseconds since boot); one origin for the whole process.
  public static var now: Instant { Instant(nanoseconds: Int64(truncatingIfNeeded: uv_hrtime())) }

  /// The time of day.
  public static var wallTime: WallTime {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return WallTime(milliseconds: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
  }

  /// The process's resident memory in bytes; 0 when the system does not tell. Reads a file: not for hot paths.
  public static var residentBytes: Int {
    var bytes = 0
    return uv_resident_set_memory(&bytes) == 0 ? bytes : 0
  }

  /// The processor time that the process has used.
  public static var processorTime: Duration { time(of: CLOCK_PROCESS_CPUTIME_ID) }

  /// The processor time that the calling thread has used.
  public static var threadProcessorTime: Duration { time(of: CLOCK_THREAD_CPUTIME_ID) }

  /// How many processors the process may use, 1 at least.
  public static var processorCount: Int { max(1, Int(uv_available_parallelism())) }

  /// How many file descriptors the process has open; `nil` when the system does not tell.
  public static var openDescriptorCount: Int? { entryCount("/proc/self/fd").map { $0 - 1 } }

  /// How many threads the process has; `nil` when the system does not tell.
  public static var threadCount: Int? { entryCount("/proc/self/task") }

  /// Random bytes from the system's cryptographic generator.
  public static func randomBytes(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let status = bytes.withUnsafeMutableBytes { uv_random(nil, nil, $0.baseAddress, $0.count, 0, nil) }
    // Going on without randomness would make guessable keys.
    precondition(count == 0 || status == 0, "the system gives no random bytes: \(status)")
    return bytes
  }

  /// Makes writes to a connection that the other end has closed fail with an error instead of ending the process. Done once, by the
  /// first ``EventLoop`` too.
  public static func ignoreBrokenPipes() { _ = brokenPipesIgnored }

  /// Writes bytes to a descriptor, and waits for as long as whoever reads there keeps it waiting. Blocks.
  ///
  /// - Returns: how many were written, and the system's code when the others cannot be.
  @discardableResult
  public static func write(_ bytes: [UInt8], to descriptor: Int32) -> (count: Int, fault: Int32?) {
    var written = 0
    while written < bytes.count {
      let count = bytes[written...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        written += count
      } else if count < 0 && errno == EAGAIN {
        // Somebody who shares the descriptor has made it one that does not wait.
        var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&request, 1, -1)
      } else if count == 0 || errno != EINTR {
        return (written, count == 0 ? EIO : errno)
      }
    }
    return (written, nil)
  }

  /// Raises the number of file descriptors that the process may open to what the system allows it.
  ///
  /// - Returns: how many it may open now.
  @discardableResult
  public static func raiseDescriptorLimit() -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
    if limit.rlim_cur < limit.rlim_max {
      var raised = limit
      raised.rlim_cur = limit.rlim_max
      if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limit = raised }
    }
    return Int(clamping: limit.rlim_cur)
  }

  private static let brokenPipesIgnored: Bool = {
    signal(SIGPIPE, SIG_IGN)
    return true
  }()

  private static func time(of clock: clockid_t) -> Duration {
    var time = timespec()
    clock_gettime(clock, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }

  private static func entryCount(_ path: String) -> Int? {
    guard let directory = opendir(path) else { return nil }
    defer { closedir(directory) }
    var count = 0
    while let entry = readdir(directory) {
      if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
    }
    return count
  }
}
