import Identity
import Testing
import Wire

@testable import Discovery

private func name(_ text: String) -> DNSName { DNSName(text)! }

@Suite struct DNSTests {
  /// An answer as a name server sends it (RFC 1035 §4.1.4's compression): two TXT records, one of two strings, and a CNAME before them.
  private let compressed: [UInt8] =
    [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 3, 0, 0, 0, 0]
    + [8] + Array("_dnsaddr".utf8) + [7] + Array("Example".utf8) + [3] + Array("org".utf8) + [0, 0, 16, 0, 1]
    + [0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 4, 1, UInt8(ascii: "x"), 0xc0, 21]
    + [0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 6, 2, UInt8(ascii: "a"), UInt8(ascii: "b"), 2, UInt8(ascii: "c"), UInt8(ascii: "d")]
    + [1, UInt8(ascii: "x"), 0xc0, 21, 0, 16, 0, 1, 0, 0, 1, 0, 0, 1, 0]

  private var mixed: DNSMessage {
    var message = DNSMessage()
    message.id = 7
    message.isResponse = true
    message.questions = [.init(name("_p2p._udp.local"), .ptr, wantsUnicast: true)]
    message.answers = [.init(name("_p2p._udp.local"), .pointer(name("abc._p2p._udp.local")), lifetimeSeconds: 120)]
    message.additionals = [
      .init(name("abc._p2p._udp.local"), .texts([Array("dnsaddr=/ip4/1.2.3.4/tcp/5".utf8), []]), lifetimeSeconds: 120, isUnique: true),
      .init(name("abc._p2p._udp.local"), .service(port: 4001, host: name("abc.local")), lifetimeSeconds: 120, isUnique: true),
      .init(name("abc.local"), .address(IPAddress(text: "192.0.2.1")!), lifetimeSeconds: 120),
      .init(name("abc.local"), .address(IPAddress(text: "2001:db8::1")!), lifetimeSeconds: 0),
    ]
    return message
  }

  @Test func readsCompressedNames() throws {
    let message = try DNSMessage(encoded: compressed.rawSpan)
    #expect(message.id == 0x1234 && message.isResponse && message.responseCode == 0)
    #expect(message.questions == [.init(name("_dnsaddr.example.org"), .txt)])
    #expect(message.answers.map(\.data) == [.alias(name("x.example.org")), .texts([Array("ab".utf8), Array("cd".utf8)]), .texts([[]])])
    #expect(message.answers[2].name == name("x.example.ORG.") && message.answers[2].lifetimeSeconds == 256)
  }

  /// Only what is named as asked for counts, or what its alias leads to.
  @Test func recordsOfOtherNamesAreNoAnswer() throws {
    var message = DNSMessage()
    message.answers = [
      .init(name("other.test"), .texts([[1]]), lifetimeSeconds: 1), .init(name("a.test"), .alias(name("B.test")), lifetimeSeconds: 1),
      .init(name("b.TEST"), .alias(name("c.test")), lifetimeSeconds: 1), .init(name("c.test"), .texts([[2]]), lifetimeSeconds: 1),
      .init(name("c.test"), .address(IPAddress(text: "192.0.2.1")!), lifetimeSeconds: 1),
      .init(name("loop.test"), .alias(name("loop.test")), lifetimeSeconds: 1),
    ]
    message = try DNSMessage(encoded: message.encoded.rawSpan)
    #expect(message.answers(to: name("a.test"), .txt) == [.texts([[2]])])
    #expect(message.answers(to: name("c.test"), .txt) == [.texts([[2]])] && message.answers(to: name("a.test"), .a).count == 1)
    for other in ["none.test", "loop.test", "test"] { #expect(message.answers(to: name(other), .txt).isEmpty, "\(other)") }
  }

  @Test func roundTrip() throws {
    #expect(try DNSMessage(encoded: mixed.encoded.rawSpan) == mixed)
    #expect(mixed.questions[0].asks(for: .ptr) && !mixed.questions[0].asks(for: .txt))
  }

  /// Cut anywhere, a message is refused, never read as something else.
  @Test func everyCut() {
    for bytes in [compressed, mixed.encoded] {
      for count in 0..<bytes.count {
        #expect(throws: DNSError.self, "cut at \(count)") { try DNSMessage(encoded: Array(bytes[..<count]).rawSpan) }
      }
    }
  }

  @Test(
    arguments: [
      // A pointer to itself, a pointer forwards, two pointers in a circle, a label over its pointer, and reserved label kinds.
      ([0xc0, 12], DNSError.badName), ([0xc0, 14, 0], .badName), ([1, 0x61, 0xc0, 12, 0], .truncated), ([0x40, 0], .badName),
      ([0x80, 0], .badName), ([5, 0x61, 0xc0, 12], .truncated),
    ] as [([UInt8], DNSError)])
  func badNames(tail: [UInt8], error: DNSError) {
    let head: [UInt8] = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    #expect(throws: error) { try DNSMessage(encoded: (head + tail).rawSpan) }
  }

  @Test func bounds() {
    let long = String(repeating: "a", count: 63)
    #expect(DNSName([long, long, long, String(repeating: "b", count: 61)].joined(separator: ".")) != nil)
    #expect(DNSName([long, long, long, String(repeating: "b", count: 62)].joined(separator: ".")) == nil)
    #expect(DNSName(long + "a.org") == nil && DNSName("a..b") == nil && DNSName("") == nil && DNSName("a b") == nil && DNSName("ä") == nil)
    #expect(name("A.b.").description == "a.b" && name("x.a.b").isWithin(name("a.b")) && !name("b").isWithin(name("a.b")))
    #expect(DNSName(labels: [[0x2e, 0x07]])?.description == "\\046\\007")
    // 255 bytes through pointers: each of two names is short, together they are too long.
    var bytes: [UInt8] = [0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0]
    for _ in 0..<3 { bytes += [63] + Array(long.utf8) }
    bytes += [0, 0, 16, 0, 1]
    #expect(throws: DNSError.badName) {
      try DNSMessage(encoded: (bytes + [63] + Array(long.utf8) + [0xc0, 12, 0, 16, 0, 1]).rawSpan)
    }
    let head: [UInt8] = [0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0]
    #expect(throws: DNSError.tooMany) { try DNSMessage(encoded: head.rawSpan) }
  }

  @Test(
    arguments: [
      (1, [1, 2, 3]), (28, [1, 2, 3, 4]), (12, [0, 9]), (33, [0, 0, 0, 0, 0, 1]), (16, [3, 1]), (33, [0, 0, 0, 0, 0, 1, 0, 0]),
    ] as [(UInt8, [UInt8])])
  func badRecords(kind: UInt8, data: [UInt8]) {
    let bytes: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, kind, 0, 1, 0, 0, 0, 9, 0, UInt8(data.count)] + data
    #expect(throws: DNSError.badRecord) { try DNSMessage(encoded: bytes.rawSpan) }
  }

  /// Noise and damaged messages never trap, and what is read can be written.
  @Test func noise() {
    var generator = SeededGenerator(seed: 11)
    for round in 0..<20_000 {
      var bytes = round % 2 == 0 ? generator.bytes(generator.index(below: 80)) : (round % 4 == 1 ? compressed : mixed.encoded)
      if round % 2 == 1 {
        for _ in 0...generator.index(below: 3) { bytes[generator.index(below: bytes.count)] = UInt8(truncatingIfNeeded: generator.next()) }
      }
      guard let message = try? DNSMessage(encoded: bytes.rawSpan) else { continue }
      _ = message.encoded
    }
  }
}
