import Identity
import Sync
import Testing
import Wire

@Suite struct StatusLimitTests {
  private static let long = "e" + String(repeating: "\u{301}", count: 5_000)

  @Test func textIsLimitedInBytes() throws {
    let status = Status(
      network: Self.long, chainID: Self.long, genesis: .zero, height: 1, head: .zero, nodeType: Self.long, services: [Self.long])
    let read = try Status(encoded: status.encoded.rawSpan)
    #expect(read.network.utf8.count <= 64 && read.chainID.utf8.count <= 64 && read.nodeType.utf8.count <= 32)
    #expect(read.services.allSatisfy { $0.utf8.count <= 64 } && read.services.count == 1)
    let refusal = StatusAnswer.refusal(code: 1, text: Self.long)
    #expect(refusal.encoded.count < 220)
    var writer = ProtobufWriter()
    writer.message(2) { $0.string(2, Self.long) }
    guard case .refusal(_, let text) = try StatusAnswer(encoded: writer.bytes.rawSpan) else {
      Issue.record("not a refusal")
      return
    }
    #expect(text.utf8.count <= 200)
  }
}
