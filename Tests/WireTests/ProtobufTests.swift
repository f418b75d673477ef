import Testing
import Wire

/// Each field of a message as (number, value in words), or the error at which reading stopped.
private func dump(_ bytes: [UInt8]) -> [String] {
  var lines: [String] = []
  do throws(ProtobufError) {
    var reader = ProtobufReader(bytes.rawSpan)
    while let field = try reader.nextField() {
      switch field {
      case .number(1): lines.append("1 \(reader.uint64)")
      case .bytes(2): lines.append("2 \(try reader.string())")
      case .bytes(3): lines.append("3 \(Base16.encode(reader.bytes))")
      case .number(4): lines.append("4 \(reader.bool)")
      case .number(5): lines.append("5 \(reader.int64)")
      case .number(6): lines.append("6 \(reader.uint32)")
      case .number(7): lines.append("7 \(reader.int)")
      case .bytes(8): lines.append("8 \(reader.span.byteCount)")
      default: lines.append("\(field.number) skipped")
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
    // Numbers beyond their type, as protobuf's own decoders read them.
    ("308180808010", ["6 1"]), ("38ffffffffffffffffff01", ["7 9223372036854775807"]),
    ("08ffffffffffffffffff02", ["1 9223372036854775807"]),
    ("08808080808080808080", ["error it ends inside a field"]),
    ("0880808080808080808080 01".replacing(" ", with: ""), ["error a number has more than ten bytes"]),
    ("088000", ["1 0"]), ("8a0000", ["1 skipped"]),
    ("4a0101", ["9 skipped"]), ("490102030405060708", ["9 skipped"]), ("4d01020304", ["9 skipped"]), ("48ff01", ["9 skipped"]),
    // Groups are passed over whole.
    ("4b4c", ["9 skipped"]), ("4b0801120161534d00000000544c0801", ["9 skipped", "1 1"]), ("4b", ["error it ends inside a field"]),
    ("4b54", ["error a field begins with a number or type that is not allowed"]),
    ("4c", ["error a field begins with a number or type that is not allowed"]),
    ("4e", ["error a field begins with a number or type that is not allowed"]),
    ("4f", ["error a field begins with a number or type that is not allowed"]),
    ("0001", ["error a field begins with a number or type that is not allowed"]),
    ("8080808010 00".replacing(" ", with: ""), ["error a field begins with a number or type that is not allowed"]),
    ("08", ["error it ends inside a field"]),
    ("1205616263", ["error it ends inside a field"]), ("12ffffffffffffffffff01", ["error it ends inside a field"]),
    ("4d010203", ["error it ends inside a field"]),
    ("4901", ["error it ends inside a field"]), ("0affffff", ["error it ends inside a field"]), ("0a0161", ["1 skipped"]),
    ("1001", ["2 skipped"]),
    ("1202c328", ["error a string is not UTF-8"]),
    ("0801080212026869", ["1 1", "1 2", "2 hi"]),
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
        #expect(lines.last == "error it ends inside a field", "cut at \(cut)")
      }
    }
  }

  @Test func groupsNestToALimit() {
    let deep = [UInt8](repeating: 0x4b, count: 100) + [UInt8](repeating: 0x4c, count: 100)
    #expect(dump(deep) == ["9 skipped"])
    #expect(dump([0x4b] + deep + [0x4c]) == ["error a field begins with a number or type that is not allowed"])
    #expect(dump([UInt8](repeating: 0x4b, count: 1 << 20)) == ["error a field begins with a number or type that is not allowed"])
  }

  /// A value that nobody can read does not hide where the field ends, nor that it does not.
  @Test func aBadValueKeepsItsPlace() throws {
    let bytes: [UInt8] = [0x12, 2, 0xc3, 0x28, 0x08, 5]
    var reader = ProtobufReader(bytes.rawSpan)
    _ = try reader.nextField()
    let text = reader.text
    let field = try reader.nextField()
    let (number, nothing) = (reader.uint64, reader.bytes)
    let end = try reader.nextField()
    #expect(text == nil && field == .number(1) && number == 5 && nothing == [] && end == nil)
  }

  @Test func aPartOfLargerBytesIsReadInPlace() throws {
    let bytes: [UInt8] = [0xff, 0x12, 1, 7, 0x80, 0x01]
    var reader = ProtobufReader(bytes.rawSpan, in: 1..<4)
    let field = try reader.nextField()
    let (range, offset) = (reader.range, reader.offset)
    let end = try reader.nextField()
    #expect(field == .bytes(2) && range == 3..<4 && offset == 4 && end == nil)
    // Neither a number nor a length reaches beyond the part.
    for part in [1..<3, 1..<2, 4..<5] {
      #expect(throws: ProtobufError.truncated) {
        var reader = ProtobufReader(bytes.rawSpan, in: part)
        while try reader.nextField() != nil {}
      }
    }
  }

  @Test func textOfAMessage() throws {
    func text(_ bytes: [UInt8], _ maximum: Int) throws -> String {
      var writer = ProtobufWriter()
      writer.data(1, bytes)
      var reader = ProtobufReader(writer.bytes.rawSpan)
      _ = try reader.nextField()
      return reader.text(maximumBytes: maximum)
    }
    #expect(try text(Array("hello".utf8), 10) == "hello")
    #expect(try text(Array("hello".utf8), 4) == "hell")
    #expect(try text([0x61, 0xff, 0x62], 10) == "a\u{fffd}b")
    #expect(try text([UInt8](repeating: 0xff, count: 1_000), 100).utf8.count <= 100)
    #expect(try text(Array(String(repeating: "é", count: 300).utf8), 255).utf8.count == 254)
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
