import CMicrohttpd
import Foundation
import Identity
import Wire

/// The HTTP API's server, on libmicrohttpd's own event threads.
///
/// Handlers run on an event thread and may answer later from any thread through their ``HTTPResponder``. Requests that
/// break HTTP itself are answered by the library with a plain page; everything else gets JSON.
public final class HTTPServer: Sendable {
  private let core: Core

  /// Starts serving.
  ///
  /// - Throws: ``HTTPServerError`` when the address is not valid or not free.
  public init(configuration: Configuration = .init(), router: Router) throws(HTTPServerError) {
    core = Core(configuration: configuration, router: router)
    try core.start()
  }

  deinit { core.stop() }

  /// The port that the server listens on.
  public var port: UInt16 { core.port }

  /// What clients make the server keep, and what it refused them.
  public var use: Use { core.clients.use }

  /// A moment's account.
  public struct Use: Hashable, Sendable {
    /// Bytes of answers that are not sent yet.
    public var heldBytes = 0
    /// Requests that were refused because their address asked too much; only grows.
    public var tooOften: UInt64 = 0
    /// Requests that were refused because too many answers were still to be sent; only grows.
    public var full: UInt64 = 0

    /// Makes an account.
    public init(heldBytes: Int = 0, tooOften: UInt64 = 0, full: UInt64 = 0) {
      self.heldBytes = heldBytes
      self.tooOften = tooOften
      self.full = full
    }
  }

  /// Stops accepting, gives requests under way the stop timeout, then closes everything; the port is free on return.
  ///
  /// Blocks; must not be called by a handler. Calling it again does nothing.
  public func stop() { core.stop() }
}

extension HTTPServer {
  /// What the library's callbacks hold.
  final class Core: @unchecked Sendable {
    let configuration: Configuration
    let router: Router
    let clients: ClientAccounts
    private(set) var port: UInt16 = 0
    let isLoopback: Bool

    private let condition = NSCondition()
    private var daemon: OpaquePointer?
    private var stopping = false
    private var stopped = false
    /// The deadlines of parked requests from `firstDeadline` on; the order of parking is the order of their times.
    private var deadlines: [(at: ContinuousClock.Instant, exchange: Weak)] = []
    private var firstDeadline = 0
    private var active: [ObjectIdentifier: Exchange] = [:]
    private var streams: [ObjectIdentifier: EventStream] = [:]
    private var streamCount = 0

    private struct Weak { weak var exchange: Exchange? }

    init(configuration: Configuration, router: Router) {
      // Hosts and origins come in lower case.
      var configuration = configuration
      configuration.allowedHosts = configuration.allowedHosts.map { $0.lowercased() }
      configuration.allowedOrigins = configuration.allowedOrigins.map {
        $0.lowercased().hasSuffix("/") ? String($0.lowercased().dropLast()) : $0.lowercased()
      }
      self.configuration = configuration
      self.router = router
      clients = ClientAccounts(configuration)
      isLoopback = IPAddress(configuration.bindAddress)?.isLoopback ?? false
    }

    func start() throws(HTTPServerError) {
      let listener = try Listener(configuration.bindAddress, port: configuration.port)
      let context = Unmanaged.passUnretained(self).toOpaque()
      let started = cmicrohttpd_start(
        listener.descriptor, UInt32(clamping: max(configuration.threads, configuration.connectionLimit)),
        UInt32(clamping: configuration.connectionsPerAddressLimit),
        idleSeconds,
        max(4_096, configuration.headerBytesMaximum), UInt32(clamping: configuration.threads), Callbacks.access, Callbacks.completed,
        context, Self.niceness)
      guard let daemon = started else {
        close(listener.descriptor)
        throw HTTPServerError(message: "cannot start the event thread")
      }
      port = listener.port
      condition.withLock { self.daemon = daemon }
      Thread.detachNewThread { [self] in keepDeadlines() }
    }

