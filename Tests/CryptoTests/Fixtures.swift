import Foundation
import Wire

/// A file of `Tests/Fixtures`.
func fixture<T: Decodable>(_ name: String, as type: T.Type) throws -> T {
  let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures")
  return try JSONDecoder().decode(type, from: Data(contentsOf: folder.appending(path: name)))
}

/// The bytes of hexadecimal text that stands in a test or a fixture.
func hex(_ text: String) -> [UInt8] { Base16.decode(text)! }

/// One to four small changes: a flipped bit, a removed, added or repeated stretch.
func mutated(_ original: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
  var bytes = original
  for _ in 0...generator.index(below: 4) {
    let position = generator.index(below: bytes.count)
    switch generator.index(below: 5) {
    case 0, 1: if !bytes.isEmpty { bytes[position] ^= 1 << UInt8(generator.index(below: 8)) }
    case 2: bytes.removeLast(generator.index(below: bytes.count + 1))
    case 3: bytes.insert(contentsOf: generator.bytes(generator.index(below: 8)), at: position)
    default: if !bytes.isEmpty { bytes[position] = UInt8(truncatingIfNeeded: generator.next()) }
    }
  }
  return bytes
}
