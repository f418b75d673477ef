import Crypto
import EventLoop
import Foundation
import HTTPAPI
import HostCore
import Identity
import Ledger
import NodeCore
import Peering
import Scout
import SecureChannel
import Store
import Swarm
import Threads
import Wire

/// A whole node in one process: the root machine on its thread, links on shards, a pool for signatures and execution, the
/// store's writer and the HTTP API.
public final class Node: @unchecked Sendable {
  /// The root machine of the reference chain.
  public typealias Core = NodeCore<AccountLedger, ProofOfAuthority>

  /// Why a node cannot start.
  public struct StartError: Error, Sendable, CustomStringConvertible {
    /// What is wrong and which setting to change.
    public let description: String
  }

  /// The software's version, as identify and the API show it.
  public static let version = "0.1.0"

  /// The settings it was started with.
  public let configuration: NodeConfiguration
  /// The settings as they were last read. Under the lock.
  private var current: NodeConfiguration
  /// Its name.
  public let peerID: PeerID
  static let crypto = SystemCrypto.shared
  private let log: EventLog
  /// What a running node consists of; let go of at the stop, so that the store is closed.
  private var parts: Parts?
  private var http: HTTPServer?
  private let lock = Lock()
  private var waiting: [QueryID: Asker] = [:]
  /// Those who are being told their answers.
  private var telling = 0
  private var nextQuery: UInt64 = 1
  private var goneWaiter: (@Sendable () -> Void)?

  private var relay: Relay?

  fileprivate struct Parts: Sendable {
    let store: any KeyValueStore
    let core: CoreThread<Core>
    let swarm: Swarm
    let scout: Scout
    /// The chain's own: what it has under way bounds what waits here.
    let workers: WorkerPool
    /// The chain's own: one batch is under way at a time.
    let writer: WorkerPool
    let book: BookWriter
    /// Reads what peers ask for: apart from the chain's work, so that nobody can hold that up.
    let readers: WorkerPool
    /// Reads what users ask for and encodes what they are answered. A question counts until it is answered, so that there is always room.
    let clerks: WorkerPool
  }

  /// What tests change of a node's inside.
  struct Rig: Sendable {
    /// Inputs that may wait for the core.
    var inputsMaximum = 65_536
    /// Puts something between the node and its store.
    var wrapStore: @Sendable (any KeyValueStore) -> any KeyValueStore = { $0 }
    /// Whether a pool is to refuse a job.
    var refusesJob: @Sendable () -> Bool = { false }
    /// Called on the pool's thread before each job.
    var willRunJob: @Sendable () -> Void = {}
    /// A store for the peer book in place of the file's.
    var book: (any KeyValueStore)?
    /// Changes what no setting of an operator reaches.
    var adjusts: @Sendable (inout Core.Configuration) -> Void = { _ in }
    /// Reads the wall clock.
    var wallTime: @Sendable () -> WallTime = { Platform.wallTime }
  }

  private let rig: Rig

  /// Opens everything that the node needs on disk; nothing is listened on yet.
  public convenience init(configuration: NodeConfiguration, logger: Logger) throws {
    try self.init(configuration: configuration, logger: logger, rig: Rig())
  }

