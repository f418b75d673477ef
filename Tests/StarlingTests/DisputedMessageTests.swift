import Starling
import Testing
import Wire

/// Signed messages on which stacks differ, forwarded by a peer over a real link.
@Suite("Messages on which stacks differ") struct DisputedMessageTests {
  static let topic: Topic = "signed"

  /// An RPC with its length in front.
  private func framed(_ rpc: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    Varint.append(UInt64(rpc.count), to: &bytes)
    return bytes + rpc
  }

  @Test("cost their forwarder nothing, and those that go finds good are delivered")
  func forwarder() async throws {
    let absentData = try #require(
      Base16.decode(
        "0a2600240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b81a08000000000000000022067369676e65642a40a2bd7562b2cd1c6747db9c01592a311a973b67941c66bfbfe737642203c3176ae5a990246a0cd0d617d6ba0d629eb62b4b325e0531601442bb544ef3273aa20a"
      ))
    let smallOrder = try #require(
      Base16.decode(
        "0a26002408011220c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa1201781a08000000000000000122067369676e65642a40ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f0000000000000000000000000000000000000000000000000000000000000000"
      ))
    let host = try await makeHost { $0.core.peering.exemptsLoopback = false }
    let forwarder = try await makeHost { $0.core.gossip = nil }
    let subscription = try await host.subscribe(Self.topic, .init(topic: .init(signing: .strictSign)))
    try await forwarder.connect(host.address)
    let stream = try await forwarder.openStream(to: host.peerID, protocols: ["/meshsub/1.1.0"])
    func send(_ message: [UInt8]) async throws {
      var writer = ProtobufWriter()
      writer.data(2, message)
      try await stream.write(framed(writer.bytes))
    }
    // Each once would do for the first two of these; the others would do for one another.
    for _ in 0..<5 {
      try await send(absentData + [0x32, 0])
      try await send(absentData + [0x38, 1])
      try await send([0x38, 1] + absentData)
      try await send(Array(absentData[..<50]) + [0x22, 6] + Array("signed".utf8))
    }
    try await eventually("none of them is taken") { try await host.withCore { core, _ in core.gossip?.statistics.rejected } == 20 }
    try await send(absentData)
    try await send(smallOrder)
    let got = try await within {
      var got: [[UInt8]] = []
      for await message in subscription {
        got.append(message.data)
        if got.count == 2 { break }
      }
      return got
    }
    #expect(got == [[], Array("x".utf8)])
    #expect(await host.peers().map(\.peer) == [forwarder.peerID])
    let counts = try await host.withCore { core, _ in core.peering.reasonCounts }
    #expect(counts.offences.isEmpty)
    await close(host, forwarder)
  }
}
