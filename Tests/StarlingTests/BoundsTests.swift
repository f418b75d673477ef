import Starling
import Testing

/// What peers find at the bounds of a host that they do not keep to themselves.
@Suite("Bounds", .serialized) struct BoundsTests {
  private func counts(_ host: Host) async throws -> ReasonCounts { try await host.withCore { core, _ in core.peering.reasonCounts } }

  /// Frames of data for a stream that was never opened, as many as a peer likes: 64 KiB in each.
  @Test("data for streams that are not there ends the link")
  func dataForNoStream() async throws {
    let host = try await makeHost()
    let peer = try HandPeer { peer, output in
      guard case .established = output else { return }
      for _ in 0..<4 {
        var frame: [UInt8] = [0, 0, 0, 0]
        frame.appendBigEndian(UInt32(901))
        frame.appendBigEndian(UInt32(64 << 10))
        peer.say(frame + [UInt8](repeating: 1, count: 64 << 10))
      }
    }
    try await peer.dial(await host.address)
    try await eventually("the link has ended") { try await counts(host).lost == [.protocolViolation: 1] }
    #expect(try await counts(host).offences == [.protocolViolation: 1])
    await peer.close()
    await host.close()
  }

  /// Asks to be told who the other end is, so many times at once, and counts the answers.
  private func ask(_ host: Host, _ times: UInt32, as key: NodeKey) async throws -> (served: Int, refused: Int) {
    let (served, refused) = (Counter(), Counter())
    let peer = try HandPeer(key: key) { peer, output in
      switch output {
      case .established:
        for number in 1...times { peer.finish(peer.open(number, HostProtocols.identify, .lengthPrefixed(maximumBytes: 1 << 16))) }
      case .message(let stream, let bytes) where stream.isOutbound && bytes.count > 32: served.add()
      case .streamFailed(let stream, .streamReset(.rateLimited)) where stream.isOutbound: refused.add()
      default: break
      }
    }
    try await peer.dial(await host.address)
    try await eventually("all are answered") { served.value + refused.value == times }
    await peer.close()
    try await eventually("the link has ended") { await host.peers().isEmpty }
    return (served.value, refused.value)
  }

  @Test("whoever comes back may ask for no more than before, under no name")
  func comingBack() async throws {
    let host = try await makeHost {
      $0.core.rates.peer = .init(perSecond: 0.001, burst: 20)
      $0.core.peering.exemptsLoopback = false
    }
    let (key, other) = (NodeKey.generate(), NodeKey.generate())
    #expect(try await ask(host, 30, as: key) == (20, 10))
    let again = try await ask(host, 30, as: key)
    #expect(again.served <= 1, "\(again)")
    let renamed = try await ask(host, 30, as: other)
    #expect(renamed.served <= 1, "\(renamed)")
    #expect(try await counts(host).offences[.rateExceeded, default: 0] <= 2, "nobody is blamed for what another one has used up")
    await host.close()
  }
}
