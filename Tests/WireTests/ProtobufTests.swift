import Testing
import Wire

@Suite struct ProtobufTests {
  @Test func roundTrip() throws {
    var writer = ProtobufWriter()
    writer.uint64(1, 300)
    writer.string(2, "hi")
    writer.hash(3, .zero)
    writer.message(4) { $0.bool(1, true) }
    let bytes = writer.bytes
    var reader = ProtobufReader(bytes.rawSpan)
    var seen: [Int] = []
    while let field = try reader.nextField() {
      seen.append(field)
      switch field {
      case 1: #expect(try reader.uint64() == 300)
      case 2: #expect(try reader.string() == "hi")
      case 3: #expect(Hash256(try reader.span()) == .zero)
      default: try reader.skip()
      }
    }
    #expect(seen == [1, 2, 3, 4])
  }
}
