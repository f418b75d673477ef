import Testing
import Wire

/// Each field of a message as (number, value in words), or the error at which reading stopped.
private func dump(_ bytes: [UInt8]) -> [String] {
  var lines: [String] = []
  do throws(ProtobufError) {
    var reader = ProtobufReader(bytes.rawSpan)
    while let field = try reader.nextField() {
      switch field {
      case 1: lines.append("1 \(try reader.uint64())")
      case 2: lines.append("2 \(try reader.string())")
      case 3: lines.append("3 \(Base16.encode(try reader.bytes()))")
      case 4: lines.append("4 \(try reader.bool())")
      case 5: lines.append("5 \(try reader.int64())")
      case 6: lines.append("6 \(try reader.uint32())")
      case 7: lines.append("7 \(try reader.int())")
      case 8: lines.append("8 \(try reader.span().byteCount)")
      default:
        try reader.skip()
        lines.append("\(field) skipped")
      }
    }
  } catch {
    lines.append("error \(error)")
  }
  return lines
}

@Suite struct ProtobufTests {
  /// The first three from the protobuf documentation ("Encoding").
  @Test(arguments: [
    ("089601", ["1 150"]), ("120774657374696e67", ["2 testing"]), ("1a03089601", ["3 089601"]), ("", []),
    ("2001", ["4 true"]), ("28ffffffffffffffffff01", ["5 -1"]), ("30ffffffff0f", ["6 4294967295"]),
    ("3080808080 10".replacing(" ", with: ""), ["error overflow"]), ("38ffffffffffffffffff01", ["error overflow"]),
    ("4a0101", ["9 skipped"]), ("490102030405060708", ["9 skipped"]), ("4d01020304", ["9 skipped"]), ("48ff01", ["9 skipped"]),
    ("4b", ["error badTag"]), ("4c", ["error badTag"]), ("4e", ["error badTag"]), ("4f", ["error badTag"]),
    ("0001", ["error badTag"]), ("8080808010 00".replacing(" ", with: ""), ["error badTag"]), ("08", ["error truncated"]),
    ("1205616263", ["error truncated"]), ("12ffffffffffffffffff01", ["error truncated"]), ("4d010203", ["error truncated"]),
    ("4901", ["error truncated"]), ("0affffff", ["error wrongType"]), ("1001", ["error wrongType"]), ("1202c328", ["error notText"]),
    ("08ffffffffffffffffff02", ["error overflow"]), ("0801080212026869", ["1 1", "1 2", "2 hi"]),
  ])
  func messages(text: String, lines: [String]) { #expect(dump(Base16.decode(text)!) == lines) }

  @Test func writtenFieldsComeBack() throws {
    var writer = ProtobufWriter(capacity: 64)
    writer.uint64(1, 300)
    writer.string(2, "hi")
    writer.hash(3, .zero)
    writer.bool(4, true)
    writer.int64(5, -7)
    writer.int(7, 9)
    writer.message(8) { $0.bool(1, true) }
    writer.data(9, [])
    #expect(
      dump(writer.bytes) == [
        "1 300", "2 hi", "3 " + Hash256.zero.hex, "4 true", "5 -7", "7 9", "8 2", "9 skipped",
      ])
    #expect(Base16.encode(writer.bytes.prefix(9)) == "08ac02120268691a20")
  }

  @Test func everyCutIsAnErrorOrAShorterMessage() {
    var writer = ProtobufWriter()
    writer.uint64(1, .max)
    writer.string(2, "text")
    writer.data(9, [1, 2, 3])
    let whole = dump(writer.bytes)
    let ends = [0, 11, 17]
    for cut in 0..<writer.bytes.count {
      let lines = dump(Array(writer.bytes[..<cut]))
      if ends.contains(cut) {
        #expect(lines == Array(whole.prefix(lines.count)))
      } else {
        #expect(lines.last == "error truncated", "cut at \(cut)")
      }
    }
  }

  @Test func randomBytesNeverTrap() {
    let seed: UInt64 = 0xb0f
    var generator = SeededGenerator(seed: seed)
    var good = 0
    for _ in 0..<20_000 {
      if dump(generator.bytes(generator.index(below: 40))).last?.hasPrefix("error") != true { good += 1 }
    }
    // Empty and short inputs are messages now and then: without any the loop would test nothing but refusals.
    #expect(good > 0)
  }
}
