import Identity
import Sync
import Testing
import Wire

@Suite struct SyncMessagesTests {
  private static let status = Status(
    network: "main", chainID: "chain", genesis: Hash256([UInt8](repeating: 1, count: 32))!, height: 7,
    head: Hash256([UInt8](repeating: 2, count: 32))!, nodeType: "full", listenAddresses: [try! Multiaddr("/ip4/10.0.0.1/tcp/9000")],
    services: ["blocks"])

  @Test func statusRoundTrip() throws {
    let status = Self.status
    #expect(try Status(encoded: status.encoded.rawSpan) == status)
    #expect(try StatusAnswer(encoded: StatusAnswer.status(status).encoded.rawSpan) == .status(status))
    let refusal = StatusAnswer.refusal(code: 14, text: "genesis differs")
    #expect(try StatusAnswer(encoded: refusal.encoded.rawSpan) == refusal)
  }

  @Test func everyMismatchIsNamed() {
    let ours = Self.status
    var other = ours
    #expect(ours.mismatch(with: other) == nil)
    other.height = 99
    #expect(ours.mismatch(with: other) == nil, "heights may differ")
    other.genesis = .zero
    #expect(ours.mismatch(with: other) == .genesis(ours: ours.genesis, theirs: .zero))
    other.chainID = "x"
    #expect(ours.mismatch(with: other) == .chain(ours: "chain", theirs: "x"))
    other.network = "test"
    #expect(ours.mismatch(with: other) == .network(ours: "main", theirs: "test"))
    other.version = 2
    #expect(ours.mismatch(with: other) == .version(ours: 1, theirs: 2))
  }

  @Test func blocksRequestKeepsToItsLimits() throws {
    for request in [BlocksRequest.range(from: 0, count: 1), .range(from: 1 << 40, count: 100), .hash(Self.status.head)] {
      #expect(try BlocksRequest(encoded: request.encoded.rawSpan) == request)
    }
    for (from, count) in [(0, 0), (0, 101), (UInt64.max, 1)] as [(UInt64, Int)] {
      var writer = ProtobufWriter()
      writer.uint64(1, from)
      writer.int(2, count)
      let bytes = writer.bytes
      #expect(throws: ProtobufError.self) { try BlocksRequest(encoded: bytes.rawSpan) }
    }
    let empty: [UInt8] = []
    #expect(throws: ProtobufError.badField(1)) { try BlocksRequest(encoded: empty.rawSpan) }
  }

  @Test func listsAreBoundedByCount() throws {
    let list = BytesList([[1], [], [2, 3]])
    #expect(try BytesList(encoded: list.encoded.rawSpan, maximum: 3) == list)
    let bytes = list.encoded
    #expect(throws: ProtobufError.badField(1)) { try BytesList(encoded: bytes.rawSpan, maximum: 2) }
  }

  @Test func cutsAndNoiseNeverTrap() {
    var generator = SeededGenerator(seed: 20_261_120)
    let good = [
      Self.status.encoded, StatusAnswer.status(Self.status).encoded, BlocksRequest.hash(.zero).encoded, BytesList([[1, 2]]).encoded,
    ]
    for round in 0..<20_000 {
      var bytes = good[round % good.count]
      for _ in 0...generator.index(below: 3) { bytes[generator.index(below: bytes.count)] = UInt8(truncatingIfNeeded: generator.next()) }
      bytes.removeLast(generator.index(below: bytes.count))
      _ = try? Status(encoded: bytes.rawSpan)
      _ = try? StatusAnswer(encoded: bytes.rawSpan)
      _ = try? BlocksRequest(encoded: bytes.rawSpan)
      _ = try? BytesList(encoded: bytes.rawSpan, maximum: 10)
    }
  }
}
