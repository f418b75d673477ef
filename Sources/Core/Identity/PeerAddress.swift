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

extension PeerAddress {
  /// Reads what an operator writes for a peer: `host:port`, or a multiaddr that can be dialled, with or without `/p2p/…` at its end.
  /// - Throws: ``IdentityError/badMultiaddr(_:)``, which says what is wrong.
  public init(dialling text: some StringProtocol) throws(IdentityError) {
    let address = text.hasPrefix("/") ? try Multiaddr(text) : try Multiaddr(hostPort: text)
    do throws(AddressFault) { _ = try address.dialable() } catch { throw .badMultiaddr("\(address) cannot be dialled: \(error)") }
    self.init(peer: address.peerID, address: address.withoutPeerID)
  }
}
