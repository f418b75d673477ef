import Wire

/// Makes messages that are nearly right: noise, random fields, and damaged good ones.
struct Mutator {
  var generator: SeededGenerator
  /// Good messages of the kind.
  let corpus: [[UInt8]]
  /// The longest message made.
  let maximum: Int

  mutating func next() -> [UInt8] {
    var bytes: [UInt8] =
      switch generator.index(below: 10) {
      case 0: generator.bytes(generator.index(below: 24))
      case 1, 2: fields(depth: 0)
      default: corpus[generator.index(below: corpus.count)]
      }
    for _ in 0..<generator.index(below: 4) { damage(&bytes) }
    return bytes.count <= maximum ? bytes : Array(bytes.prefix(maximum))
  }

  private mutating func damage(_ bytes: inout [UInt8]) {
    if bytes.isEmpty { return bytes = generator.bytes(2) }
    let place = generator.index(below: bytes.count)
    switch generator.index(below: 10) {
    case 0: bytes[place] = UInt8(truncatingIfNeeded: generator.next())
    case 1: bytes[place] ^= 1 << UInt8(generator.index(below: 8))
    case 2: bytes.remove(at: place)
    case 3: bytes.insert(UInt8(truncatingIfNeeded: generator.next()), at: place)
    case 4: bytes.removeSubrange(place...)
    case 5:
      let end = place + generator.index(below: bytes.count - place + 1)
      bytes.insert(contentsOf: bytes[place..<end], at: generator.index(below: bytes.count))
    case 6: bytes += corpus[generator.index(below: corpus.count)]
    case 7: bytes += fields(depth: 1)
    case 8:
      // A longer form of whatever ends here.
      if bytes[place] < 0x80 {
        bytes[place] |= 0x80
        bytes.insert(contentsOf: [UInt8](repeating: 0x80, count: generator.index(below: 3)) + [0], at: place + 1)
      }
    default:
      // One of the numbers at which readers differ.
      let edges: [[UInt8]] = [
        [0], [0x7f], [0x80, 1], [0xff, 0xff, 0xff, 0xff, 0x0f], [0x80, 0x80, 0x80, 0x80, 0x10], [UInt8](repeating: 0xff, count: 9) + [1],
        [UInt8](repeating: 0xff, count: 9) + [0x7f], [UInt8](repeating: 0x80, count: 10) + [0],
      ]
      bytes.replaceSubrange(place..<place + 1, with: edges[generator.index(below: edges.count)])
    }
  }

  /// Random fields with the numbers and the wire types that messages have, nested ones too.
  private mutating func fields(depth: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for _ in 0..<generator.index(below: 6) {
      let number = UInt64(1 + generator.index(below: generator.index(below: 8) == 0 ? 40 : 10))
      switch generator.index(below: 10) {
      case 0, 1, 2:
        Varint.append(number << 3, to: &bytes)
        Varint.append(generator.next() >> UInt64(generator.index(below: 64)), to: &bytes)
      case 3: bytes += tag(number, 1) + generator.bytes(8)
      case 4: bytes += tag(number, 5) + generator.bytes(4)
      case 5 where depth < 3: bytes += tag(number, 3) + fields(depth: depth + 1) + tag(number, 4)
      default:
        let content = depth < 3 && generator.index(below: 2) == 0 ? fields(depth: depth + 1) : generator.bytes(generator.index(below: 40))
        bytes += tag(number, 2)
        Varint.append(UInt64(content.count), to: &bytes)
        bytes += content
      }
    }
    return bytes
  }

  private func tag(_ number: UInt64, _ type: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    Varint.append(number << 3 | type, to: &bytes)
    return bytes
  }
}
