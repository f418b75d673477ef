import Discovery
import Dispatch
import EventLoop
import HostCore
import Identity
import Peering
import SecureChannel
import Threads
import Wire

/// Where a swarm tells what happens. Called from the shards' threads.
public protocol SwarmSink: AnyObject, Sendable {
  /// Takes inputs for the host core, all or none; their messages have so many bytes.
  ///
  /// - Returns: false when there is no room; the shard then stops reading until ``notifyWhenSpace(_:)`` calls.
  func post(_ inputs: [HostCore.Input], bytes: Int) -> Bool

  /// Calls `body` once there is room again.
  func notifyWhenSpace(_ body: @escaping @Sendable () -> Void)

  /// A peer opened a stream of a protocol that the application serves.
  func opened(_ stream: ApplicationStream)
}

/// The links of a host: listeners, dials, sockets and their connection machines, spread over shards.
///
/// It performs what ``HostCore`` puts out and tells it what comes of it; it decides nothing about peers.
public final class Swarm: @unchecked Sendable {
  /// The settings.
  public struct Configuration: Sendable {
    /// Threads that carry links; each keeps a read buffer of 256 KiB.
    public var shards = 2
    /// The limits of each connection.
    public var connection = Connection.Configuration()
    /// The limits of each socket.
    public var socket = TCPSocket.Configuration()
    /// What peers may make the links keep in all, divided evenly over the threads: a share is 256 MiB with the default of 512 MiB.
    /// Streams that find no room are reset, and links refused.
    public var memoryMaximum = 512 << 20
    /// Accepted connections that wait for the core's word; at this number no more are accepted for the moment. Default 256.
    public var acceptsMaximum = 256
    /// The most bytes that are encrypted for one write.
    public var writeBytes = 256 << 10
    /// How long a link that is being closed may take to send what is queued.
    public var closeTimeout = Duration.seconds(1)
    /// How messages are framed on streams of protocols that this host asks for without answering them itself. Default a length
    /// before each, at most 10 MiB (seed S4).
    public var requestFraming = Framing.lengthPrefixed(maximumBytes: 10 << 20)
    /// The addresses of this machine that links are dialled from, the first of the remote's family. Default none: the system chooses.
    public var dialSources: [IPAddress] = []
    /// Commands that may wait for a shard.
    public var commandsMaximum = 65_536

    /// The defaults.
    public init() {}
  }

  private let localPeer: PeerID
  private let configuration: Configuration
  private let shards: [Shard]
  private let sink: any SwarmSink
  private let acceptor: Acceptor
  private let lock = Lock()
  private var openers: [UInt64: (CheckedContinuation<ApplicationStream, any Error>)] = [:]
  private var nextToken: UInt64 = 1
  private var batches: [[ShardCommand]]

  /// Makes a swarm without starting its threads.
  public init(
    key: NodeKey, crypto: any CryptoSuite, configuration: Configuration = .init(), protocols: ProtocolTable, sink: any SwarmSink
  ) {
    precondition(configuration.shards > 0, "a swarm needs a shard")
    localPeer = key.peerID
    self.configuration = configuration
    self.sink = sink
    let staticKey = NoiseStaticKey(key, crypto: crypto)
    let shards = (0..<configuration.shards).map {
      Shard(
        name: "shard-\($0)", configuration: configuration, crypto: crypto, staticKey: staticKey, protocols: protocols, sink: sink)
    }
    self.shards = shards
    batches = Array(repeating: [], count: shards.count)
    acceptor = Acceptor(
      sink: sink, maximum: configuration.acceptsMaximum,
      turnAway: TurnAway(networkKey: configuration.connection.networkKey, crypto: crypto))
  }

  /// Starts the threads.
  public func start() throws {
    for shard in shards { try shard.start() }
  }

