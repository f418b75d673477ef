import Identity
import Testing
import Wire

@testable import HostCore

@Suite struct IdentifyCodecTests {
  /// Field 4 claims 42 bytes and has five: what lies behind its length is none of the message's fields.
  @Test(arguments: ["22642a03666f6f", "222a2a03666f6f", "22", "12642a03666f6f", "0a642a03666f6f"])
  func aFieldThatIsCutShortIsAFault(text: String) throws {
    let bytes = try #require(Base16.decode(text))
    #expect(throws: ProtobufError.truncated) { try IdentifyInfo(encoded: bytes.rawSpan) }
  }

  @Test func anAddressThatCannotBeReadIsPassedOver() throws {
    let bytes = try #require(Base16.decode("2202ffff12012a2a03666f6f"))
    let info = try IdentifyInfo(encoded: bytes.rawSpan)
    #expect(info.observedAddress == nil && info.listenAddresses == [] && info.protocolVersion == "foo")
  }

  @Test func textIsLimitedInBytes() throws {
    let long = "e" + String(repeating: "\u{301}", count: 20_000)
    var writer = ProtobufWriter()
    writer.string(5, long)
    writer.string(6, long)
    writer.string(3, "/" + long)
    writer.data(3, [0x2f, 0xff])
    writer.string(3, "/good")
    let info = try IdentifyInfo(encoded: writer.bytes.rawSpan)
    #expect(info.protocolVersion.utf8.count == 255 && info.agent.utf8.count == 255)
    #expect(info.protocols == ["/good"])
    writer = ProtobufWriter()
    writer.data(6, [0x41, 0xff, 0x42])
    let repaired = try IdentifyInfo(encoded: writer.bytes.rawSpan)
    #expect(repaired.agent == "A\u{fffd}B")
  }
}
