import Testing
import Wire

@Suite struct SipHashTests {
  private static let key = SipHash.Key(low: 0x0706_0504_0302_0100, high: 0x0f0e_0d0c_0b0a_0908)

  /// From the reference implementation's `vectors.h`: the key 00…0f, inputs 00, 0001, 000102 and so on.
  @Test(
    arguments: [
      (0, 0x726f_db47_dd0e_0e31), (1, 0x74f8_39c5_93dc_67fd), (2, 0x0d6c_8009_d9a9_4f5a), (3, 0x8567_6696_d7fb_7e2d),
      (7, 0xab02_00f5_8b01_d137), (8, 0x93f5_f579_9a93_2462), (15, 0xa129_ca61_49be_45e5), (63, 0x958a_324c_eb06_4572),
    ] as [(Int, UInt64)])
  func vectors(count: Int, value: UInt64) {
    let bytes = (0..<count).map { UInt8($0) }
    var hash = SipHash(Self.key)
    hash.combine(bytes.rawSpan)
    #expect(hash.value == value)
    #expect(hash.value == value, "reading changes nothing")
  }

  /// Words and bytes in any mixture are the same message.
  @Test func cuts() {
    let bytes = (0..<40).map { UInt8(truncatingIfNeeded: 7 * $0 + 3) }
    var whole = SipHash(Self.key)
    whole.combine(bytes.rawSpan)
    for first in 0...32 {
      var mixed = SipHash(Self.key)
      for byte in bytes[..<first] { mixed.combine(byte) }
      mixed.combine(bytes[first..<first + 8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
      for byte in bytes[(first + 8)...] { mixed.combine(byte) }
      #expect(mixed.value == whole.value, "cut at \(first)")
    }
    var other = SipHash(SipHash.Key(low: 1, high: 2))
    other.combine(bytes.rawSpan)
    #expect(other.value != whole.value)
  }
}
