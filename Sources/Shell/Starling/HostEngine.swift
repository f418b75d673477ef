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

  private enum Life: Equatable {
    /// Peers are neither dialled nor waited for.
    case idle
    /// What whoever calls `start()` meanwhile waits for.
    case starting(Task<Void, any Error>)
    case started
    /// No more work is taken.
    case closed
    /// Nothing is left.
    case gone
  }

  let key: NodeKey
  let configuration: Host.Configuration
  private(set) var core: CoreThread<HostCore>!
  private(set) var swarm: Swarm!

  let lock = Lock()
  private var listening: [Multiaddr] = []
  private var eventReaders: [Int: EventReader] = [:]
  private var nextReader = 0
  private var life = Life.idle
  private var closeWaiters: [CheckedContinuation<Void, Never>] = []
  /// The peers that are dialled again and for ever; those named before the start are dialled then.
  private var bootstrap: [Multiaddr]
  /// The program's code that runs for peers.
  private var tasks: [UInt64: Task<Void, Never>] = [:]
  private var nextTask: UInt64 = 0
  var streamHandlers: [ProtocolID: StreamHandler] = [:]
  var runningHandlers = 0
  /// Streams for which there were too many handlers.
  var refusedStreams: UInt64 = 0
  private var lastNumber: UInt64 = 0

  // The core thread's.
  var attempts: [ConnectAttempt] = []
  var requests: [RequestID: CheckedContinuation<[UInt8], any Error>] = [:]
  var requestHandlers: [ProtocolID: (maximumBytes: Int, run: RequestHandler)] = [:]
  var runningAnswers = 0
  var topics: [Topic: TopicReaders] = [:]
  var runningValidations = 0
  var lookUps: [LookUpID: LookUpWaiter] = [:]
  private var book: BookWriter?

  // MARK: Life

  /// Makes an engine; threads are started and the book is read off the caller's thread.
  static func make(_ configuration: Host.Configuration, _ key: NodeKey) async throws -> HostEngine {
    try await withCheckedThrowingContinuation { continuation in
      DispatchQueue.global().async {
        continuation.resume(with: Result { try HostEngine(configuration, key) })
      }
    }
  }

  private init(_ configuration: Host.Configuration, _ key: NodeKey) throws {
    var configuration = configuration
    configuration.core.peering.waitsForStart = true
    self.configuration = configuration
    self.key = key
    bootstrap = configuration.bootstrap
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

  /// Listens and dials. Whoever asks for it while it is under way waits for the same start.
  func start() async throws {
    let start: Task<Void, any Error>? = try lock.withLock {
      switch life {
      case .idle:
        let start = Task { [self] in try await startNow() }
        life = .starting(start)
        return start
      case .starting(let start): return start
      case .started: return nil
      case .closed, .gone: throw Self.closedError
      }
    }
    try await start?.value
  }

  private func startNow() async throws {
    do { if !configuration.listen.isEmpty { _ = try await listenNow(on: configuration.listen) } } catch {
      lock.withLock { if case .starting = life { life = .idle } }
      throw error
    }
    try await run { [self] machine, now, outputs in
      let peers = try lock.withLock {
        guard case .starting = life else { throw Self.closedError }
        life = .started
        return bootstrap
      }
      machine.handle(.command(.start), now: now, into: &outputs)
      for peer in peers { dial(peer, machine, now, &outputs) }
    }
  }

  private func dial(_ address: Multiaddr, _ machine: HostCore, _ now: Instant, _ outputs: inout [HostCore.Output]) {
    let address = PeerAddress(peer: address.peerID, address: address.withoutPeerID)
    machine.handle(.command(.dial(address, keep: true)), now: now, into: &outputs)
  }

  /// Treats a peer as one of the configuration's from now on.
  func addBootstrap(_ address: Multiaddr) async throws {
    try HostError.check(address)
    try await run { [self] machine, now, outputs in
      let isStarted = try lock.withLock {
        guard life != .closed, life != .gone else { throw Self.closedError }
        if !bootstrap.contains(address) { bootstrap.append(address) }
        return life == .started
      }
      if isStarted { dial(address, machine, now, &outputs) }
    }
  }

  func removeBootstrap(_ address: Multiaddr) async {
    lock.withLock { bootstrap.removeAll { $0 == address } }
    _ = try? await operate(address.peerID.map { .drop($0) } ?? .dropAddress(address.withoutPeerID))
  }

  /// - Throws: ``HostError`` `notStarted` or `closed` while nobody can be dialled or listened for.
  func requireStart() throws {
    switch lock.withLock({ life }) {
    case .idle, .starting: throw HostError(.notStarted, "call start() first: until then the host neither dials nor listens")
    case .started: return
    case .closed, .gone: throw Self.closedError
    }
  }

  static let closedError = HostError(.closed, "the host is closed")

  func listen(on addresses: [Multiaddr]) async throws -> [Multiaddr] {
    try requireStart()
    return try await listenNow(on: addresses)
  }

  private func listenNow(on addresses: [Multiaddr]) async throws -> [Multiaddr] {
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
    let tasks: [Task<Void, Never>]? = lock.withLock {
      if life == .closed || life == .gone { return nil }
      life = .closed
      return Array(self.tasks.values)
    }
    guard let tasks else {
      return await withCheckedContinuation { continuation in
        let isOver = lock.withLock {
          if life != .gone { closeWaiters.append(continuation) }
          return life == .gone
        }
        if isOver { continuation.resume() }
      }
    }
    for task in tasks { task.cancel() }
    await swarm.stopListening()
    _ = try? await run { machine, now, outputs in
      machine.handle(.command(.stop), now: now, into: &outputs)
      self.failAll()
    }
    await swarm.shutDown(drainingWithin: configuration.closeTimeout)
    await core.shutDown()
    await book?.flushed()
    let (readers, waiters) = lock.withLock {
      life = .gone
      streamHandlers = [:]
      defer {
        eventReaders = [:]
        closeWaiters = []
      }
      return (eventReaders, closeWaiters)
    }
    for reader in readers.values { reader.continuation.finish() }
    for waiter in waiters { waiter.resume() }
  }

  /// Ends everything that waits for the core. On the core's thread.
  private func failAll() {
    let error = Self.closedError
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
      if !isAccepted { continuation.resume(throwing: Self.closedError) }
    }
  }

  /// Has something begun on the core's thread whose end resumes the continuation, and waits for it. A task that is cancelled gives it up: by
  /// `cancel`, on the core's thread too, or it is not begun at all.
  func wait<Value: Sendable>(
    _ begin: @escaping @Sendable (CheckedContinuation<Value, any Error>, HostCore, Instant, inout [HostCore.Output]) -> Void,
    onCancel cancel: @escaping @Sendable (HostCore, Instant, inout [HostCore.Output]) -> Void
  ) async throws -> Value {
    let ticket = Ticket()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let isAccepted = core.execute { [self] machine, now, outputs in
          if isClosing { return continuation.resume(throwing: Self.closedError) }
          if ticket.isCancelled { return continuation.resume(throwing: CancellationError()) }
          begin(continuation, machine, now, &outputs)
        }
        if !isAccepted { continuation.resume(throwing: Self.closedError) }
      }
    } onCancel: {
      core.execute { machine, now, outputs in
        ticket.isCancelled = true
        cancel(machine, now, &outputs)
      }
    }
  }

  /// Tells what has not begun yet that nobody wants it any more. The core thread's.
  private final class Ticket: @unchecked Sendable {
    var isCancelled = false
  }

  /// Has an operator's command done; what is to survive a restart is stored when this returns.
  func operate(_ command: OperatorCommand) async throws -> OperatorAnswer {
    let id = OperationID(rawValue: nextNumber())
    let answer = try await run { [self] machine, now, outputs in
      if isClosing { throw Self.closedError }
      let before = outputs.count
      machine.handle(.command(.operate(id, command)), now: now, into: &outputs)
      for case .event(.operated(id, let answer)) in outputs[before...] { return answer }
      throw Self.closedError
    }
    guard let book, command.lasts, !answer.isRefusal else { return answer }
    // The turn after next: the rows are handed over when the command's own ends.
    _ = try? await run { _, _, _ in }
    let failure = await withCheckedContinuation { continuation in book.whenWritten { continuation.resume(returning: $0) } }
    if let failure {
      throw HostError(.bookFailed, "it holds, but is not stored, and would be forgotten with a restart now: \(failure)", cause: failure)
    }
    return answer
  }

  func ask<Value: Sendable>(_ body: @escaping @Sendable (HostCore, Instant) throws -> Value) async throws -> Value {
    try await run { machine, now, _ in try body(machine, now) }
  }

  /// A number for something that is asked for, given before the core has heard of it, so that a cancelled task can name it.
  func nextNumber() -> UInt64 {
    lock.withLock {
      lastNumber += 1
      return lastNumber
    }
  }

  /// Runs the program's code for a peer until it ends; it is cancelled when the host is closed.
  func spawn(_ body: @escaping @Sendable () async -> Void) {
    lock.withLock {
      if life == .closed || life == .gone { return }
      nextTask += 1
      tasks[nextTask] = Task { [number = nextTask] in
        await body()
        lock.withLock { tasks[number] = nil }
      }
    }
  }

  /// A handler has failed. That it was cancelled with the host is no news.
  func tellFailure(of name: ProtocolID, for peer: PeerID, _ error: any Error) {
    if error is CancellationError, isClosing { return }
    tell(.handlerFailed(peer, name, error))
  }

  /// Whether the host takes no more work; on the core's thread, behind which nothing is lost.
  var isClosing: Bool { lock.withLock { life == .closed || life == .gone } }

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
    case .answered(let peer, let name, let error): if let error { noteAnswer(to: peer, name, error) }
    default: break
    }
    if lock.withLock({ eventReaders.isEmpty }) { return }
    if let event = HostEvent(event) { tell(event) }
  }

  // MARK: Events

  private struct EventReader {
    let continuation: AsyncStream<HostEvent>.Continuation
    let counter: DropCounter
  }

  func makeEvents() -> HostEvents {
    let counter = DropCounter()
    let (stream, continuation) = AsyncStream.makeStream(
      of: HostEvent.self, bufferingPolicy: .bufferingNewest(max(1, configuration.eventsMaximum)))
    let number: Int? = lock.withLock {
      if life == .gone { return nil }
      nextReader += 1
      eventReaders[nextReader] = EventReader(continuation: continuation, counter: counter)
      return nextReader
    }
    if let number {
      continuation.onTermination = { [weak self] _ in
        guard let self else { return }
        // The continuation is let go of outside the lock, for its end may run code.
        _ = lock.withLock { eventReaders.removeValue(forKey: number) }
      }
    } else {
      continuation.finish()
    }
    return HostEvents(stream: stream, counter: counter)
  }

  func tell(_ event: HostEvent) {
    let readers = lock.withLock { Array(eventReaders.values) }
    for reader in readers { if case .dropped = reader.continuation.yield(event) { reader.counter.increment() } }
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
