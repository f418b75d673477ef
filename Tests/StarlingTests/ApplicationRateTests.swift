import Starling
import Testing

@Suite("Rates of an application's protocols") struct ApplicationRateTests {
  static let service: ProtocolID = "/test/service/1"

  @Test("what is beyond the rate that the program set is refused with a reason, and nobody is blamed for it")
  func refused() async throws {
    let (first, second) = try await makePair()
    let served = Counter()
    await second.serve(Self.service, rate: .init(perSecond: 0, burst: 5)) { _, bytes in
      served.add()
      return bytes
    }
    var codes: [HostError.Code?] = []
    // Many more than would cost a peer its link if they were the host's own protocols.
    for _ in 0..<2_000 { codes.append(await code { _ = try await first.request(second.peerID, Self.service, [1]) }) }
    #expect(codes.prefix(5).allSatisfy { $0 == nil } && codes.dropFirst(5).allSatisfy { $0 == .tryLater })
    #expect(served.value == 5)
    #expect(await second.refusals()[.rateLimited] == 1_995)
    #expect(try await second.withCore { core, _ in core.peering.reasonCounts.offences.isEmpty })
    #expect(await second.peers().map(\.peer) == [first.peerID])
    // The host's own protocols are none the worse for it.
    _ = try await first.identify(second.peerID)
    // A rate that is set anew holds at once.
    await second.serve(Self.service, rate: .init(perSecond: 0, burst: 2)) { _, bytes in bytes }
    let again = await [1, 2, 3].asyncMap { _ in await code { _ = try await first.request(second.peerID, Self.service, [1]) } }
    #expect(again == [nil, nil, .tryLater])
    await close(first, second)
  }

  /// The links' threads and the core pace nothing: this host's own protocols may not ask so often at all.
  @Test("a thousand requests are asked and answered as they come")
  func unpaced() async throws {
    let (first, second) = try await makePair { $0.core.rates.peer = .init(perSecond: 0, burst: 40) }
    await second.serve(Self.service) { _, bytes in bytes }
    for number in 0..<1_000 {
      let bytes = [UInt8(number & 0xff)]
      #expect(try await first.request(second.peerID, Self.service, bytes) == bytes)
    }
    #expect(await second.refusals() == [:])
    await close(first, second)
  }
}

extension Sequence {
  fileprivate func asyncMap<Value>(_ change: (Element) async throws -> Value) async rethrows -> [Value] {
    var values: [Value] = []
    for element in self { values.append(try await change(element)) }
    return values
  }
}
