/// Where a peer may be dialled, and who is expected there.
public struct PeerAddress: Hashable, Sendable {
  /// The peer that should answer, or `nil` when only the address is known.
  public var peer: PeerID?
  /// The transport address, without a trailing `/p2p/…`.
  public var address: Multiaddr

  /// Makes an address.
  public init(peer: PeerID?, address: Multiaddr) {
    self.peer = peer
    self.address = address
  }
}