  init(configuration: NodeConfiguration, logger: Logger, rig: Rig) throws {
    self.rig = rig
    self.configuration = configuration
    current = configuration
    log = EventLog(logger: logger)
    do {
      try FileManager.default.createDirectory(atPath: configuration.dataDirectory, withIntermediateDirectories: true)
    } catch {
      throw StartError(
        description: "the data folder \(configuration.dataDirectory) cannot be created (--data-dir): \(error.localizedDescription)")
    }
    let crypto = Self.crypto
    let key = try KeyFile.readOrCreate(configuration.resolvedNodeKeyFile, crypto: crypto)
    let genesis = try GenesisFile.read(path: configuration.resolvedGenesisFile).configuration
    let producer = configuration.producerKeyFile.isEmpty ? nil : try KeyFile.read(configuration.producerKeyFile, crypto: crypto)
    if let producer, let address = Address(producer.publicKey), !genesis.authorities.contains(address) {
      throw StartError(description: "the producer key \(address) is not among the authorities of the genesis (--producer-key)")
    }
    for (what, path) in [
      ("the node's key", configuration.resolvedNodeKeyFile), ("the producer's key", configuration.producerKeyFile),
      ("the private network's key", configuration.swarmKeyFile),
    ] where !path.isEmpty && !PrivateFile.isPrivate(path) { log.keyIsExposed(what, path) }
    var storeConfiguration = LMDBStore.Configuration()
    storeConfiguration.mapBytes = configuration.storeMapGiB << 30
    let store = rig.wrapStore(try LMDBStore(dataDirectory: configuration.dataDirectory, configuration: storeConfiguration))
    let now = Platform.now
    let clock = WallClock(now: now, wall: rig.wallTime())
    let chain = try Chain.open(
      genesis: genesis, ledger: AccountLedger(genesis: genesis, crypto: crypto), consensus: ProofOfAuthority(genesis: genesis),
      store: store, crypto: crypto, clock: clock, now: now)
    let book = try rig.book ?? BookFile.open(configuration.bookFile, log: log)
    let seed = crypto.randomBytes(8).reduce(0) { $0 << 8 | UInt64($1) }
    var settings = configuration.core(producer: producer)
    if !configuration.asnMapFile.isEmpty { settings.host.peering.groups.systems = try SystemsFile.read(configuration.asnMapFile) }
    rig.adjusts(&settings)
    let machine = Core(
      key: key, crypto: crypto, configuration: settings, genesis: genesis, chain: chain,
      book: try BookFile.rows(book), clock: clock, seed: seed, now: now)
    peerID = key.peerID
    log.loaded(machine.host.peering.counts.stored)
    let relay = Relay()
    let core = CoreThread(name: "core", machine: machine, capacity: rig.inputsMaximum, wallTime: rig.wallTime) { outputs in
      if let node = relay.node, let parts = relay.parts { node.perform(outputs, parts) }
    }
    let parts = Parts(
      store: store, core: core,
      swarm: Swarm(
        key: key, crypto: crypto, configuration: try configuration.swarm(), protocols: machine.host.table, sink: SwarmBridge(core)),
      scout: Scout(configuration: try configuration.scout()) { report in
        // Anybody on the local network can send these, and they get lost like other datagrams. The others answer a task of the core's.
        if case .multicast = report { _ = core.post(.host(.discovered(report))) } else { core.report(.host(.discovered(report))) }
      },
      workers: try WorkerPool(name: "worker", threads: Platform.processorCount, capacity: Self.jobsMaximum),
      writer: try WorkerPool(name: "writer", threads: 1, capacity: 1),
      book: BookWriter(
        book, onFailure: { [log] in log.bookFailed($0) }, onRecovery: { [log] in log.bookRecovered() }),
      readers: try WorkerPool(name: "reader", threads: 2, capacity: Self.readsMaximum, niceness: 5),
      clerks: try WorkerPool(name: "clerk", threads: 2, capacity: Self.questionsMaximum, niceness: 10))
    self.parts = parts
    relay.parts = parts
    relay.node = self
    self.relay = relay
  }

  /// Starts the threads, listens, dials and serves the API.
  ///
  /// - Throws: when an address cannot be listened on; nothing runs then.
  public func start() throws {
    guard let parts else { throw StartError(description: "the node was stopped and cannot be started again") }
    let (swarm, core) = (parts.swarm, parts.core)
    Platform.ignoreBrokenPipes()
    try swarm.start()
    try core.start()
    let addresses = try swarm.listen(on: configuration.listen.map { try Multiaddr($0) })
    core.report(.host(.listening(try reachable(addresses))))
    for command in try configuration.dials() { core.report(.host(.command(command))) }
    if configuration.httpEnabled {
      var settings = HTTPServer.Configuration()
      settings.bindAddress = configuration.httpBind
      settings.port = UInt16(configuration.httpPort)
      settings.allowedOrigins = configuration.httpAllowedOrigins
      settings.allowedHosts = configuration.httpAllowedHosts
      settings.adminToken = configuration.adminToken
      settings.requestsPerSecond = Double(configuration.httpRequestsPerSecond)
      settings.requestsAtOnce = 4 * settings.requestsPerSecond
      if configuration.adminToken.isEmpty {
        let (token, isPrivate) = try AdminToken.readOrCreate(configuration.adminTokenFile)
        settings.adminToken = token
        if !isPrivate { log.tokenIsExposed(configuration.adminTokenFile) }
      }
      if IPAddress(configuration.httpBind)?.isLoopback == false { log.apiIsExposed(configuration.httpBind) }
      http = try HTTPServer(configuration: settings, router: NodeRoutes.make(for: self))
    }
    log.variablesIgnored(configuration.ignoredVariables)
    log.started(peerID, http: http.map { "\(configuration.httpBind):\($0.port)" })
  }

