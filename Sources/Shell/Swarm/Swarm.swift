import Discovery
import EventLoop
import HostCore
import Identity
import Peering
import SecureChannel
import Threads
import Wire

/// Where a swarm tells what happens. Called from the shards' threads.
public protocol SwarmSink: AnyObject, Sendable {
  /// Takes inputs for the host core, all or none.
  ///
  /// - Returns: false when there is no room; the shard then stops reading until ``notifyWhenSpace(_:)`` calls.
  func post(_ inputs: [HostCore.Input]) -> Bool

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
    /// The most bytes that are encrypted for one write.
    public var writeBytes = 256 << 10
    /// How long a link that is being closed may take to send what is queued.
    public var closeTimeout = Duration.seconds(1)
    /// How messages are framed on streams of protocols that this host asks for without answering them itself. Default a length
    /// before each, at most 16 MiB.
    public var requestFraming = Framing.lengthPrefixed(maximumBytes: 16 << 20)
    /// The addresses of this machine that links are dialled from, the first of the remote's family. Default none: the system chooses.
    public var dialSources: [IPAddress] = []
    /// Commands that may wait for a shard.
    public var commandsMaximum = 65_536

    /// The defaults.
    public init() {}
  }

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
    self.configuration = configuration
    self.sink = sink
    let staticKey = NoiseStaticKey(key, crypto: crypto)
    let shards = (0..<configuration.shards).map {
      Shard(
        name: "shard-\($0)", configuration: configuration, crypto: crypto, staticKey: staticKey, protocols: protocols, sink: sink)
    }
    self.shards = shards
    batches = Array(repeating: [], count: shards.count)
    acceptor = Acceptor(shards: shards, sink: sink)
  }

  /// Starts the threads.
  public func start() throws {
    for shard in shards { try shard.start() }
  }

  /// Listens on the addresses and returns the actual ones, with ports in place of 0 and interfaces in place of `0.0.0.0` and `::`.
  ///
  /// - Throws: ``TransportError`` for the first address that cannot be listened on; those before it are closed again.
  public func listen(on addresses: [Multiaddr]) throws -> [Multiaddr] {
    let targets = try Self.targets(addresses)
    return try shards[0].loop.runAndWait { [acceptor, loop = shards[0].loop] in try acceptor.listen(on: targets, loop: loop) }
  }

  /// The same without blocking the caller's thread.
  public func startListening(on addresses: [Multiaddr]) async throws -> [Multiaddr] {
    let targets = try Self.targets(addresses)
    return try await shards[0].loop.perform { [acceptor, loop = shards[0].loop] in try acceptor.listen(on: targets, loop: loop) }
  }

  private static func targets(_ addresses: [Multiaddr]) throws -> [SocketAddress] {
    try addresses.map { address in
      guard let target = SocketAddress(address) else {
        throw TransportError(.invalidArgument, context: "\(address) is not an /ip4 or /ip6 address with a TCP port")
      }
      return target
    }
  }

  /// Stops listening: the ports are free when it returns.
  public func stopListening() async { try? await shards[0].loop.perform { [acceptor] in acceptor.close() } }

  /// Waits until every link is gone. The core is to have closed them; what is queued for them is sent within
  /// ``Configuration/closeTimeout``.
  public func drained() async {
    for shard in shards {
      await withCheckedContinuation { continuation in shard.drain { continuation.resume() } }
    }
  }

  /// Ends all threads without blocking the caller's meanwhile; links that are left are closed at once.
  public func shutDown() async {
    await stopListening()
    for shard in shards { await shard.shutDown() }
    failOpeners()
  }

  /// Stops listening and ends all threads; links are closed at once. Let the core say its goodbyes first.
  public func stop() {
    _ = try? shards[0].loop.runAndWait { [acceptor] in acceptor.close() }
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
      case .admit(let id): add(id, .admit(id))
      case .close(let id, let reason): add(id, .close(id, reason))
      case .open(let stream, let names): add(stream.connection, .open(stream, names))
      case .send(let stream, let bytes): add(stream.connection, .send(stream, bytes))
      case .finish(let stream): add(stream.connection, .finish(stream))
      case .reset(let stream): add(stream.connection, .reset(stream))
      case .protocols(let table): for index in shards.indices { batches[index].append(.protocols(table)) }
      case .openApplication(let stream, let peer, let names, let token):
        let shard = shards[index(stream.connection)]
        let application = ApplicationStream(peer: peer, reference: stream, protocolID: names[0], isOpen: false, shard: shard)
        add(stream.connection, .openApplication(application, names))
        opener(token)?.resume(returning: application)
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

  private func opener(_ token: UInt64) -> CheckedContinuation<ApplicationStream, any Error>? {
    lock.withLock { openers.removeValue(forKey: token) }
  }

  /// Opens a stream for the application: `request` asks the core for it under the given token. Waits for the remote's agreement.
  ///
  /// - Throws: ``RequestError`` or ``ChannelError``.
  public func openStream(_ request: (UInt64) -> Bool) async throws -> ApplicationStream {
    let stream = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<ApplicationStream, any Error>) in
      let token = lock.withLock {
        nextToken += 1
        openers[nextToken] = continuation
        return nextToken
      }
      if !request(token) { opener(token)?.resume(throwing: ChannelError.limit("commands that wait for the core")) }
    }
    try await stream.waitUntilOpen()
    return stream
  }
}

/// Accepts connections on the first shard's loop and deals them out.
private final class Acceptor: TCPListenerDelegate, @unchecked Sendable {
  private let shards: [Shard]
  private let sink: any SwarmSink
  private var listeners: [TCPListener] = []
  private var accepted: UInt64 = 0

  init(shards: [Shard], sink: any SwarmSink) {
    self.shards = shards
    self.sink = sink
  }

  func listen(on targets: [SocketAddress], loop: EventLoop) throws(TransportError) -> [Multiaddr] {
    var opened: [TCPListener] = []
    do throws(TransportError) {
      for target in targets { opened.append(try TCPListener(target, on: loop, delegate: self)) }
    } catch {
      for listener in opened { listener.close() }
      throw error
    }
    listeners += opened
    return opened.flatMap { Interfaces.reachable($0.address) }.map(\.multiaddr)
  }

  func listener(_ listener: TCPListener, accepted connection: DetachedSocket) {
    accepted += 1
    let id = ConnectionID.inbound(accepted)
    // The core counts it before its handshake can end; when the core has no room, neither has the host.
    guard sink.post([.accepted(id, remote: connection.remote.multiaddr)]) else { return connection.close() }
    shards[Int(accepted) % shards.count].post(.adopt(id, connection))
  }

  func close() {
    for listener in listeners { listener.close() }
    listeners = []
  }
}
