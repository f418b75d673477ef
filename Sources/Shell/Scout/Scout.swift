import Discovery
import EventLoop
import Threads

/// Performs what discovery wants done outside the core, on threads of its own: look-ups in the DNS, multicast
/// DNS, requests to HTTP peers, and port mappings at the gateway.
///
/// It decides nothing. Nothing runs, and no thread exists, before the first task.
public final class Scout: @unchecked Sendable {
  /// The settings.
  public struct Configuration: Sendable {
    /// The name server to ask, an IPv4 address; `nil` for those of `/etc/resolv.conf`.
    public var nameServer: SocketAddress?
    /// The interfaces, by name, that multicast DNS uses; empty for all but the loopback.
    public var interfaces: [String] = []
    /// The gateway that is asked for port mappings, an IPv4 address; `nil` for the system's.
    public var gateway: String?
    /// Threads for what blocks. Default 4.
    public var threads = 4
    /// Tasks that may wait for a thread; a further one fails. Default 256.
    public var tasksMaximum = 256

    /// The defaults.
    public init() {}
  }

  private let configuration: Configuration
  private let report: @Sendable (DiscoveryReport) -> Void
  private let lock = Lock()
  private var workers: WorkerPool?
  private var loop: EventLoop?
  private let group: LocalGroup
  private let mapper: PortMapper
  private var isStopped = false

  /// Makes a scout. `report` is called from any thread.
  public init(configuration: Configuration = .init(), report: @escaping @Sendable (DiscoveryReport) -> Void) {
    self.configuration = configuration
    self.report = report
    mapper = PortMapper(gateway: configuration.gateway)
    group = LocalGroup(interfaces: configuration.interfaces) { report(.multicast($0)) }
  }

  /// Begins a task; what comes of it is reported later.
  public func perform(_ task: DiscoveryTask) {
    switch task {
    case .lookUp(let id, let question):
      let client = DNSClient(server: configuration.nameServer.map { ($0.ip, $0.port) })
      work({ [report] in report(.lookedUp(id, client.answer(question))) }, else: .lookedUp(id, .failure("too many tasks at a time")))
    case .fetch(let id, let address, let question, let timeout):
      work(
        { [report] in report(.fetched(id, WebClient.answer(address, question, timeout: timeout))) },
        else: .fetched(id, .failure(WebFault(.busy, "too many tasks at a time"))))
    case .map(let port, 0): work({ [mapper] in mapper.unmap(port) }, else: nil)
    case .map(let port, let seconds):
      work({ [mapper, report] in report(mapper.map(port, seconds: seconds)) }, else: .mappingFailed("too many tasks at a time"))
    // The swarm's: it has the sockets of links.
    case .probe(let id, _, _, _): report(.probed(id, false))
    case .multicast(let bytes):
      onLoop { [group, report] loop in
        if let fault = group.send(bytes, on: loop) { report(.multicastFailed(fault)) }
      }
    }
  }

  /// Ends the threads; tasks under way are waited for, and their reports still come.
  public func stop() {
    let (workers, loop) = lock.withLock {
      isStopped = true
      return (self.workers, self.loop)
    }
    loop?.stop()
    workers?.stop()
  }

  /// Runs `body` on the loop's thread, which the first call starts.
  private func onLoop(_ body: @escaping @Sendable (EventLoop) -> Void) {
    let loop = lock.withLock { () -> EventLoop? in
      if self.loop == nil && !isStopped {
        let made = EventLoop(name: "scout")
        if (try? made.start()) != nil { self.loop = made }
      }
      return self.loop
    }
    if let loop { loop.execute { body(loop) } }
  }

  private func work(_ job: @escaping @Sendable () -> Void, else failure: DiscoveryReport?) {
    let pool = lock.withLock { () -> WorkerPool? in
      if workers == nil && !isStopped {
        workers = try? WorkerPool(name: "scout", threads: configuration.threads, capacity: configuration.tasksMaximum)
      }
      return workers
    }
    if pool?.submit(job) != true, let failure { report(failure) }
  }
}
