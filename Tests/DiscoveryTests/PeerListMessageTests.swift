import Identity
import Testing
import Wire

@testable import Discovery

func peer(_ number: UInt64) -> PeerID {
  var bytes: [UInt8] = [0, 8]
  bytes.appendBigEndian(number)
  return try! PeerID(bytes: bytes)
}
func address(_ text: String) -> Multiaddr { try! Multiaddr(text) }
func at(_ seconds: Double) -> Instant { Instant(nanoseconds: Int64(seconds * 1e9)) }
/// A public address of its own netgroup for each number below 12,000.
func item(_ number: UInt64, port: Int = 4001) -> PeerAddress {
  PeerAddress(peer: peer(number), address: address("/ip4/\(20 + number % 60).\(number / 60 % 200).\(number / 12_000 % 200).1/tcp/\(port)"))
}

@Suite struct PeerListMessageTests {
  @Test func requestVectors() throws {
    #expect(PeerListMessage.request(maximum: 250) == [0x08, 0xfa, 0x01])
    #expect(PeerListMessage.request(maximum: 9_999) == [0x08, 0xfa, 0x01])
    for (bytes, wanted) in [
      ([], 250), ([0x08, 0x05], 5), ([0x08, 0xff, 0xff, 0x03], 250), ([0x10, 0x01, 0x08, 0x07], 7), ([0x0a, 0x01, 0x00], 250),
    ]
      as [([UInt8], Int)]
    {
      #expect(try PeerListMessage.decodeRequest(bytes.rawSpan) == wanted)
    }
    for bytes in [[0x08], [0x08, 0x80], [0x0a, 0x02, 0x00], [UInt8](repeating: 0x10, count: 65)] as [[UInt8]] {
      #expect(throws: ProtobufError.self) { try PeerListMessage.decodeRequest(bytes.rawSpan) }
    }
  }

  @Test func responseVector() throws {
    let bytes = PeerListMessage.response([PeerAddress(peer: peer(1), address: address("/ip4/1.2.3.4/tcp/5"))])
    #expect(bytes == [0x0a, 22, 0x0a, 10, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0x12, 8, 4, 1, 2, 3, 4, 6, 0, 5])
    #expect(
      try PeerListMessage.decodeResponse(bytes.rawSpan).addresses == [PeerAddress(peer: peer(1), address: address("/ip4/1.2.3.4/tcp/5"))])
  }

  @Test func responseRoundTripsGrouped() throws {
    let list = [item(1), item(2), item(1, port: 9), PeerAddress(peer: nil, address: item(3).address)]
    #expect(try PeerListMessage.decodeResponse(PeerListMessage.response(list).rawSpan).addresses == [item(1), item(1, port: 9), item(2)])
    #expect(try PeerListMessage.decodeResponse([UInt8]().rawSpan).addresses.isEmpty)
  }

  @Test func limits() throws {
    let many = (0..<400).map { item(UInt64($0)) }
    let bytes = PeerListMessage.response(many)
    #expect(try PeerListMessage.decodeResponse(bytes.rawSpan).addresses.count == 250)
    #expect(throws: PeerListMessage.ResponseError.tooMany) {
      try PeerListMessage.decodeResponse((bytes + PeerListMessage.response([item(1)])).rawSpan)
    }
    let empty: [UInt8] = (0..<251).flatMap { _ in [0x0a, 0x00] as [UInt8] }
    #expect(throws: PeerListMessage.ResponseError.tooMany) { try PeerListMessage.decodeResponse(empty.rawSpan) }
    #expect(throws: PeerListMessage.ResponseError.malformed(.badField(0))) {
      try PeerListMessage.decodeResponse([UInt8](repeating: 0, count: 65_537).rawSpan)
    }
    #expect(throws: PeerListMessage.ResponseError.badPeer) { try PeerListMessage.decodeResponse([0x0a, 0x00].rawSpan) }
    #expect(throws: PeerListMessage.ResponseError.badPeer) { try PeerListMessage.decodeResponse([0x0a, 0x03, 0x0a, 0x01, 0x09].rawSpan) }
    let future: [UInt8] = [0x0a, 16, 0x0a, 10, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0x12, 2, 0xff, 0x7e]
    let decoded = try PeerListMessage.decodeResponse(future.rawSpan)
    #expect(decoded.addresses.isEmpty && decoded.unreadable == 1)
  }

  @Test func cutsAndNoiseNeverTrap() {
    let bytes = PeerListMessage.response([item(1), item(2), item(3)])
    let whole: Set<Int> = [0, bytes.count / 3, bytes.count / 3 * 2]
    for length in 0..<bytes.count where !whole.contains(length) {
      #expect(throws: PeerListMessage.ResponseError.self, "cut at \(length)") {
        try PeerListMessage.decodeResponse(Array(bytes.prefix(length)).rawSpan)
      }
    }
    let seed: UInt64 = 4
    print("peer list fuzz seed \(seed)")
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<20_000 {
      var mutated = bytes
      for _ in 0...generator.index(below: 5) {
        mutated[generator.index(below: mutated.count)] = UInt8(truncatingIfNeeded: generator.next())
      }
      _ = try? PeerListMessage.decodeResponse(mutated.rawSpan)
      _ = try? PeerListMessage.decodeRequest(generator.bytes(generator.index(below: 70)).rawSpan)
    }
  }
}
