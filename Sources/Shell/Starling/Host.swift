import Crypto
import EventLoop
import HostCore
import Identity
import Peering
import Swarm
import Wire

/// A libp2p host: it listens, dials, keeps one link to each peer, and carries streams, requests and gossip.
///
/// It needs no chain. Make it, set up what peers will find (``handle(_:_:)``, ``serve(_:maximumBytes:rate:_:)``, ``subscribe(_:_:)``,
/// ``events``), then ``start()`` it: before that it neither dials nor listens, so that no peer and no event is missed. All methods
/// may be called from any task; none blocks its thread. Close it with ``close()``, so that peers hear a goodbye; a host that is let
/// go of without it is closed in the background.
public final class Host: Sendable {
  let engine: HostEngine

  /// Makes a host that neither dials nor listens yet, and reads its peer book.
  ///
  /// - Parameters:
  ///   - configuration: the settings.
  ///   - key: what the host's PeerID is proven by; a fresh one when absent.
  /// - Throws: ``HostError`` `invalidAddress`, `invalidConfiguration` or `bookFailed`; nothing is left running then.
  public init(configuration: Configuration = .init(), key: NodeKey? = nil) async throws {
    try configuration.check()
    engine = try await HostEngine.make(configuration, key ?? .generate())
  }

  /// Listens on the configuration's addresses, then begins to dial: the bootstrap peers, and those of the peer book. Returns when
  /// the host listens. Harmless when repeated.
  ///
  /// - Throws: ``HostError`` `listenFailed`, `invalidAddress` or `closed`; nobody was dialled then, and it may be called again.
  public func start() async throws { try await engine.start() }

  deinit {
    let engine = engine
    Task { await engine.close() }
  }

  /// Says goodbye to all peers, sends what is queued within ``Configuration/closeTimeout``, and frees ports and threads. Everything that
  /// waits fails with `closed`. Harmless when repeated.
  public func close() async { await engine.close() }

  // MARK: About this host

  /// This host's name.
  public var peerID: PeerID { engine.key.peerID }

  /// Where this host can be dialled, each with `/p2p/` and the PeerID at its end.
  public var addresses: [Multiaddr] {
    get async { engine.addresses.map { $0.withPeerID(engine.key.peerID) } }
  }

  /// What happens from now on; each call gives a sequence of its own. Asked for before ``start()``, it misses nothing.
  /// ``Configuration/eventsMaximum`` events wait at most, then the oldest is dropped, and ``HostEvent/missed(_:)`` tells how many.
  public var events: HostEvents { engine.makeEvents() }

  /// Listens on further addresses; the host is started.
  ///
  /// - Returns: the actual ones, with ports in place of 0 and this machine's interfaces in place of `0.0.0.0` and `::`.
  /// - Throws: ``HostError`` `listenFailed`, `invalidAddress`, `notStarted` or `closed`; then none of them is listened on.
  @discardableResult
  public func listen(on addresses: [Multiaddr]) async throws -> [Multiaddr] { try await engine.listen(on: addresses) }

  // MARK: Peers

  /// Connects to a peer; returns at once when it is connected already. Tasks that connect to one peer at a time share the dial.
  ///
  /// Without `/p2p/` at the address's end, whoever answers is taken.
  ///
  /// - Returns: who answered, proven.
  /// - Throws: ``HostError`` with what kept the peers apart: `connectionRefused`, `timedOut`, `unreachable`, `transportFailed`,
  ///   `handshakeFailed`, `wrongPeer`, `selfConnection`, `refused` (with ``HostError/reason``), `invalidAddress`, `notStarted`, `closed`;
  ///   `CancellationError` when the task is cancelled, while the dial goes on.
  @discardableResult
  public func connect(_ address: Multiaddr) async throws -> PeerID { try await engine.connect(address) }

  /// The same for a text.
  @discardableResult
  public func connect(_ text: String) async throws -> PeerID {
    let address: Multiaddr
    do { address = try Multiaddr(text) } catch { throw HostError(.invalidAddress, "\(error)", cause: error) }
    return try await engine.connect(address)
  }

  /// Closes the link to a peer, which is told the reason; dials to it are given up. Returns when the closing has begun.
  public func disconnect(_ peer: PeerID, reason: Reason = Reason(.operatorRequest)) async {
    await engine.disconnect(peer, reason)
  }

  /// The peers that are connected, in order of their links. O(n log n).
  public func peers() async -> [PeerInfo] {
    (try? await engine.ask { machine, now in machine.peering.links(now: now).filter { $0.state == .active } }) ?? []
  }

  /// Treats a peer as one of ``Configuration/bootstrap`` from now on: it is dialled at once, or at the start, and again and for ever when its
  /// link is lost, as long as the host lives.
  ///
  /// - Throws: ``HostError`` `invalidAddress` or `closed`.
  public func addBootstrap(_ address: Multiaddr) async throws { try await engine.addBootstrap(address) }

  /// Wants a bootstrap peer no more: its link is closed, and it is not dialled again soon.
  public func removeBootstrap(_ address: Multiaddr) async { await engine.removeBootstrap(address) }

  /// Keeps a peer or a network out, for a time or until ``unban(_:)``; links with it are closed. Returns when the ban holds and, where the
  /// host has a peer book, is stored there.
  ///
  /// - Throws: ``HostError`` `bookFailed` (the ban holds, but a restart now would forget it), `limitReached` (no more bans fit),
  ///   `selfConnection`, `closed`.
  public func ban(_ subject: BanSubject, for duration: Duration? = nil, _ detail: String = "banned by the program") async throws {
    guard case .refused(let refusal) = try await engine.operate(.ban(subject, for: duration, detail)) else { return }
    switch refusal {
    case .isSelf: throw HostError(.selfConnection, refusal.description)
    case .stopping: throw HostEngine.closedError
    default: throw HostError(.limitReached, refusal.description)
    }
  }

  /// Lifts a ban. Returns when it is lifted and, where the host has a peer book, that is stored there.
  ///
  /// - Returns: whether there was such a ban. A ban of a network keeps a peer out beside one of its own.
  /// - Throws: ``HostError`` `bookFailed` (the ban is lifted, but a restart now would bring it back) or `closed`.
  @discardableResult
  public func unban(_ subject: BanSubject) async throws -> Bool {
    if case .refused(let refusal) = try await engine.operate(.unban(subject)) {
      if refusal == .stopping { throw HostEngine.closedError }
      return false
    }
    return true
  }

  /// Counts an offence against a peer: at the configured score it is disconnected, then banned.
  public func report(_ peer: PeerID, _ offence: Offence) { engine.post(.report(peer, offence)) }

  /// What is known of a peer and what was decided about it, in sentences. O(history).
  public func explain(_ peer: PeerID) async -> [String] {
    (try? await engine.ask { machine, now in machine.peering.explain(peer, now: now) }) ?? []
  }

  /// What the links keep for peers.
  public var linkMemory: Swarm.MemoryUse { engine.swarm.memory }

  /// Runs `body` with the core on its thread, for figures that have no method of their own. Keep it short.
  ///
  /// - Throws: ``HostError`` `closed`, and what `body` throws.
  public func withCore<Result: Sendable>(_ body: @escaping @Sendable (HostCore, Instant) throws -> Result) async throws -> Result {
    try await engine.ask(body)
  }
}
