import Crypto
import HostCore
import Identity
import Peering
import SecureChannel
import Testing
import Wire

@Suite struct TimeoutTests {
  /// Each class between its bounds: unknown, near, far and very far peers, and after answers that did not come.
  @Test(
    arguments: [
      (RequestTimeout.quick, nil, 0, 2_000), (.quick, 1, 0, 1_022), (.quick, 300, 0, 2_800), (.quick, 5_000, 0, 10_000),
      (.standard, nil, 0, 5_000), (.standard, 1, 0, 2_544), (.standard, 300, 0, 6_100), (.standard, 5_000, 0, 20_000),
      (.heavy, nil, 0, 10_000), (.heavy, 1, 0, 10_110), (.heavy, 300, 0, 19_000), (.heavy, 5_000, 0, 60_000),
      (.standard, nil, 1, 10_000), (.standard, nil, 2, 20_000), (.standard, nil, 1_000, 20_000), (.heavy, 300, 1, 38_000),
      (.exactly(.seconds(3)), 5_000, 5, 3_000),
    ] as [(RequestTimeout, Int?, Int, Int)])
  func classes(timeout: RequestTimeout, roundTrip: Int?, late: Int, expected: Int) {
    let measured = roundTrip.map { RoundTripEstimate(first: .milliseconds($0)) }
    let duration = RequestTimeouts().duration(timeout, measured: measured, setUpTime: nil, lateAnswers: late)
    // With one sample the limit is three times that, but never within 10 ms of it.
    #expect(duration == .milliseconds(expected))
  }

  /// A long handshake makes the first requests patient, a short one does not make them hasty.
  @Test func handshakes() {
    let timeouts = RequestTimeouts()
    #expect(timeouts.duration(.standard, measured: nil, setUpTime: .milliseconds(1), lateAnswers: 0) == .seconds(5))
    #expect(timeouts.duration(.standard, measured: nil, setUpTime: .seconds(1), lateAnswers: 0) == .milliseconds(14_500))
  }

  /// Requests of a host: each has the time that its class and the measured round trip give it, twice that after a silence, and the first
  /// time again after an answer.
  @Test func requestsFollowTheRoundTrip() throws {
    let crypto = SystemCrypto()
    var configuration = HostCore.Configuration()
    configuration.gossip = nil
    configuration.exchangesPeers = false
    configuration.peering.firstPingDelay = .seconds(30)
    let host = HostCore(
      key: NodeKey(seed: [UInt8](repeating: 1, count: 32), crypto: crypto), crypto: crypto, configuration: configuration,
      clock: WallClock(now: .zero, wall: WallTime(milliseconds: 0)), seed: 1, now: .zero)
    let key = NodeKey(seed: [UInt8](repeating: 2, count: 32), crypto: crypto)
    let remote = try Multiaddr("/ip4/8.8.8.8/tcp/4001")
    var now = Instant.zero
    _ = host.handle(.accepted(.inbound(1), remote: remote), now: now)
    let identity = RemoteIdentity(peer: key.peerID, publicKey: key.publicKey, muxer: "/yamux/1.0.0", setUpTime: .milliseconds(200))
    _ = host.handle(.established(.inbound(1), identity, remote: remote), now: now)

    /// Lets time pass until the request fails; pings are answered after 200 ms.
    func timeOfRequest(_ number: UInt64) -> Duration? {
      let start = now
      var outputs = host.handle(
        .command(.request(RequestID(rawValue: number), key.peerID, "/test/1", [1], timeout: .standard)), now: now)
      while now < start + .seconds(60) {
        for case .send(let stream, let bytes) in outputs where bytes.count == 32 {
          _ = host.handle(.message(stream, bytes), now: now + .milliseconds(200))
        }
        for case .event(.response(RequestID(rawValue: number), .failure(.timeout))) in outputs { return now - start }
        guard let deadline = host.nextDeadline else { return nil }
        now = max(now + .milliseconds(250), deadline)
        outputs = host.handle(.timer, now: now)
      }
      return nil
    }
    // 5 s at least, as long as only the handshake is known: 200 ms, with its slack 600 ms, four times.
    #expect(timeOfRequest(1) == .seconds(5))
    #expect(timeOfRequest(2) == .seconds(10), "nothing came")
    let stream = host.handle(.command(.request(RequestID(rawValue: 3), key.peerID, "/test/1", [1], timeout: .standard)), now: now)
      .compactMap { if case .send(let stream, [1]) = $0 { stream } else { nil } }[0]
    _ = host.handle(.message(stream, [2]), now: now)
    #expect(timeOfRequest(4) == .seconds(5), "an answer came")
    while now < .zero + .seconds(200) { _ = timeOfRequest(UInt64(now.nanoseconds)) }
    let measured = try #require(host.peering.roundTripEstimate(of: key.peerID))
    #expect(measured.smoothed == .milliseconds(200))
    let last = host.handle(.command(.request(RequestID(rawValue: 5), key.peerID, "/test/1", [1], timeout: .standard)), now: now)
      .compactMap { if case .send(let stream, [1]) = $0 { stream } else { nil } }[0]
    _ = host.handle(.message(last, [2]), now: now)
    let adapted = try #require(timeOfRequest(6))
    #expect(adapted >= .milliseconds(3_300) && adapted < .milliseconds(4_600), "\(adapted), with \(measured)")
  }
}
