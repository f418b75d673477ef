import Identity
import Wire

/// Whether a look-up can have a link to a peer.
public enum PeerReach: Hashable, Sendable {
  /// It is in use.
  case active
  /// A dial or a handshake is under way.
  case connecting
  /// It may be dialled now.
  case dialable
  /// It may be dialled as soon as a link has ended: all slots are taken.
  case noSlot
  /// It may be dialled as soon as another dial has ended.
  case busy
  /// It may not be dialled: no address of it is known, it is banned, it was dropped or refused, or its last dials failed a short while ago.
  case unreachable
}

extension PeeringMachine {
  /// Whether a look-up can have a link to a peer; ``Input/reach(_:)`` makes it where that is ``PeerReach/dialable``.
  public func reach(of peer: PeerID, now: Instant) -> PeerReach {
    if let id = linkOfPeer[peer] { return links[id]?.state == .active ? .active : .connecting }
    if heldOfPeer[peer] != nil { return .connecting }
    guard !isStopping, peer != localPeer else { return .unreachable }
    if known[.peer(peer)]?.link != nil { return .connecting }
    guard mayDial(.peer(peer), for: .lookUp, now) else { return .unreachable }
    if canDialOthers { return .dialable }
    return slots.dialling < configuration.parallelDialsMaximum ? .noSlot : .busy
  }

  /// Dials a known peer for a look-up. The peer's turn to dial is not awaited; addresses, bans, slots and waits count as ever.
  mutating func dialForLookUp(_ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    if reach(of: peer, now: now) == .dialable { beginRound(.peer(peer), cause: .lookUp, now, &outputs) }
  }
}
