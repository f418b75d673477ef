import Crypto
import HostCore
import Identity
import Peering
import SecureChannel
import Testing
import Wire

/// A host with one admitted peer, driven by hand.
private struct World {
  let crypto = SystemCrypto()
  let host: HostCore
  let peer: PeerID
  let link = ConnectionID.inbound(1)
  let now = Instant.zero + .seconds(1)

  init() {
    var configuration = HostCore.Configuration()
    configuration.gossip = nil
    host = HostCore(
      key: NodeKey(seed: [UInt8](repeating: 1, count: 32), crypto: crypto), crypto: crypto, configuration: configuration,
      clock: WallClock(now: .zero, wall: WallTime(milliseconds: 0)), seed: 1, now: .zero)
    let key = NodeKey(seed: [UInt8](repeating: 2, count: 32), crypto: crypto)
    peer = key.peerID
    guard let remote = try? Multiaddr("/ip4/8.8.8.8/tcp/4001") else { preconditionFailure("an address") }
    _ = host.handle(.command(.serve("/test/1", .init(framing: .lengthPrefixed(maximumBytes: 100)))), now: now)
    _ = host.handle(.accepted(link, remote: remote), now: now)
    let identity = RemoteIdentity(peer: peer, publicKey: key.publicKey, muxer: "/yamux/1.0.0", setUpTime: .zero)
    _ = host.handle(.established(link, identity, remote: remote), now: now)
  }

  func stream(_ number: UInt32) -> StreamRef { StreamRef(connection: link, stream: StreamID(rawValue: number)) }
}

@Suite struct StreamTests {
  @Test func nothingIsKeptOfStreamsThatThisSideResets() {
    let world = World()
    let before = world.host.streamCount(of: world.link)
    for number in UInt32(1)...50 {
      let stream = world.stream(number)
      _ = world.host.handle(.streamOpened(stream, "/test/1"), now: world.now)
      _ = world.host.handle(.message(stream, [1]), now: world.now)
      let outputs = world.host.handle(.command(.decline(stream)), now: world.now)
      #expect(outputs.contains { if case .reset(stream, _) = $0 { true } else { false } })
    }
    #expect(world.host.streamCount(of: world.link) == before)
    // A request that is never sent is given up after its time.
    _ = world.host.handle(.streamOpened(world.stream(60), "/test/1"), now: world.now)
    #expect(world.host.streamCount(of: world.link) == before + 1)
    let outputs = world.host.handle(.timer, now: world.now + .seconds(31))
    #expect(outputs.contains { if case .reset(world.stream(60), _) = $0 { true } else { false } })
    // What is open then is the first ping's stream.
    let opened = outputs.filter { if case .open = $0 { true } else { false } }
    #expect(world.host.streamCount(of: world.link) == opened.count)
  }

  @Test func aPeerIsGoneBeforeItsRequestsFail() {
    let world = World()
    _ = world.host.handle(
      .command(.request(RequestID(rawValue: 1), world.peer, "/test/1", [1], timeout: .exactly(.seconds(5)))), now: world.now)
    let outputs = world.host.handle(.closed(world.link, .endOfFile), now: world.now)
    let order = outputs.compactMap { output -> String? in
      switch output {
      case .event(.peerGone): "gone"
      case .event(.response(_, .failure)): "failed"
      default: nil
      }
    }
    #expect(order == ["gone", "failed"])
  }
}
