import Crypto
import HostCore
import Identity
import SecureChannel
import Testing
import Wire

/// The protocol that the host of ``OneLink`` answers.
let service: ProtocolID = "/test/1"

/// A host with one admitted peer, driven by hand.
struct OneLink {
  let crypto = SystemCrypto()
  let host: HostCore
  private(set) var peer: PeerID
  private(set) var link = ConnectionID.inbound(1)
  private(set) var now = Instant.zero + .seconds(1)
  private var nextStream: UInt32 = 1

  init(maximumBytes: Int = 1 << 20, _ change: (inout HostCore.Configuration) -> Void = { _ in }) {
    var configuration = HostCore.Configuration()
    change(&configuration)
    host = HostCore(
      key: NodeKey(seed: [UInt8](repeating: 1, count: 32), crypto: crypto), crypto: crypto, configuration: configuration,
      clock: WallClock(now: .zero, wall: WallTime(milliseconds: 0)), seed: 1, now: .zero)
    peer = NodeKey(seed: [UInt8](repeating: 2, count: 32), crypto: crypto).peerID
    _ = host.handle(.command(.serve(service, .init(framing: .lengthPrefixed(maximumBytes: maximumBytes)))), now: now)
    enter(2, from: "/ip4/8.8.8.8/tcp/4001")
  }

  private mutating func enter(_ name: UInt8, from address: String) {
    let key = NodeKey(seed: [UInt8](repeating: name, count: 32), crypto: crypto)
    peer = key.peerID
    guard let remote = try? Multiaddr(address) else { preconditionFailure("an address") }
    let outputs = host.handle(.accepted(link, remote: remote), now: now)
    #expect(outputs.contains { if case .accept(link) = $0 { true } else { false } })
    let identity = RemoteIdentity(peer: peer, publicKey: key.publicKey, muxer: "/yamux/1.0.0", setUpTime: .zero)
    _ = host.handle(.established(link, identity, remote: remote), now: now)
  }

  /// The peer goes, and at once it or another one comes.
  mutating func reenter(_ name: UInt8 = 2, from address: String = "/ip4/8.8.8.8/tcp/4001") {
    _ = host.handle(.closed(link, .endOfFile), now: now)
    link = .inbound(link.rawValue + 1)
    enter(name, from: address)
  }

  func stream(_ number: UInt32) -> StreamRef { StreamRef(connection: link, stream: StreamID(rawValue: number)) }

  mutating func advance(_ duration: Duration) { now = now + duration }

  mutating func opened(_ name: ProtocolID) -> (StreamRef, [HostCore.Output]) {
    let stream = stream(nextStream)
    nextStream += 2
    return (stream, host.handle(.streamOpened(stream, name), now: now))
  }

  /// One request of the peer; what came of it.
  mutating func asked(_ name: ProtocolID = service, bytes: Int = 1) -> [HostCore.Output] {
    let (stream, outputs) = opened(name)
    return outputs + host.handle(.message(stream, [UInt8](repeating: 0, count: bytes)), now: now)
  }
}
