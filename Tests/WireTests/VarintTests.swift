import Testing
import Wire

@Suite struct VarintTests {
  static let table: [(UInt64, String)] = [
    (0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (255, "ff01"), (300, "ac02"), (16383, "ff7f"), (16384, "808001"),
    (1 << 31, "8080808008"), (1 << 63, "80808080808080808001"), (.max, "ffffffffffffffffff01"),
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

  @Test(arguments: ["ffffffffffffffffff02", "80808080808080808080", "ffffffffffffffffffffff01", "8080808080808080808001"])
  func tooLarge(text: String) {
    let bytes = Base16.decode(text)!
    let result = Varint.read(bytes.rawSpan)
    #expect(result == .overflow)
  }

  @Test func paddedFormsAreRead() {
    let bytes: [UInt8] = [0x80, 0x00]
    let result = Varint.read(bytes.rawSpan)
    #expect(result == .value(0, bytes: 2))
  }

  @Test func randomBytesNeverTrapAndValuesComeBack() {
    var generator = SeededGenerator(seed: 1)
    for _ in 0..<20_000 {
      let bytes = generator.bytes(generator.index(below: 14))
      if case .value(let value, let count) = Varint.read(bytes.rawSpan) { #expect(Varint.size(value) <= count) }
      let value = generator.next() >> UInt64(generator.index(below: 64))
      var encoded: [UInt8] = []
      Varint.append(value, to: &encoded)
      let result = Varint.read(encoded.rawSpan)
      #expect(result == .value(value, bytes: Varint.size(value)))
    }
  }
}