  /// Takes over what of new settings can be taken over while the node runs: the log's level, and bootstrap, seed and other peers that were added. The
  /// log says what it was, and what waits for a restart.
  public func reload(_ new: NodeConfiguration) {
    let old = lock.withLock {
      defer { current = new }
      return current
    }
    let changes = Reload(from: old, to: new)
    // The answer is seen when either level shows it.
    let level = changes.applied.contains("log_level") ? new.logLevel : log.logger.level
    log.logger.level = min(level, log.logger.level)
    if let core {
      for command in (try? changes.added.dials()) ?? [] { core.report(.host(.command(command))) }
    }
    log.reloaded(changes)
    log.logger.level = level
  }

  /// What clients make the HTTP API keep.
  var httpUse: HTTPServer.Use? { http?.use }

  /// The port of the HTTP API, once it is served.
  public var httpPort: UInt16? { http?.port }

  /// Says goodbye to all peers, frees the ports, makes everything durable and ends the threads.
  public func stop() {
    let parts = lock.withLock { () -> Parts? in
      defer { self.parts = nil }
      return self.parts
    }
    guard let parts else { return }
    http?.stop()
    let gone = DispatchSemaphore(value: 0)
    lock.withLock { goneWaiter = { gone.signal() } }
    parts.core.report(.host(.command(.stop)))
    // The goodbyes are handed to the links then, which send them.
    _ = gone.wait(timeout: .now() + .milliseconds(1500))
    // A peer that does not read holds its link for a second at most.
    parts.swarm.stop(drainingWithin: .milliseconds(1500))
    parts.scout.stop()
    parts.core.stop()
    parts.workers.stop()
    parts.writer.stop()
    parts.readers.stop()
    parts.clerks.stop()
    parts.book.flush()
    let unanswered = lock.withLock {
      defer { waiting = [:] }
      return waiting.values
    }
    for asker in unanswered { asker.completion(.unavailable("the node has stopped")) }
    relay?.parts = nil
    http = nil
    log.stopped()
  }

  /// The core's thread, while the node runs.
  var core: CoreThread<Core>? { lock.withLock { parts }?.core }

  /// What the links keep for peers.
  var linkMemory: Swarm.MemoryUse? { lock.withLock { parts }?.swarm.memory }

  /// What an operator should know of what is not stored of the peer book, in a sentence; `nil` while nothing is missing.
  var bookWarning: String? {
    lock.withLock { parts }?.book.fault.map {
      "the peer book can't be written (\($0.message)): bans and peers that are new would be lost with a restart"
    }
  }

  /// How many log lines were dropped.
  var droppedLogLines: UInt64 { log.logger.droppedLines }

  /// Asks the node; the answer comes exactly once, on one of the threads that serve users, which `completion` may keep for as long as it takes
  /// to encode the answer, or on that of whoever stops the node. When too many questions wait already the answer comes at once,
  /// on the caller's thread: `unavailable`.
  ///
  /// The answer to an operator's command that is to survive a restart comes when it would, or is `notStored`.
  public func ask(_ query: Query, completion: @escaping @Sendable (Answer) -> Void) {
    let taken = lock.withLock { () -> (QueryID, CoreThread<Core>)? in
      guard let core = parts?.core, waiting.count + telling < Self.questionsMaximum else { return nil }
      let id = QueryID(rawValue: nextQuery)
      nextQuery += 1
      let lasts = if case .operate(let command) = query { command.lasts } else { false }
      waiting[id] = Asker(lasts: lasts, completion: completion)
      return (id, core)
    }
    guard let (id, core) = taken else { return completion(Self.busy) }
    if !core.post(.query(id, query)) { answered(id, Self.busy) }
  }

  /// Whoever asked is told; only then there is room for another question.
  private func answered(_ id: QueryID, _ answer: Answer) {
    let asker = lock.withLock {
      let asker = waiting.removeValue(forKey: id)
      if asker != nil { telling += 1 }
      return asker
    }
    guard let asker else { return }
    asker.completion(answer)
    lock.withLock { telling -= 1 }
  }

  /// Every address of an unspecified one, as peers can dial them.
  private func reachable(_ addresses: [Multiaddr]) throws -> [Multiaddr] {
    var result: [Multiaddr] = []
    for address in addresses {
      guard let ip = address.ipAddress, ip.isUnspecified, let port = address.tcpPort else {
        result.append(address)
        continue
      }
      for interface in try interfaces() where !interface.address.isLinkLocal {
        guard let own = IPAddress(bytes: interface.address.ipBytes), own.isV6 == ip.isV6 else { continue }
        result.append(Multiaddr(ip: own, port: port))
      }
    }
    return result
  }

