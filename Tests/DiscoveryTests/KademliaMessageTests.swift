import Identity
import TestKit
import Testing
import Wire

@testable import Discovery

@Suite(.ownThread) struct KademliaMessageTests {
  /// As py-libp2p's protobuf library writes them.
  @Test func vectors() throws {
    let find = try #require(Base16.decode("080412040002070942110a030001051208040102030406000518014a050a03000106"))
    let expected = try KademliaMessage(
      .findNode, key: [0, 2, 7, 9],
      closerPeers: [.init(id: PeerID(bytes: [0, 1, 5]), addresses: [address("/ip4/1.2.3.4/tcp/5")], connectedness: .connected)],
      providers: [.init(id: PeerID(bytes: [0, 1, 6]), addresses: [])])
    #expect(try KademliaMessage(encoded: find.rawSpan) == expected)
    #expect(expected.encoded == find)
  }

  @Test func unknownFieldsArePassedOver() throws {
    let put = try #require(
      Base16.decode("12042f762f611a250a042f762f611201621a01712201732a14323032342d30312d30315430303a30303a30305a5a027879"))
    let message = try KademliaMessage(encoded: put.rawSpan)
    let key = Array("/v/a".utf8)
    #expect(message == KademliaMessage(.putValue, key: key, record: .init(key: key, value: [0x62], timeReceived: "2024-01-01T00:00:00Z")))
  }

  @Test func absentTypeIsPutValue() throws {
    // proto3 writers leave out a zero.
    #expect(try KademliaMessage(encoded: ([0x12, 0x01, 0x41] as [UInt8]).rawSpan) == KademliaMessage(.putValue, key: [0x41]))
  }

  @Test func roundTrip() throws {
    var generator = SeededGenerator(seed: 11)
    for _ in 0..<300 {
      func somePeer() -> KademliaMessage.Peer {
        let addresses = (0..<generator.index(below: 4)).map { _ in item(generator.next() % 200, port: 1 + generator.index(below: 9)).address
        }
        return .init(
          id: peer(generator.next()), addresses: addresses,
          connectedness: KademliaMessage.Connectedness(rawValue: generator.next() % 4) ?? .connected)
      }
      var message = KademliaMessage(
        KademliaMessage.Kind.allCases[generator.index(below: 6)], key: generator.bytes(generator.index(below: 40)))
      if generator.index(below: 2) == 0 { message.record = .init(key: message.key, value: generator.bytes(generator.index(below: 99))) }
      message.closerPeers = (0..<generator.index(below: 22)).map { _ in somePeer() }
      message.providers = (0..<generator.index(below: 5)).map { _ in somePeer() }
      let bytes = message.encoded
      #expect(try KademliaMessage(encoded: bytes.rawSpan) == message)
      // Cut or changed bytes give an error or a message, never a trap.
      _ = try? KademliaMessage(encoded: Array(bytes.prefix(generator.index(below: bytes.count))).rawSpan)
      var changed = bytes
      changed[generator.index(below: bytes.count)] = UInt8(truncatingIfNeeded: generator.next())
      _ = try? KademliaMessage(encoded: changed.rawSpan)
    }
  }

  @Test func limits() throws {
    let many = (0..<2_000).map { KademliaMessage.Peer(id: peer($0), addresses: []) }
    var writer = ProtobufWriter()
    for peer in many { for field in [8, 9] { writer.message(field) { $0.data(1, peer.id.bytes) } } }
    let read = try KademliaMessage(encoded: writer.bytes.rawSpan)
    #expect(read.closerPeers == Array(many.prefix(40)) && read.providers == Array(many.prefix(256)))
    let wide = KademliaMessage.Peer(id: peer(1), addresses: (1...40).map { item(1, port: $0).address })
    let narrow = try KademliaMessage(encoded: KademliaMessage(.findNode, closerPeers: [wide]).encoded.rawSpan)
    #expect(narrow.closerPeers[0].addresses == Array(wide.addresses.prefix(16)))
    #expect(throws: ProtobufError.badField(0)) { try KademliaMessage(encoded: [UInt8](repeating: 0, count: 1 << 20 | 1).rawSpan) }
    #expect(throws: ProtobufError.badField(1)) { try KademliaMessage(encoded: ([0x08, 0x09] as [UInt8]).rawSpan) }
  }

  /// An address of nearly 1 KiB, as a stranger may tell it of itself.
  static func longAddress(_ number: Int) -> Multiaddr {
    let name = String(repeating: "a", count: 240) + "\(1_000 + number)"
    return try! Multiaddr("/dns4/\(name)/dns4/\(name)/dns4/\(name)/dns4/\(name)/tcp/1")
  }

  /// Whatever is put into a message, it is not longer than others read, and others' addresses leave room for more peers.
  @Test func noMessageIsTooLong() throws {
    var generator = SeededGenerator(seed: 17)
    for round in 0..<60 {
      func somePeer(_ number: UInt64) -> KademliaMessage.Peer {
        let addresses = (0..<generator.index(below: 70)).map { place -> Multiaddr in
          let ip = "/ip4/20.0.0.\(place)"
          return switch generator.index(below: 4) {
          case 0: Self.longAddress(place)
          case 1: address("/dns4/\(String(repeating: "b", count: 200))/tcp/1")
          case 2: address(ip + "/udp/1/quic-v1/webtransport/certhash/uEiD\(String(repeating: "A", count: 43))")
          default: address(ip + "/tcp/1")
          }
        }
        return .init(id: peer(number), addresses: addresses, connectedness: .connected)
      }
      let peers = (0..<UInt64(generator.index(below: 300))).map(somePeer)
      let value = generator.bytes(generator.index(below: 65_537))
      let record = round % 2 == 0 ? nil : KademliaMessage.Record(key: [1], value: value)
      let message = KademliaMessage(.getProviders, key: [1], record: record, closerPeers: Array(peers.prefix(21)), providers: peers)
      let bytes = message.encoded
      #expect(bytes.count <= KademliaMessage.peersBytesMaximum + (record == nil ? 32 : value.count + 32), "round \(round)")
      let read = try KademliaMessage(encoded: bytes.rawSpan)
      #expect(
        read.record?.value == record?.value && read.closerPeers.count >= min(peers.count, 14)
          && read.providers.count >= min(peers.count, 14))
      for told in read.closerPeers + read.providers {
        #expect(told.addresses.count <= 16 && told.addresses.reduce(0) { $0 + $1.bytes.count } <= 512)
      }
    }
  }

  /// Plain addresses are taken before long ones, in the order in which they were told; those that nobody can dial are not.
  @Test func whichAddressesAreTold() {
    let good = ["/ip4/20.0.0.1/tcp/1", "/dns4/a.example/tcp/1/ws", "/ip4/20.0.0.1/udp/1/quic-v1"].map(address)
    let relayed = address("/ip4/20.0.0.1/tcp/1/p2p/QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N/p2p-circuit")
    let junk = [
      "/unix/run/x", "/ip4/0.0.0.0/tcp/1", "/ip4/20.0.0.1/tcp/0", "/ip4/224.0.0.1/tcp/1", "/tcp/1", "/ip4/20.0.0.1",
      "/ip6zone/a/ip6/fe80::1/tcp/1",
      "/ip4/20.0.0.0/ipcidr/8",
    ].map(address)
    #expect(KademliaMessage.told((0..<20).map { Self.longAddress($0) } + junk + good + [relayed]) == good + [relayed])
    let many = (1...40).map { item(1, port: $0).address }
    #expect(KademliaMessage.told([relayed] + many) == Array(many.prefix(16)))
  }

  @Test func whatCannotBeReadOfAPeerIsPassedOver() throws {
    // A name that is none, an address of an unknown kind, and a name at an address's end.
    let good = KademliaMessage.Peer(id: peer(3), addresses: [address("/ip4/1.2.3.4/tcp/5")])
    var writer = ProtobufWriter()
    writer.message(8) { $0.data(1, [9, 9]) }
    writer.message(8) {
      $0.data(1, good.id.bytes)
      $0.data(2, [0xff, 0x7e])
      $0.data(2, good.addresses[0].withPeerID(good.id).bytes)
      $0.uint64(3, 77)
    }
    #expect(try KademliaMessage(encoded: writer.bytes.rawSpan).closerPeers == [good])
  }
}
