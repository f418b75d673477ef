import Wire

/// A fast 256-bit mix of bytes: the simulator's stand-in for SHA-256, and its trace hash.
///
/// Four lanes of multiply and rotate over 32-byte stripes, crossed at the end. Without any strength against somebody who looks for
/// collisions; by accident they come as rarely as the width says. Equal on every machine, in every build.
struct Mixer {
  private var a: UInt64
  private var b: UInt64
  private var c: UInt64
  private var d: UInt64
  private var count: UInt64 = 0

  init(seed: UInt64 = 0) {
    a = seed ^ 0x243f_6a88_85a3_08d3
    b = seed &+ 0x1319_8a2e_0370_7344
    c = ~seed ^ 0xa409_3822_299f_31d0
    d = seed &* 0x082e_fa98_ec4e_6c89 ^ 0x4528_21e6_38d0_1377
  }

  private static let first: UInt64 = 0x9e37_79b1_85eb_ca87
  private static let second: UInt64 = 0xc2b2_ae3d_27d4_eb4f

  @inline(__always)
  private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
    let x = lane ^ (word &* second)
    return ((x << 31) | (x >> 33)) &* first
  }

  /// Takes one number.
  @inline(__always)
  mutating func add(_ word: UInt64) {
    // The lanes change places, so that a word's position counts.
    (a, b, c, d) = (b, c, d, Mixer.round(a, word) &+ b)
    count &+= 8
  }

  /// Takes bytes; their number counts too.
  mutating func add(_ bytes: RawSpan) {
    let total = bytes.byteCount
    var offset = 0
    while offset + 32 <= total {
      a = Mixer.round(a, unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self).littleEndian)
      b = Mixer.round(b, unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset + 8, as: UInt64.self).littleEndian)
      c = Mixer.round(c, unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset + 16, as: UInt64.self).littleEndian)
      d = Mixer.round(d, unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset + 24, as: UInt64.self).littleEndian)
      offset += 32
    }
    while offset + 8 <= total {
      add(unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self).littleEndian)
      offset += 8
    }
    var rest: UInt64 = 0
    while offset < total {
      rest = rest << 8 | UInt64(bytes.byte(offset))
      offset += 1
    }
    add(rest)
    add(UInt64(total))
  }

  /// Takes bytes; their number counts too.
  mutating func add(_ bytes: [UInt8]) { add(bytes.rawSpan) }

  /// Takes the UTF-8 of a text.
  mutating func add(_ text: String) { add(Array(text.utf8)) }

  /// The four words of the digest so far; more can be added afterwards.
  var words: (UInt64, UInt64, UInt64, UInt64) {
    func finish(_ value: UInt64) -> UInt64 {
      var z = value
      z = (z ^ (z >> 33)) &* 0xff51_afd7_ed55_8ccd
      z = (z ^ (z >> 29)) &* 0xc4ce_b9fe_1a85_ec53
      return z ^ (z >> 32)
    }
    let sum = finish(a ^ count) &+ finish(b &+ 1) &* 3 &+ finish(c &+ 2) &* 5 &+ finish(d &+ 3) &* 7
    return (finish(sum ^ a), finish(sum &+ b &* 3), finish(sum ^ (c &* 5) &+ 1), finish(sum &+ (d ^ 0x5555_5555_5555_5555)))
  }

  /// 64 bits of the digest so far.
  var short: UInt64 { words.0 ^ words.2 }

  /// The digest so far as bytes.
  var digest: [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(32)
    let words = words
    for word in [words.0, words.1, words.2, words.3] { result.appendBigEndian(word) }
    return result
  }

  /// The digest of some bytes.
  static func digest(_ domain: UInt64, _ bytes: RawSpan) -> [UInt8] {
    var mixer = Mixer(seed: domain)
    mixer.add(bytes)
    return mixer.digest
  }
}