  /// Listens on the addresses and returns the actual ones, with ports in place of 0 and interfaces in place of `0.0.0.0` and `::`.
  ///
  /// - Throws: ``TransportError`` for the first address that cannot be listened on (`invalidArgument` when it never can, as an `AddressFault`
  ///   says); those before it are closed again.
  public func listen(on addresses: [Multiaddr]) throws -> [Multiaddr] {
    let targets = try targets(addresses)
    return try shards[0].loop.runAndWait { [acceptor, loop = shards[0].loop] in try acceptor.listen(on: targets, loop: loop) }
  }

  /// The same without blocking the caller's thread.
  public func startListening(on addresses: [Multiaddr]) async throws -> [Multiaddr] {
    let targets = try targets(addresses)
    return try await shards[0].loop.perform { [acceptor, loop = shards[0].loop] in try acceptor.listen(on: targets, loop: loop) }
  }

  private func targets(_ addresses: [Multiaddr]) throws(TransportError) -> [SocketAddress] {
    var targets: [SocketAddress] = []
    for address in addresses {
      do throws(AddressFault) {
        let endpoint = try address.listenable(by: localPeer)
        guard let ip = endpoint.ip else { throw .name }
        targets.append(SocketAddress(ip, port: endpoint.port))
      } catch {
        throw TransportError(.invalidArgument, context: "listen on \(address): \(error)")
      }
    }
    return targets
  }

  /// Stops listening: the ports are free when it returns.
  public func stopListening() async { try? await shards[0].loop.perform { [acceptor] in acceptor.close() } }

  /// Calls `body` once, when every link is gone or the threads have ended.
  private func drain(_ left: ArraySlice<Shard>, _ body: @escaping @Sendable () -> Void) {
    guard let shard = left.first else { return body() }
    shard.drain { self.drain(left.dropFirst(), body) }
  }

