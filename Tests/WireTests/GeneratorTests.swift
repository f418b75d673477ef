import Testing
import Wire

@Suite struct GeneratorTests {
  /// The sequence is part of what a seed means: a change would make every recorded simulator seed worthless.
  @Test func aSeedMeansOneSequenceForEver() {
    var generator = SeededGenerator(seed: 0)
    #expect(
      (0..<4).map { _ in generator.next() } == [
        0x99ec_5f36_cb75_f2b4, 0xbf6e_1f78_4956_452a, 0x1a5f_849d_4933_e6e0, 0x6aa5_94f1_262d_2d2c,
      ])
  }

  @Test func equalSeedsAgreeAndOthersDiffer() {
    var a = SeededGenerator(seed: 42)
    var b = SeededGenerator(seed: 42)
    var c = SeededGenerator(seed: 43)
    let bytes = a.bytes(100)
    #expect(bytes == b.bytes(100))
    #expect(c.bytes(100) != bytes)
    var child = a.split()
    var twin = b.split()
    #expect(child.next() == twin.next())
    #expect(child.next() != a.next())
  }

  @Test func drawsStayInsideTheirBounds() {
    var generator = SeededGenerator(seed: 7)
    var seen = Set<Int>()
    for _ in 0..<2_000 {
      seen.insert(generator.index(below: 10))
      #expect((0..<1).contains(generator.unit()))
      let jitter = generator.jitter(.milliseconds(5))
      #expect(jitter >= .zero && jitter <= .milliseconds(5))
    }
    #expect(seen == Set(0..<10))
    #expect(generator.index(below: 0) == 0 && generator.index(below: -3) == 0)
    #expect(generator.bytes(0) == [] && generator.bytes(13).count == 13)
    #expect(generator.jitter(.zero) == .zero)
  }
}
