import Starling
import Testing

/// Whoever is refused before the handshake hears the reason on the first dial, as a hint that changes nothing else.
@Suite("Turned away", .serialized) struct TurnedAwayTests {
  enum Limit: CaseIterable, Sendable {
    case full, address, network, ban, handshakes, rate

    var code: Reason.Code {
      switch self {
      case .full: .tooManyPeers
      case .address: .tooManyFromIP
      case .network: .banned
      case .ban: .lowScore
      case .handshakes, .rate: .busy
      }
    }
  }

  private func counts(_ host: Host) async throws -> ReasonCounts { try await host.withCore { core, _ in core.peering.reasonCounts } }

  /// A host that takes nobody, for one reason.
  private func makeTarget(_ limit: Limit, _ key: NetworkKey?) async throws -> Host {
    let host = try await makeHost {
      $0.swarm.connection.networkKey = key
      $0.core.peering.exemptsLoopback = false
      $0.core.peering.acceptsPerSecond = 100_000
      $0.core.peering.acceptBurst = 100_000
      $0.core.peering.perIPMaximum = 1_000
      $0.core.peering.handshakesPerIPMaximum = 1_000
      switch limit {
      case .full: $0.core.peering.totalMaximum = 0
      case .address: $0.core.peering.perIPMaximum = 0
      case .network: break
      case .ban: $0.core.peering.misdeedsPerIPMaximum = 0
      case .handshakes: $0.core.peering.handshakesMaximum = 0
      case .rate: $0.core.peering.acceptBurst = 0
      }
    }
    if limit == .network { try await host.ban(.network(IPNetwork("127.0.0.0/8")!)) }
    return host
  }

  @Test("a host that is turned away hears why on each of a hundred dials", arguments: Limit.allCases, [false, true])
  func everyLimit(limit: Limit, isPrivate: Bool) async throws {
    let key = isPrivate ? NetworkKey(bytes: [UInt8](repeating: 9, count: 32)) : nil
    let target = try await makeTarget(limit, key)
    let address = await target.address
    let host = try await makeHost {
      $0.listen = []
      $0.swarm.connection.networkKey = key
    }
    for _ in 0..<100 {
      let error = await #expect(throws: HostError.self) { try await host.connect(address) }
      #expect(error?.code == .refused && error?.reason?.code == limit.code, "\(error as Any)")
    }
    #expect(try await counts(host).dialsFailed == ["turned-away-\(limit.code)": 100])
    #expect(try await counts(target).refused == [limit.code: 100])
    // It is shown, and no more: a peer's own goodbye of this kind would keep the node away for a quarter of an hour.
    let lines = await host.explain(target.peerID).joined(separator: " ")
    #expect(
      lines.contains("\(limit.code), as the other end says, which nothing proves") && !lines.contains("it refused this node"), "\(lines)")
    await close(target, host)
  }

  @Test("a dialler that has said nothing yet is told why its connection ends")
  func crowdedOut() async throws {
    let target = try await makeHost {
      $0.core.peering.handshakeTimeout = .milliseconds(1)
      $0.swarm.connection.handshakeTimeout = .seconds(60)
    }
    let ends = Recorder<ChannelError>()
    let peer = try HandPeer { _, output in if case .closed(let error) = output { ends.add(error) } }
    // The core's own time for a handshake is two seconds longer than that of its parts.
    try await peer.dial(await target.address, begins: false)
    try await eventually("it has heard") { ends.values.first != nil }
    guard case .turnedAway(_, "handshake-timeout") = ends.values.first else {
      Issue.record("\(ends.values.first as Any)")
      return
    }
    await peer.close()
    await target.close()
  }

  @Test("a link for which there is no memory is told so")
  func noMemory() async throws {
    let target = try await makeHost { $0.swarm.memoryMaximum = 4 << 10 }
    let host = try await makeHost { $0.listen = [] }
    let error = await #expect(throws: HostError.self) { try await host.connect(target.address) }
    #expect(error?.reason?.code == .resourceLimit, "\(error as Any)")
    await close(target, host)
  }
}
