import Discovery
import HostCore
import Identity
import Peering

/// Finding peers, providers and values without a server that all depend on (Kademlia, as go-libp2p speaks it).
///
/// It is there when ``Configuration/core``'s `kademlia` is set. A host learns of servers from the peers that it is connected to: connect
/// to one of the network first. Look-ups dial by themselves; a link that was made for a look-up is closed a minute after its last
/// use, unless the program has asked for the peer meanwhile (``connect(_:)-(Multiaddr)``, a stream or a request).
///
/// As long as no server is known, a look-up waits for peers that are being dialled, or that have not said yet what they speak, 10 s at most.
///
/// Each look-up throws ``HostError`` `kademliaDisabled`, `notStarted`, `noServers`, `timedOut`, `limitReached`, `closed`, and
/// `CancellationError` when its task is cancelled. Addresses that are found have `/p2p/` and the peer's name at their end, so that nobody
/// else can answer there.
extension Host {
  /// Where a peer can be reached; connected peers are answered at once.
  ///
  /// - Returns: its addresses, each with `/p2p/` at the end. If it could be reached it is connected now; otherwise they are what others say.
  /// - Throws: ``HostError`` `notFound`, and what all look-ups throw.
  public func findPeer(_ peer: PeerID) async throws -> [Multiaddr] {
    guard case .peer(let found, _) = try await engine.lookUp(.findPeer(peer)) else { return [] }
    return found.addresses.map { $0.withPeerID(peer) }
  }

  /// The servers nearest to a key that answered, nearest first; at most 20.
  public func closestPeers(to key: [UInt8]) async throws -> [FoundPeer] {
    guard case .peers(let peers) = try await engine.lookUp(.closestPeers(key)) else { return [] }
    return peers.map(\.named)
  }

  /// Tells the servers nearest to a key that this host provides what it names, and again every 22 hours until
  /// ``stopProviding(_:)``.
  ///
  /// That nobody could be told now is an error, and yet the host goes on trying until ``stopProviding(_:)``: after `noServers`, `notStored`,
  /// `timedOut` and a cancelled task. After any other error the key is not provided.
  ///
  /// - Parameter key: 1 to 80 bytes, by custom a multihash. The host must listen somewhere.
  /// - Returns: how many servers were told; at least one.
  /// - Throws: ``HostError`` `notStored`, `invalidRecord`, and what all look-ups throw.
  @discardableResult
  public func provide(_ key: [UInt8]) async throws -> Int {
    try await store(.provide(key), "stopProviding(_:) ends it")
  }

  /// Provides no more what a key names; servers forget it within 48 hours.
  public func stopProviding(_ key: [UInt8]) { engine.post(.stopProviding(key)) }

  /// Who provides what a key names, without this host; may be nobody.
  ///
  /// - Parameters:
  ///   - key: 1 to 80 bytes.
  ///   - maximum: the look-up ends when so many are found. Default 20.
  public func findProviders(_ key: [UInt8], maximum: Int = 20) async throws -> [FoundPeer] {
    guard case .providers(let found) = try await engine.lookUp(.findProviders(key, maximum: maximum)) else { return [] }
    return found.map(\.named)
  }

  /// The same, each as soon as it is found. The look-up ends with the stream's reader.
  public func providers(_ key: [UInt8], maximum: Int = 20) -> AsyncThrowingStream<FoundPeer, any Error> {
    AsyncThrowingStream(bufferingPolicy: .bufferingNewest(max(1, maximum))) { [engine] continuation in
      let task = Task {
        do {
          _ = try await engine.lookUp(.findProviders(key, maximum: maximum)) { progress in
            if case .provider(let found) = progress { continuation.yield(found.named) }
          }
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }

  /// Stores a value at the servers nearest to its key, and again every 22 hours. After `noServers`, `notStored`, `timedOut` and a cancelled task
  /// the host goes on trying, as ``provide(_:)`` does.
  ///
  /// - Parameters:
  ///   - key: `/<namespace>/<rest>`; the namespace is registered in the configuration's `validators`, here and at the servers.
  ///   - value: at most 64 KiB.
  /// - Returns: how many servers took it; at least one.
  /// - Throws: ``HostError`` `notStored`, `invalidRecord` (the validator says no, or knows a better value), and what all look-ups throw.
  @discardableResult
  public func putValue(_ key: [UInt8], _ value: [UInt8]) async throws -> Int {
    try await store(.putValue(key, value), "a better value or the host's end stops it")
  }

  private func store(_ query: Kademlia.Query, _ end: String) async throws -> Int {
    do {
      guard case .stored(let count) = try await engine.lookUp(query) else { return 0 }
      return count
    } catch let error as HostError where [.noServers, .notStored, .timedOut].contains(error.code) {
      throw HostError(error.code, "\(error.message); the host goes on trying (\(end))", cause: error.cause)
    }
  }

  /// The best value under a key.
  ///
  /// - Parameters:
  ///   - key: `/<namespace>/<rest>`; the namespace is registered in the configuration's `validators`.
  ///   - quorum: valid answers after which it ends. Default 0: all servers near the key are asked.
  /// - Throws: ``HostError`` `notFound`, `invalidRecord`, and what all look-ups throw.
  public func getValue(_ key: [UInt8], quorum: Int = 0) async throws -> [UInt8] {
    guard case .value(let value, _) = try await engine.lookUp(.getValue(key, quorum: quorum)) else { return [] }
    return value
  }

  /// Answers others' look-ups from now on, or only asks. Peers are told.
  public func setKademliaMode(_ mode: Kademlia.Mode) async {
    _ = try? await engine.run { machine, now, outputs in
      machine.handle(.command(.setKademliaMode(mode)), now: now, into: &outputs)
    }
  }

  /// The Kademlia servers that this host knows at first hand, in order.
  public func kademliaServers() async -> [PeerID] {
    (try? await engine.ask { machine, _ in machine.kademlia?.servers ?? [] }) ?? []
  }
}

extension FoundPeer {
  /// With addresses at which nobody else can answer.
  fileprivate var named: FoundPeer { FoundPeer(peer, addresses.map { $0.withPeerID(peer) }) }
}
