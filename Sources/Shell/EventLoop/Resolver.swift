import CUV
import Glibc
import Wire

/// Looks host names up on libuv's thread pool and answers on a loop.
public final class Resolver: @unchecked Sendable {
  /// What a resolver can be told.
  public struct Configuration: Sendable {
    /// How long a look-up may take; 5 s. A look-up that was given up holds one of libuv's four threads until the system gives up too.
    public var timeout = Duration.seconds(5)
    /// How many look-ups may be under way, those given up included; 64. Further ones fail with `limitReached`.
    public var lookupMaximum = 64

    /// The defaults.
    public init() {}
  }

  /// An answer: addresses, IPv4 and IPv6, in the system's order and without duplicates, or the reason.
  public typealias Answer = Result<[SocketAddress], TransportError>

  private let loop: EventLoop
  private let configuration: Configuration
  fileprivate var lookupCount = 0

  /// Makes a resolver; it is used on the loop's thread.
  public init(on loop: EventLoop, configuration: Configuration = .init()) {
    self.loop = loop
    self.configuration = configuration
  }

  /// Looks `host` up, an IP address in text included, and calls `completion` once, on the loop's thread, in a later turn; when the
  /// loop stops first, with `canceled`. The addresses carry `port`.
  public func resolve(_ host: String, port: UInt16, completion: @escaping (Answer) -> Void) {
    loop.preconditionInLoop()
    let context = "look up \(host)"
    let lookup = Lookup(self, on: loop, context: context, port: port, completion: completion)
    if lookupCount < configuration.lookupMaximum {
      lookup.start(host, timeout: configuration.timeout)
    } else {
      lookup.finishLater(TransportError(.limitReached, context: context))
    }
  }
}

/// One look-up. Its handle is a timer, for the time limit and for failures that are told in a later turn.
private final class Lookup: LoopHandle, @unchecked Sendable {
  private let resolver: Resolver
  private let context: String
  private let port: UInt16
  private let request = UnsafeMutablePointer<uv_getaddrinfo_t>.allocate(capacity: 1)
  private var isUnderWay = false
  private var completion: ((Resolver.Answer) -> Void)?
  private var failure: TransportError

  init(
    _ resolver: Resolver, on loop: EventLoop, context: String, port: UInt16, completion: @escaping (Resolver.Answer) -> Void
  ) {
    self.resolver = resolver
    self.context = context
    self.port = port
    self.completion = completion
    failure = TransportError(.timedOut, context: context)
    request.initialize(to: uv_getaddrinfo_t())
    super.init(loop: loop, handle: uv_timer_t.self)
    let status = uv_timer_init(loop.raw, pointer(uv_timer_t.self))
    precondition(status == 0, "uv_timer_init failed with \(status)")
    register()
  }

  deinit { request.deallocate() }

  func start(_ host: String, timeout: Duration) {
    var hints = addrinfo()
    hints.ai_family = AF_UNSPEC
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    let status = uv_getaddrinfo(
      loop.raw, request,
      { request, status, list in
        defer { uv_freeaddrinfo(list) }
        guard let data = request?.pointee.data else { return }
        Unmanaged<Lookup>.fromOpaque(data).takeRetainedValue().didAnswer(status, list)
      }, host, nil, &hints)
    guard status == 0 else {
      finishLater(TransportError(status: status, context: context))
      return
    }
    // The answer comes in a later turn of the loop, so that it is early enough to name the owner here.
    request.pointee.data = Unmanaged.passRetained(self).toOpaque()
    isUnderWay = true
    loop.requestCount += 1
    resolver.lookupCount += 1
    startTimer(timeout)
  }

  /// Fails in a later turn of the loop, so that the caller isn't called back from within its own call.
  func finishLater(_ error: TransportError) {
    failure = error
    startTimer(.zero)
  }

  private func startTimer(_ delay: Duration) {
    uv_timer_start(
      pointer(uv_timer_t.self), { $0?.pointee.data?.borrow(Lookup.self) { $0.timerFired() } },
      UInt64(max(0, delay.nanoseconds / 1_000_000)), 0)
  }

  private func timerFired() {
    cancel()
    finish(.failure(failure))
  }

  private func didAnswer(_ status: Int32, _ list: UnsafeMutablePointer<addrinfo>?) {
    isUnderWay = false
    loop.requestCount -= 1
    resolver.lookupCount -= 1
    guard status == 0 else {
      finish(.failure(TransportError(status == UV_EAI_CANCELED.rawValue ? .canceled : .init(rawValue: status), context: context)))
      return
    }
    var addresses: [SocketAddress] = []
    var next = list
    while let entry = next {
      next = entry.pointee.ai_next
      guard var address = SocketAddress(UnsafePointer(entry.pointee.ai_addr)) else { continue }
      address.port = port
      if !addresses.contains(address) { addresses.append(address) }
    }
    finish(addresses.isEmpty ? .failure(TransportError(.unknownName, context: context)) : .success(addresses))
  }

  /// Takes the look-up out of the queue of libuv's pool; without effect once a thread works on it.
  private func cancel() {
    guard isUnderWay else { return }
    UnsafeMutableRawPointer(request).withMemoryRebound(to: uv_req_t.self, capacity: 1) { _ = uv_cancel($0) }
  }

  private func finish(_ answer: Resolver.Answer) {
    beginClose()
    guard let completion else { return }
    self.completion = nil
    completion(answer)
  }

  override func loopIsStopping() {
    cancel()
    beginClose()
  }

  override func didClose() { finish(.failure(TransportError(.canceled, context: context))) }
}
