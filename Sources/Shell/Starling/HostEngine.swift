import Crypto
import Discovery
import Dispatch
import EventLoop
import Gossip
import HostCore
import Identity
import Peering
import SecureChannel
import Swarm
import Threads
import Wire

/// What a ``Host`` runs on: the core on its thread, the swarm on its own, and the tables of those who wait.
///
/// What is marked as the core thread's is touched there only; the rest is under the lock.
final class HostEngine: @unchecked Sendable {
  typealias StreamHandler = @Sendable (PeerStream) async throws -> Void
  typealias RequestHandler = @Sendable (PeerID, [UInt8]) async throws -> [UInt8]?

  let key: NodeKey
  let configuration: Host.Configuration
  private(set) var core: CoreThread<HostCore>!
  private(set) var swarm: Swarm!

  let lock = Lock()
  private var listening: [Multiaddr] = []
  private var eventReaders: [Int: AsyncStream<HostEvent>.Continuation] = [:]
  private var nextReader = 0
  private var isClosed = false
  private var closeWaiters: [CheckedContinuation<Void, Never>] = []
  private var isGone = false
  var streamHandlers: [ProtocolID: StreamHandler] = [:]
  var runningHandlers = 0
  private var lookUpNumber: UInt64 = 0

  // The core thread's.
  var attempts: [ConnectAttempt] = []
  var requests: [RequestID: CheckedContinuation<[UInt8], any Error>] = [:]
  var nextRequest: UInt64 = 1
  var requestHandlers: [ProtocolID: RequestHandler] = [:]
  var runningAnswers = 0
  var topics: [Topic: TopicReaders] = [:]
  var runningValidations = 0
  var lookUps: [LookUpID: LookUpWaiter] = [:]
  private var book: BookWriter?

  // MARK: Life

  /// Makes and starts an engine; threads are started and the book is read off the caller's thread.
  static func start(_ configuration: Host.Configuration, _ key: NodeKey) async throws -> HostEngine {
    try await withCheckedThrowingContinuation { continuation in
      DispatchQueue.global().async {
        continuation.resume(with: Result { try HostEngine(configuration, key) })
      }
    }
  }

  private init(_ configuration: Host.Configuration, _ key: NodeKey) throws {
    self.configuration = configuration
    self.key = key
    var rows: [(key: [UInt8], value: [UInt8])] = []
    if let store = configuration.book {
      do { rows = try store.scan(HostCore.bookTable, from: [], limit: Self.bookRowsMaximum) } catch {
        throw HostError(.bookFailed, "\(error)", cause: error)
      }
    }
    let now = Platform.now
    let machine = HostCore(
      key: key, crypto: SystemCrypto.shared, configuration: configuration.core, book: rows,
      clock: WallClock(now: now, wall: Platform.wallTime),
      seed: Self.randomSeed(), now: now)
    core = CoreThread(name: "core", machine: machine) { [unowned self] outputs in self.perform(&outputs) }
    swarm = Swarm(
      key: key, crypto: SystemCrypto.shared, configuration: configuration.swarm, protocols: machine.table, sink: EngineSink(self))
    if let store = configuration.book {
      book = BookWriter(store) { [weak self] error in self?.tell(.bookFailed(error)) }
    }
    do {
      try core.start()
      try swarm.start()
    } catch {
      swarm.stop()
      core.stop()
      throw HostError.wrap(error)
    }
  }

  func listen(on addresses: [Multiaddr]) async throws -> [Multiaddr] {
    let actual: [Multiaddr]
    do { actual = try await swarm.startListening(on: addresses) } catch let error as TransportError {
      throw HostError(error.code == .invalidArgument ? .invalidAddress : .listenFailed, error.description, cause: error)
    }
    let all = lock.withLock {
      listening += actual
      return listening
    }
    // Waits, so that peers that hear of the addresses find what belongs to them.
    _ = try await run { machine, now, outputs in machine.handle(.listening(all), now: now, into: &outputs) }
    return actual
  }

  var addresses: [Multiaddr] { lock.withLock { listening } }

  func close() async {
    let isFirst = lock.withLock {
      defer { isClosed = true }
      return !isClosed
    }
    guard isFirst else {
      return await withCheckedContinuation { continuation in
        let isOver = lock.withLock {
          if !isGone { closeWaiters.append(continuation) }
          return isGone
        }
        if isOver { continuation.resume() }
      }
    }
    await swarm.stopListening()
    _ = try? await run { machine, now, outputs in
      machine.handle(.command(.stop), now: now, into: &outputs)
      self.failAll()
    }
    await swarm.shutDown(drainingWithin: configuration.closeTimeout)
    await core.shutDown()
    await book?.flushed()
    let (readers, waiters) = lock.withLock {
      isGone = true
      streamHandlers = [:]
      defer {
        eventReaders = [:]
        closeWaiters = []
      }
      return (eventReaders, closeWaiters)
    }
    for reader in readers.values { reader.finish() }
    for waiter in waiters { waiter.resume() }
  }

