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
/// Each look-up throws ``HostError`` `kademliaDisabled`, `noServers`, `timedOut`, `limitReached`, `closed`, and `CancellationError` when its
/// task is cancelled.
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
    return peers
  }

  /// Tells the servers nearest to a key that this host provides what it names, and again every 22 hours until
  /// ``stopProviding(_:)``; when nobody can be told now, as soon as somebody can.
  ///
  /// - Parameter key: 1 to 80 bytes, by custom a multihash. The host must listen somewhere.
  /// - Returns: how many servers were told; at least one.
  /// - Throws: ``HostError`` `notStored`, `invalidRecord`, and what all look-ups throw.
  @discardableResult
  public func provide(_ key: [UInt8]) async throws -> Int {
    guard case .stored(let count) = try await engine.lookUp(.provide(key)) else { return 0 }
    return count
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
    return found
  }

  /// The same, each as soon as it is found. The look-up ends with the stream's reader.
  public func providers(_ key: [UInt8], maximum: Int = 20) -> AsyncThrowingStream<FoundPeer, any Error> {
    AsyncThrowingStream(bufferingPolicy: .bufferingNewest(max(1, maximum))) { [engine] continuation in
      let task = Task {
        do {
          _ = try await engine.lookUp(.findProviders(key, maximum: maximum)) { progress in
            if case .provider(let found) = progress { continuation.yield(found) }
          }
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }

  /// Stores a value at the servers nearest to its key, and again every 22 hours.
  ///
  /// - Parameters:
  ///   - key: `/<namespace>/<rest>`; the namespace is registered in the configuration's `validators`, here and at the servers.
  ///   - value: at most 64 KiB.
  /// - Returns: how many servers took it; at least one.
  /// - Throws: ``HostError`` `notStored`, `invalidRecord` (the validator says no, or knows a better value), and what all look-ups throw.
  @discardableResult
  public func putValue(_ key: [UInt8], _ value: [UInt8]) async throws -> Int {
    guard case .stored(let count) = try await engine.lookUp(.putValue(key, value)) else { return 0 }
    return count
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
