import HostCore
import Peering
import SecureChannel
import Testing
import Wire

/// No gossip: its streams would be counted too.
private func makeWorld() -> OneLink { OneLink(maximumBytes: 100) { $0.gossip = nil } }

@Suite struct StreamTests {
  @Test func nothingIsKeptOfStreamsThatThisSideResets() {
    let world = makeWorld()
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
    let world = makeWorld()
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
