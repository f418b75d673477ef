import Testing
import Wire

@Suite struct Hash256Tests {
  let bytes = (0..<32).map { UInt8($0 * 7 + 1) }

  @Test func bytesTextAndWordsAgree() {
    let hash = Hash256(bytes)!
    #expect(hash.bytes == bytes)
    let fromSpan = Hash256(bytes.rawSpan)
    #expect(fromSpan == hash)
    #expect(hash.hex == Base16.encode(bytes))
    #expect(Hash256(hex: hash.hex) == hash)
    #expect(hash.short == "01080f16")
    #expect(hash.description == hash.hex)
    #expect(hash.prefix == 0x0108_0f16_1d24_2b32)
    #expect(Hash256.zero.bytes == [UInt8](repeating: 0, count: 32))
  }

  @Test func otherLengthsAreRefused() {
    for count in [0, 1, 31, 33, 64] {
      let wrong = [UInt8](repeating: 1, count: count)
      #expect(Hash256(wrong) == nil)
      let fromSpan = Hash256(wrong.rawSpan)
      #expect(fromSpan == nil)
    }
    for text in ["", "00", String(repeating: "0", count: 63), String(repeating: "g", count: 64)] { #expect(Hash256(hex: text) == nil) }
  }

  @Test func anUnalignedSpanIsRead() {
    let shifted = [0xff] + bytes
    let hash = Hash256(shifted.rawSpan.extracting(1..<33))
    #expect(hash?.bytes == bytes)
  }

  @Test func bitsAndNibblesCountFromTheFront() {
    let hash = Hash256(bytes)!
    for index in 0..<256 { #expect(hash.bit(index) == (bytes[index / 8] >> UInt8(7 - index % 8) & 1 == 1)) }
    for index in 0..<64 { #expect(hash.nibble(index) == Int(index % 2 == 0 ? bytes[index / 2] >> 4 : bytes[index / 2] & 15)) }
  }

  @Test func orderIsByteOrder() {
    var generator = SeededGenerator(seed: 5)
    for _ in 0..<500 {
      var left = bytes
      var right = bytes
      left[generator.index(below: 32)] = UInt8(truncatingIfNeeded: generator.next())
      right[generator.index(below: 32)] = UInt8(truncatingIfNeeded: generator.next())
      #expect((Hash256(left)! < Hash256(right)!) == left.lexicographicallyPrecedes(right))
    }
  }

  @Test func distanceAndSharedBits() {
    let left = Hash256(bytes)!
    #expect((left ^ left) == .zero && Hash256.zero.leadingZeroBitCount == 256)
    for index in 0..<256 {
      var changed = bytes
      changed[index / 8] ^= 0x80 >> UInt8(index % 8)
      let distance = left ^ Hash256(changed)!
      #expect(distance.leadingZeroBitCount == index && distance.bit(index) && (distance ^ left) == Hash256(changed)!)
    }
  }
}