  // MARK: Outputs, on the core's thread

  fileprivate func perform(_ outputs: [Core.Output], _ parts: Parts) {
    let core = parts.core
    var network: [HostCore.Output] = []
    var done: [(QueryID, Answer)] = []
    var isGone = false
    var dials = 0
    for output in outputs {
      switch output {
      case .host(let output): network.append(output)
      case .work(let id, let work):
        run(on: parts.workers, orElse: .workRefused(id), core) { .workDone(id, work.run(crypto: Self.crypto)) }
      case .store(let id, let batch):
        run(on: parts.writer, orElse: .commitRefused(id), core) { [store = parts.store] in
          do throws(StoreError) { try store.commit(batch) } catch { return .commitFailed(id, error) }
          return .committed(id)
        }
      case .read(let id, let job):
        run(on: job.isUsers ? parts.clerks : parts.readers, orElse: .readRefused(id), core) { .readDone(id, job.run()) }
      case .answer(let id, let answer):
        // What becomes of an answer, such as two megabytes of JSON, is no work for this thread.
        if case .operated(let result) = answer, !result.isRefusal, lock.withLock({ waiting[id]?.lasts ?? false }) {
          done.append((id, answer))
        } else if !parts.clerks.submit({ self.answered(id, answer) }) {
          answered(id, Self.busy)
        }
      case .event(let event):
        if case .host(.peering(.dialling)) = event { dials += 1 }
        log.write(event)
        if case .host(.peering(.stopped)) = event { isGone = true }
      }
    }
    if dials > 0 { log.attempting(dials) }
    // Only behind the goodbyes, which the shards then still send.
    defer {
      if isGone { lock.withLock { goneWaiter }?() }
    }
    for output in parts.swarm.perform(network) {
      switch output {
      case .book(let batch): parts.book.write(batch)
      case .discover(let task): parts.scout.perform(task)
      default: break
      }
    }
    // Behind the rows that they tell of.
    for (id, answer) in done {
      parts.book.whenWritten { [self] error in
        let answer = error.map { Answer.notStored($0) } ?? answer
        if !parts.clerks.submit({ self.answered(id, answer) }) { answered(id, answer) }
      }
    }
  }

  /// Runs a job and tells the core what came of it. A job that the pool does not take fails at once, by its name: nothing is waited for
  /// that never comes.
  private func run(on pool: WorkerPool, orElse refusal: Core.Input, _ core: CoreThread<Core>, _ job: @escaping @Sendable () -> Core.Input) {
    let isTaken =
      !rig.refusesJob()
      && pool.submit { [rig] in
        rig.willRunJob()
        core.report(job())
      }
    if !isTaken { core.report(refusal) }
  }

  /// Somebody who has asked, and whether the answer tells of something that has to survive a restart.
  private struct Asker {
    let lasts: Bool
    let completion: @Sendable (Answer) -> Void
  }

  private static let busy = Answer.unavailable("the node is busy or stopping; try again later")

  /// Far more than a chain has under way.
  private static let jobsMaximum = 64
  /// Reads for peers that may wait: one for each, and what this node fetches.
  private static let readsMaximum = 1_024
  /// Questions of users that may wait for their answers.
  private static let questionsMaximum = 1_024

  /// Lets the core's thread find the node that is made after it. The parts are kept until the thread has ended.
  private final class Relay: @unchecked Sendable {
    weak var node: Node?
    var parts: Parts?
  }
}

extension NodeCore: RootMachine {
  public static var timerInput: Input { .timer }
  public static func clockInput(_ clock: WallClock) -> Input { .clock(clock) }
}

/// Posts what the shards tell to the core's thread.
private final class SwarmBridge: SwarmSink {
  private let core: CoreThread<Node.Core>

  init(_ core: CoreThread<Node.Core>) { self.core = core }

  func post(_ inputs: [HostCore.Input], bytes: Int) -> Bool { core.post(contentsOf: inputs.map { .host($0) }, bytes: bytes) }
  func notifyWhenSpace(_ body: @escaping @Sendable () -> Void) { core.notifyWhenSpace(body) }
  /// A node serves no protocol of an application.
  func opened(_ stream: ApplicationStream) { stream.reset() }
}
