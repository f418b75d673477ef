import EventLoop
import HostCore
import Identity
import Peering
import Wire

/// Somebody who waits for a link. The core thread's.
final class ConnectAttempt: @unchecked Sendable {
  let address: Multiaddr
  /// Who is expected, or who has turned out to answer.
  var peer: PeerID?
  /// The dial that is waited for, when nobody is expected.
  var connection: ConnectionID?
  /// Why the attempt fails, unless the peer is active when the turn ends.
  var failure: HostError?
  /// Whether the address itself was dialled, or a second try is no use: somebody else's dial of the peer may have been waited for.
  var hasHadItsTurn = false
  /// Set while it is under way.
  var continuation: CheckedContinuation<PeerID, any Error>?

  init(_ address: Multiaddr) {
    self.address = address.withoutPeerID
    peer = address.peerID
  }

  func finish(_ result: Result<PeerID, any Error>) {
    continuation?.resume(with: result)
    continuation = nil
  }
}

extension HostEngine {
  func connect(_ address: Multiaddr) async throws -> PeerID {
    try HostError.check(address)
    try requireStart()
    let attempt = ConnectAttempt(address)
    return try await wait { [self] continuation, machine, now, outputs in
      attempt.continuation = continuation
      begin(attempt, machine, now, &outputs)
    } onCancel: { [self] _, _, _ in
      attempts.removeAll { $0 === attempt }
      attempt.finish(.failure(CancellationError()))
    }
  }

  private func begin(_ attempt: ConnectAttempt, _ machine: HostCore, _ now: Instant, _ outputs: inout [HostCore.Output]) {
    if isClosing { return attempt.finish(.failure(Self.closedError)) }
    attempt.failure = nil
    attempt.connection = nil
    if let peer = attempt.peer, machine.isActive(peer) {
      machine.claim(peer)
      return attempt.finish(.success(peer))
    }
    let before = outputs.count
    machine.handle(.command(.dial(PeerAddress(peer: attempt.peer, address: attempt.address), keep: false)), now: now, into: &outputs)
    for case .event(.peering(let event)) in outputs[before...] {
      switch event {
      case .dialRefused(_, _, let reason): return attempt.finish(.failure(HostError(reason, "\(attempt.address)")))
      case .dialling(let connection, _, attempt.address, _): attempt.connection = connection
      default: break
      }
    }
    if attempt.connection == nil {
      // A link with the peer, or a dial of the address, is under way already.
      let links = machine.peering.links(now: now)
      guard let link = links.first(where: { attempt.peer != nil ? $0.peer == attempt.peer : $0.address == attempt.address }) else {
        return attempt.finish(.failure(HostError(.notDialled, "\(attempt.address) cannot be dialled now")))
      }
      if link.state == .active, let peer = link.peer { return attempt.finish(.success(peer)) }
      attempt.connection = link.connection
      attempt.peer = link.peer
    }
    attempts.append(attempt)
  }

  /// Takes note of what happens with peers, for those who wait. On the core's thread.
  func note(_ event: PeeringEvent) {
    if attempts.isEmpty { return }
    switch event {
    case .dialling(let connection, let peer, let address, _):
      for attempt in attempts where peer != nil && attempt.peer == peer {
        attempt.connection = connection
        attempt.failure = nil
      }
      for attempt in attempts where attempt.connection == connection && attempt.address == address { attempt.hasHadItsTurn = true }
    case .proven(let connection, let peer, _):
      for attempt in attempts where attempt.connection == connection && attempt.peer == nil { attempt.peer = peer }
    case .peerActive(_, let peer, _):
      for attempt in attempts where attempt.peer == peer { attempt.finish(.success(peer)) }
      attempts.removeAll { $0.peer == peer }
    case .dialFailed(let connection, let peer, let address, let failure, _):
      for attempt in attempts where attempt.connection == connection || (peer != nil && attempt.peer == peer) {
        attempt.failure = HostError(failure, address)
      }
    case .dialCancelled(let connection, let peer, let address, let reason):
      // Unless another attempt has won, or the peer's own link is kept: that is seen when the turn ends.
      for attempt in attempts where attempt.connection == connection || (peer != nil && attempt.peer == peer) {
        attempt.failure = HostError(reason, "\(address)")
      }
    case .selfConnection(let address):
      for attempt in attempts where attempt.address == address {
        attempt.failure = HostError(.selfConnection, "\(address) is this host itself")
      }
    case .linkClosed(_, let peer, let reason, _):
      for attempt in attempts where attempt.peer == peer { attempt.failure = HostError(reason, "\(peer)") }
    default: break
    }
  }

  /// Ends the attempts that have failed, unless the peer came in another way. On the core's thread, when a turn ends.
  func settleAttempts() {
    if attempts.isEmpty { return }
    attempts.removeAll { attempt in
      guard let failure = attempt.failure else { return false }
      if let peer = attempt.peer {
        if core.machine.isActive(peer) {
          attempt.finish(.success(peer))
          return true
        }
        // Another of the peer's addresses may be tried by now, or a link of its own be on its way in.
        if core.machine.peering.links(now: core.loop.now).contains(where: { $0.peer == peer && $0.state != .draining }) {
          attempt.failure = nil
          return false
        }
      }
      if !attempt.hasHadItsTurn {
        attempt.hasHadItsTurn = true
        core.execute { [self] machine, now, outputs in begin(attempt, machine, now, &outputs) }
      } else {
        attempt.finish(.failure(failure))
      }
      return true
    }
  }

  func disconnect(_ peer: PeerID, _ reason: Reason) async {
    _ = try? await run { machine, now, outputs in
      machine.handle(.command(.disconnect(peer, reason)), now: now, into: &outputs)
      for attempt in self.attempts where attempt.peer == peer {
        attempt.finish(.failure(HostError(reason, "\(peer): disconnected by this host")))
      }
      self.attempts.removeAll { $0.peer == peer }
    }
  }
}
