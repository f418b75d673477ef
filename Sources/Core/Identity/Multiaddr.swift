import Wire

/// A self-describing network address such as `/ip4/10.0.0.1/tcp/4001/p2p/12D3…` (multiformats/multiaddr).
public struct Multiaddr: Hashable, Sendable {
  /// The binary form, always valid.
  public let bytes: [UInt8]

  /// Takes bytes that are known to be valid.
  init(validated bytes: [UInt8]) { self.bytes = bytes }
}
