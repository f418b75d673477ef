import Testing
import Wire

@Suite struct BytesTests {
  @Test func bigEndianNumbers() {
    var bytes: [UInt8] = []
    bytes.appendBigEndian(UInt8(1))
    bytes.appendBigEndian(UInt16(0x0203))
    bytes.appendBigEndian(UInt32(0x0405_0607))
    bytes.appendBigEndian(UInt64(0x0809_0a0b_0c0d_0e0f))
    bytes.appendBigEndian(Int16(-2))
    #expect(bytes == Array(1...15) + [0xff, 0xfe])
  }

  @Test func spansCopyAndCompare() {
    let bytes: [UInt8] = [1, 2, 3]
    var copy: [UInt8] = [0]
    copy.append(contentsOf: bytes.rawSpan)
    #expect(copy == [0, 1, 2, 3])
    #expect([UInt8](bytes.rawSpan) == bytes)
    let verdicts = [
      bytes.rawSpan.elementsEqual([1, 2, 3]), bytes.rawSpan.elementsEqual([1, 2]), bytes.rawSpan.elementsEqual([1, 2, 4]),
    ]
    #expect(verdicts == [true, false, false])
    let empty: [UInt8] = []
    #expect([UInt8](empty.rawSpan) == [])
  }

  @Test func aBatchKeepsTheOrderOfItsChanges() {
    var batch = WriteBatch()
    #expect(batch.isEmpty)
    batch.put("t", [1], [2])
    var other = WriteBatch()
    other.remove("u", [3])
    batch.append(other)
    #expect(batch.operations.map(\.table.name) == ["t", "u"])
    #expect(batch.operations.map(\.value) == [[2], nil])
  }
}