  /// Ends everything that waits for the core. On the core's thread.
  private func failAll() {
    let error = HostError(.closed, "the host is closed")
    for attempt in attempts { attempt.finish(.failure(error)) }
    attempts = []
    for request in requests.values { request.resume(throwing: error) }
    requests = [:]
    for waiter in lookUps.values { waiter.finish(.failure(error)) }
    lookUps = [:]
    for topic in topics.values { topic.finish() }
    topics = [:]
  }

  // MARK: To the core

  /// Posts a command that nobody waits for; it is lost when the host is closed.
  func post(_ command: HostCore.Command) {
    core.execute { machine, now, outputs in machine.handle(.command(command), now: now, into: &outputs) }
  }

  /// Runs `body` on the core's thread and waits for its result; what it appends is performed behind it.
  func run<Value: Sendable>(
    _ body: @escaping @Sendable (HostCore, Instant, inout [HostCore.Output]) throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      let isAccepted = core.execute { machine, now, outputs in
        let result = Result { try body(machine, now, &outputs) }
        continuation.resume(with: result)
      }
      if !isAccepted { continuation.resume(throwing: HostError(.closed, "the host is closed")) }
    }
  }

  func ask<Value: Sendable>(_ body: @escaping @Sendable (HostCore, Instant) throws -> Value) async throws -> Value {
    try await run { machine, now, _ in try body(machine, now) }
  }

  /// A name for a look-up, given before the core has heard of it, so that a cancelled task can name it.
  func nextLookUp() -> LookUpID {
    lock.withLock {
      lookUpNumber += 1
      return LookUpID(rawValue: lookUpNumber)
    }
  }

  /// Whether the host takes no more work; on the core's thread, behind which nothing is lost.
  var isClosing: Bool { lock.withLock { isClosed } }

  // MARK: From the core

  private func perform(_ outputs: inout [HostCore.Output]) {
    for output in swarm.perform(outputs) {
      switch output {
      case .event(let event): handle(event)
      case .book(let batch): book?.write(batch)
      default: break
      }
    }
    settleAttempts()
  }

  private func handle(_ event: HostCore.Event) {
    switch event {
    case .response(let id, let result): finish(id, result)
    case .request(let request): answer(request)
    case .gossip(let message): topics[message.topic]?.deliver(message)
    case .validate(let message): validate(message)
    case .lookUp(let id, let progress): lookUps[id]?.found(progress)
    case .lookedUp(let id, let outcome): lookUps.removeValue(forKey: id)?.finish(.success(outcome))
    case .peering(let event): note(event)
    default: break
    }
    if lock.withLock({ eventReaders.isEmpty }) { return }
    if let event = HostEvent(event) { tell(event) }
  }

  // MARK: Events

  func makeEvents() -> AsyncStream<HostEvent> {
    AsyncStream(bufferingPolicy: .bufferingNewest(configuration.eventsMaximum)) { continuation in
      let number: Int? = lock.withLock {
        if isGone { return nil }
        nextReader += 1
        eventReaders[nextReader] = continuation
        return nextReader
      }
      guard let number else { return continuation.finish() }
      continuation.onTermination = { [weak self] _ in
        guard let self else { return }
        // The continuation is let go of outside the lock, for its end may run code.
        _ = lock.withLock { eventReaders.removeValue(forKey: number) }
      }
    }
  }

  func tell(_ event: HostEvent) {
    let readers = lock.withLock { Array(eventReaders.values) }
    for reader in readers { reader.yield(event) }
  }

  private static func randomSeed() -> UInt64 {
    SystemCrypto.shared.randomBytes(8).reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// More rows than any book has: the peering machine keeps 4,096 peers.
  private static let bookRowsMaximum = 1 << 20
}

/// What the shards tell, on the way to the engine; it does not keep the engine alive.
private final class EngineSink: SwarmSink, @unchecked Sendable {
  private weak var engine: HostEngine?
  private let core: CoreThread<HostCore>

  init(_ engine: HostEngine) {
    self.engine = engine
    core = engine.core
  }

  func post(_ inputs: [HostCore.Input], bytes: Int) -> Bool { core.post(contentsOf: inputs, bytes: bytes) }
  func notifyWhenSpace(_ body: @escaping @Sendable () -> Void) { core.notifyWhenSpace(body) }
  func opened(_ stream: ApplicationStream) { if let engine { engine.opened(stream) } else { stream.reset() } }
}
