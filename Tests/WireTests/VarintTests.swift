import Testing
import Wire

@Suite struct VarintTests {
  static let table: [(UInt64, String)] = [
    (0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (255, "ff01"), (300, "ac02"), (16383, "ff7f"), (16384, "808001"),
    (1 << 31, "8080808008"), (1 << 63 - 1, "ffffffffffffffff7f"),
  ]

  @Test(arguments: table)
  func roundTrip(value: UInt64, text: String) {
    var bytes: [UInt8] = []
    Varint.append(value, to: &bytes)
    #expect(Base16.encode(bytes) == text)
    #expect(Varint.size(value) == bytes.count)
    let found = Varint.read(bytes.rawSpan)
    #expect(found == .value(value, bytes: bytes.count))
    for cut in 0..<bytes.count {
      let part = Array(bytes[..<cut])
      let result = Varint.read(part.rawSpan)
      #expect(result == .incomplete)
    }
    let shifted = [9, 9] + bytes + [7]
    let inside = Varint.read(shifted.rawSpan, at: 2)
    #expect(inside == .value(value, bytes: bytes.count))
  }

  /// The specification's rules: at most nine bytes, and the shortest form (multiformats/unsigned-varint).
  @Test(arguments: [
    ("80808080808080808001", Varint.Fault.tooLong), ("ffffffffffffffffff01", .tooLong), ("808080808080808080", .tooLong),
    ("8000", .padded), ("818000", .padded), ("ffffffffffffffff00", .padded), ("8080808000", .padded),
  ])
  func otherFormsAreRefused(text: String, fault: Varint.Fault) {
    let bytes = Base16.decode(text)!
    let result = Varint.read(bytes.rawSpan)
    #expect(result == .invalid(fault))
  }

  /// Protobuf's decoders take padded forms and ten bytes, and drop what is above the 64th bit.
  @Test(arguments: [
    ("8000", Varint.Result.value(0, bytes: 2)), ("818000", .value(1, bytes: 3)), ("80808080808080808001", .value(1 << 63, bytes: 10)),
    ("ffffffffffffffffff01", .value(.max, bytes: 10)), ("ffffffffffffffffff7f", .value(.max, bytes: 10)), ("80", .incomplete),
    ("8080808080808080808001", .invalid(.tooLong)), ("80808080808080808080", .invalid(.tooLong)),
  ])
  func protobufReadsMore(text: String, result: Varint.Result) {
    let bytes = Base16.decode(text)!
    let found = Varint.readProtobuf(bytes.rawSpan, at: 0)
    #expect(found == result)
  }

  @Test func randomBytesNeverTrapAndEachNumberHasOneForm() {
    var generator = SeededGenerator(seed: 1)
    for _ in 0..<20_000 {
      let bytes = generator.bytes(generator.index(below: 14))
      if case .value(let value, let count) = Varint.read(bytes.rawSpan) {
        var encoded: [UInt8] = []
        Varint.append(value, to: &encoded)
        #expect(encoded == Array(bytes.prefix(count)))
      }
      let value = generator.next() >> UInt64(1 + generator.index(below: 63))
      var encoded: [UInt8] = []
      Varint.append(value, to: &encoded)
      let result = Varint.read(encoded.rawSpan)
      #expect(result == .value(value, bytes: Varint.size(value)))
    }
  }
}