  /// Stops listening, waits until every link is gone, at most for `timeout`, and ends all threads without blocking the caller's meanwhile.
  /// Links that are left are closed at once. Let the core close them first: what is queued is sent within
  /// ``Configuration/closeTimeout``.
  public func shutDown(drainingWithin timeout: Duration) async {
    await stopListening()
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await withCheckedContinuation { continuation in self.drain(self.shards[...]) { continuation.resume() } } }
      group.addTask { try? await Task.sleep(for: timeout) }
      await group.next()
      // What waits for the drain ends with the threads.
      for shard in shards { await shard.shutDown() }
      group.cancelAll()
    }
    failOpeners()
  }

  /// The same, blocking the caller's thread.
  public func stop(drainingWithin timeout: Duration = .zero) {
    _ = try? shards[0].loop.runAndWait { [acceptor] in acceptor.close() }
    if timeout > .zero {
      let drained = DispatchSemaphore(value: 0)
      drain(shards[...]) { drained.signal() }
      _ = drained.wait(timeout: .now() + .nanoseconds(Int(timeout.nanoseconds)))
    }
    for shard in shards { shard.stop() }
    failOpeners()
  }

  private func failOpeners() {
    let waiting = lock.withLock {
      defer { openers = [:] }
      return openers.values.map { $0 }
    }
    for continuation in waiting { continuation.resume(throwing: ChannelError.closedLocally("the host stops")) }
  }

  private func index(_ connection: ConnectionID) -> Int { Int(connection.rawValue & 0x7fff_ffff) % shards.count }

  /// Does what the host core wants, in order. Called on the core's thread.
  ///
  /// - Returns: the outputs that are not the swarm's: events, changes to the book and discovery's tasks.
  public func perform(_ outputs: some Sequence<HostCore.Output>) -> [HostCore.Output] {
    var rest: [HostCore.Output] = []
    func add(_ connection: ConnectionID, _ command: ShardCommand) { batches[index(connection)].append(command) }
    for output in outputs {
      switch output {
      case .dial(let id, let address, let expecting, let timeout): add(id, .dial(id, address, expecting: expecting, timeout: timeout))
      case .accept(let id): if let socket = acceptor.take(id) { add(id, .adopt(id, socket)) }
      case .yield(let id): add(id, .yield(id))
      // A shard does the same for both: it delivers what the remote does.
      case .admit(let id), .drain(let id): add(id, .admit(id))
      case .close(let id, let reason):
        if !acceptor.refuse(id, reason) { add(id, .close(id, reason)) }
      case .open(let stream, let names): add(stream.connection, .open(stream, names))
      case .send(let stream, let bytes): add(stream.connection, .send(stream, bytes))
      case .finish(let stream): add(stream.connection, .finish(stream))
      case .reset(let stream, let code): add(stream.connection, .reset(stream, code))
      case .protocols(let table): for index in shards.indices { batches[index].append(.protocols(table)) }
      case .openApplication(let stream, let peer, let names, let token):
        // Whoever wanted it may have given up.
        guard let opener = opener(token) else { continue }
        let shard = shards[index(stream.connection)]
        let application = ApplicationStream(peer: peer, reference: stream, protocolID: names[0], isOpen: false, shard: shard)
        add(stream.connection, .openApplication(application, names))
        opener.resume(returning: application)
      case .applicationRefused(let token, let error): opener(token)?.resume(throwing: error)
      case .discover(.probe(let id, let address, let peer, let timeout)):
        batches[Int(id.rawValue) % shards.count].append(.probe(id, address, peer, timeout: timeout))
      case .book, .discover, .event: rest.append(output)
      }
    }
    for index in shards.indices where !batches[index].isEmpty {
      shards[index].post(contentsOf: batches[index])
      batches[index].removeAll(keepingCapacity: true)
    }
    return rest
  }

  /// Waits until every thread has done what was asked of it so far.
  public func settled() async { for shard in shards { try? await shard.loop.perform {} } }

  /// What the links keep for peers now, and how often a link or stream found no room.
  public var memory: MemoryUse {
    shards.reduce(into: MemoryUse(limit: configuration.memoryMaximum)) { sum, shard in
      sum.used += shard.memoryUsed.load(ordering: .relaxed)
      sum.refusals += UInt64(shard.memoryRefusals.load(ordering: .relaxed))
      sum.refusedStreams += UInt64(shard.refusedStreams.load(ordering: .relaxed))
    }
  }

  /// A moment's account of memory.
  public struct MemoryUse: Sendable {
    /// What there may be.
    public var limit: Int
    /// What is reserved.
    public var used = 0
    /// How often there was no room; only grows.
    public var refusals: UInt64 = 0
    /// Streams that were refused, each by a reset, because their link had as many as it may have or no room; only grows.
    public var refusedStreams: UInt64 = 0

    /// Makes an account of nothing.
    public init(limit: Int) { self.limit = limit }
  }

  private func opener(_ token: UInt64) -> CheckedContinuation<ApplicationStream, any Error>? {
    lock.withLock { openers.removeValue(forKey: token) }
  }

  /// Opens a stream for the application: `request` asks the core for it under the given token. Waits for the remote's agreement.
  ///
  /// - Throws: ``RequestError`` or ``ChannelError``; `CancellationError` at once when the task is cancelled, and the stream is reset.
  public func openStream(_ request: @Sendable (UInt64) -> Bool) async throws -> ApplicationStream {
    let token = lock.withLock {
      nextToken += 1
      return nextToken
    }
    let stream = try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<ApplicationStream, any Error>) in
        let isCancelled = lock.withLock {
          if Task.isCancelled { return true }
          openers[token] = continuation
          return false
        }
        if isCancelled { return continuation.resume(throwing: CancellationError()) }
        if !request(token) { opener(token)?.resume(throwing: ChannelError.limit("commands that wait for the core")) }
      }
    } onCancel: {
      opener(token)?.resume(throwing: CancellationError())
    }
    try await stream.waitUntilOpen()
    return stream
  }
}