    func stop() {
      condition.lock()
      guard !stopping, let daemon else {
        // A second caller waits for the first, so that the port is free for both.
        while stopping && !stopped { condition.wait() }
        condition.unlock()
        return
      }
      stopping = true
      condition.broadcast()
      let live = Array(streams.values)
      condition.unlock()
      for stream in live { stream.close() }
      let listener = MHD_quiesce_daemon(daemon)
      if listener >= 0 { close(listener) }
      let deadline = Date(timeIntervalSinceNow: configuration.stopTimeout.seconds)
      condition.lock()
      while !active.isEmpty && condition.wait(until: deadline) {}
      let rest = Array(active.values)
      condition.unlock()
      // A parked connection must be awake before the library lets go of it.
      for exchange in rest { exchange.answer(.failure(503, "stopping", "the node is stopping"), stream: nil) }
      let flushed = Date(timeIntervalSinceNow: Self.flushTimeout)
      condition.lock()
      while !active.isEmpty && condition.wait(until: flushed) {}
      condition.unlock()
      MHD_stop_daemon(daemon)
      condition.withLock {
        self.daemon = nil
        stopped = true
        condition.broadcast()
      }
    }

    // MARK: Event thread

    var idleSeconds: UInt32 { UInt32(clamping: max(1, Int(configuration.idleTimeout.seconds.rounded(.up)))) }
    var stallSeconds: UInt32 { min(idleSeconds, UInt32(clamping: max(1, Int(configuration.stallTimeout.seconds.rounded(.up))))) }

    var isStopping: Bool { condition.withLock { stopping } }

    func begin(_ exchange: Exchange) { condition.withLock { active[ObjectIdentifier(exchange)] = exchange } }

    /// Starts the time limit of a parked request.
    func schedule(_ exchange: Exchange) {
      condition.withLock {
        dropDeadlines { $0.exchange.exchange == nil }
        deadlines.append((.now + configuration.handlerTimeout, Weak(exchange: exchange)))
        if deadlines.count - firstDeadline == 1 { condition.broadcast() }
      }
    }

    /// Drops deadlines from the front while they match, in amortised constant time each.
    private func dropDeadlines(while matches: ((at: ContinuousClock.Instant, exchange: Weak)) -> Bool) {
      while firstDeadline < deadlines.count, matches(deadlines[firstDeadline]) { firstDeadline += 1 }
      guard firstDeadline > 64, firstDeadline * 2 > deadlines.count else { return }
      deadlines.removeFirst(firstDeadline)
      firstDeadline = 0
    }

    func end(_ exchange: Exchange, isSent: Bool) {
      exchange.finish(isSent: isSent)
      condition.withLock {
        active[ObjectIdentifier(exchange)] = nil
        if stopping && active.isEmpty { condition.broadcast() }
      }
    }

    // MARK: Live streams

    func reserveStream() -> Bool {
      condition.withLock {
        guard !stopping, streamCount < configuration.streamLimit else { return false }
        streamCount += 1
        return true
      }
    }

    func register(_ stream: EventStream) {
      let late = condition.withLock {
        streams[ObjectIdentifier(stream)] = stream
        return stopping
      }
      if late { stream.close() }
    }

    func releaseStream(_ stream: EventStream) {
      condition.withLock {
        if streams.removeValue(forKey: ObjectIdentifier(stream)) != nil { streamCount -= 1 }
      }
    }

    // MARK: Deadline thread

    private func keepDeadlines() {
      var heartbeat = ContinuousClock.now + Self.heartbeatInterval
      condition.lock()
      while !stopping {
        let now = ContinuousClock.now
        var late: [Exchange] = []
        dropDeadlines { deadline in
          guard deadline.at <= now else { return deadline.exchange.exchange == nil }
          if let exchange = deadline.exchange.exchange { late.append(exchange) }
          return true
        }
        let beating = heartbeat <= now ? Array(streams.values) : []
        if heartbeat <= now { heartbeat = now + Self.heartbeatInterval }
        if late.isEmpty && beating.isEmpty {
          let next = firstDeadline < deadlines.count ? min(deadlines[firstDeadline].at, heartbeat) : heartbeat
          _ = condition.wait(until: Date(timeIntervalSinceNow: max(0.001, (next - now).seconds)))
        } else {
          condition.unlock()
          for exchange in late { exchange.answer(.failure(504, "timeout", "the node did not answer in time"), stream: nil) }
          for stream in beating { stream.sendHeartbeat() }
          condition.lock()
        }
      }
      condition.unlock()
    }

    /// Links and blocks come before the API.
    private static let niceness: Int32 = 10
    private static let heartbeatInterval: Duration = .seconds(15)
    private static let flushTimeout = 0.25
  }
}
