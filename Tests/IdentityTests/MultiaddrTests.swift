import Identity
import Testing
import Wire

private let peer = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"
private let relay = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"

@Suite struct MultiaddrTests {
  @Test func theSharedVectors() throws {
    let vectors = try SharedVectors.load().multiaddr
    #expect(vectors.count == 6)
    for (text, bytes) in vectors {
      let address = try Multiaddr(text)
      #expect(Base16.encode(address.bytes) == bytes)
      #expect(address.description == text)
      #expect(try Multiaddr(bytes: hex(bytes)) == address)
    }
  }

  static let certhash = "uEiAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHw"

  /// Every protocol, with its bytes.
  @Test(arguments: [
    ("/ip4/1.2.3.4", "0401020304"), ("/tcp/65535", "06ffff"), ("/ip6/2001:db8::1", "2920010db8000000000000000000000001"),
    ("/ip6zone/eth0/ip6/fe80::1", "2a0465746830" + "29fe800000000000000000000000000001"), ("/ip4/10.0.0.0/ipcidr/8", "040a0000002b08"),
    ("/dns/a.b", "3503612e62"), ("/dns4/a", "360161"), ("/dns6/a", "370161"), ("/dnsaddr/a", "380161"), ("/udp/0", "91020000"),
    ("/webrtc-direct", "9802"), ("/webrtc", "9902"), ("/p2p-circuit", "a202"),
    ("/unix/run/node.sock", "90030e2f72756e2f6e6f64652e736f636b"),
    ("/tls", "c003"), ("/sni/a", "c1030161"), ("/noise", "c603"), ("/quic", "cc03"), ("/quic-v1", "cd03"), ("/webtransport", "d103"),
    ("/ws", "dd03"), ("/wss", "de03"), ("/http", "e003"),
    ("/certhash/\(certhash)", "d203221220000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
    ("/p2p/\(peer)", "a503260024080112208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c"),
  ])
  func everyProtocolBothWays(text: String, bytes: String) throws {
    let address = try Multiaddr(text)
    #expect(Base16.encode(address.bytes) == bytes)
    #expect(try Multiaddr(bytes: hex(bytes)).description == text)
    #expect(try Multiaddr(components: address.components) == address)
    // Cut anywhere, it is refused, unless the cut falls between two components.
    for cut in 1..<address.bytes.count {
      if let front = try? Multiaddr(bytes: Array(address.bytes[..<cut])) { #expect(text.hasPrefix(front.description)) }
    }
  }

  @Test func everyCodeHasATest() {
    #expect(Multiaddr.Code.allCases.count == 25)
    #expect(Set(Multiaddr.Code.allCases.map(\.name)).count == 25)
  }

  @Test(arguments: [
    ("/ip4/1.2.3.4/tcp/80/", "/ip4/1.2.3.4/tcp/80"), ("/ipfs/\(peer)", "/p2p/\(peer)"), ("/ip6/2001:DB8:0::1", "/ip6/2001:db8::1"),
    ("/tcp/080", "/tcp/80"), ("/p2p/bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe", "/p2p/\(relay)"),
  ])
  func otherSpellingsAreRead(text: String, canonical: String) throws { #expect(try Multiaddr(text).description == canonical) }

  @Test(arguments: [
    "", "/", "//", "ip4/1.2.3.4", "/ip4", "/ip4/", "/ip4/1.2.3", "/ip4/::1", "/ip6/1.2.3.4", "/tcp", "/tcp/65536", "/tcp/-1", "/tcp/+1",
    "/tcp/a",
    "/udp/123456", "/nothing", "/nothing/1", "/ip4/1.2.3.4//tcp/80", "/dns/", "/dns//tcp/1", "/dns/a b", "/dns/é", "/p2p", "/p2p/x",
    "/p2p/12D3KooW", "/unix", "/unix/", "/ipcidr/129", "/certhash/x", "/certhash/uAAA", "/ip6zone/", "/TCP/80", "/tcp /80",
    "/dns/" + String(repeating: "a", count: 254), "/" + String(repeating: "ws/", count: 1400),
  ])
  func otherTextIsRefused(text: String) { #expect(throws: IdentityError.self) { try Multiaddr(text) } }

  @Test(arguments: [
    "", "00", "04", "04010203", "06ff", "2b81", "3500", "35032f6161", "3505", "a50300", "a503020001", "8400", "d2030100", "9003012f",
    "900300",
    "9003022f00", "90030361622f", "ff", "ffffffffffffffffffff01", "35ffffffffffffffffff01", "a503808000", "350120", "35017f", "3501c3",
  ])
  func otherBytesAreRefused(text: String) { #expect(throws: IdentityError.self) { try Multiaddr(bytes: hex(text)) } }

  @Test func errorsSayWhatIsWrong() {
    func message(_ text: String) -> String {
      do { return try Multiaddr(text).description } catch { return "\(error)" }
    }
    #expect(message("/ip4/1.2.3.4/tpc/80") == "bad multiaddr: “tpc” in /ip4/1.2.3.4/tpc/80 is not a known protocol")
    #expect(message("/ip4/1.2.3.4/tcp/99999").contains("99999"))
    #expect(message("/ip4/300.2.3.4") == "bad multiaddr: “300.2.3.4” is not an address for /ip4")
    #expect(message("/ip4/1.2.3.4/tcp") == "bad multiaddr: /tcp at the end of /ip4/1.2.3.4/tcp lacks its value")
  }

  @Test func lengthIsBoundedWithRoomForAPeerID() throws {
    let full = try Multiaddr(components: Array(repeating: .plain(.ws), count: 512))
    #expect(full.bytes.count == Multiaddr.maximumBytes)
    #expect(throws: IdentityError.self) { try Multiaddr(components: Array(repeating: .plain(.ws), count: 513)) }
    let named = full.withPeerID(try PeerID(text: peer))
    #expect(try Multiaddr(bytes: named.bytes) == named)
    #expect(try Multiaddr(named.description) == named)
    #expect(named.withoutPeerID == full)
    #expect(throws: IdentityError.self) { try full.encapsulating(full) }
    #expect(throws: IdentityError.self) { try Multiaddr(components: []) }
    #expect(throws: IdentityError.self) { try Multiaddr(components: [.dns("a/b")]) }
  }
}

@Suite struct MultiaddrPartsTests {
  struct Parts: Sendable {
    var host: String?
    var tcp: UInt16?
    var udp: UInt16?
    var peer: String?
    var relayed = false
  }

  @Test(arguments: [
    ("/ip4/1.2.3.4/tcp/80", Parts(host: "1.2.3.4", tcp: 80)),
    ("/ip4/1.2.3.4/tcp/80/p2p/\(peer)", Parts(host: "1.2.3.4", tcp: 80, peer: peer)),
    ("/ip6zone/eth0/ip6/fe80::1/tcp/80", Parts(host: "fe80::1", tcp: 80)),
    ("/dns/a.b/tcp/1", Parts(host: "a.b", tcp: 1)),
    ("/dns4/a/tcp/1/p2p/\(peer)", Parts(host: "a", tcp: 1, peer: peer)),
    ("/dns6/a/udp/1/quic-v1", Parts(host: "a", udp: 1)), ("/ip4/1.2.3.4/tcp/80/ws", Parts(host: "1.2.3.4", tcp: 80)),
    ("/ip4/1.2.3.4/tcp/0", Parts(host: "1.2.3.4", tcp: 0)), ("/ip4/1.2.3.4", Parts(host: "1.2.3.4")), ("/tcp/80", Parts()),
    ("/dnsaddr/a/p2p/\(peer)", Parts(peer: peer)), ("/p2p/\(peer)", Parts(peer: peer)),
    ("/ip4/1.2.3.4/tcp/1/p2p/\(relay)/p2p-circuit", Parts(host: "1.2.3.4", tcp: 1, relayed: true)),
    ("/ip4/1.2.3.4/tcp/1/p2p/\(relay)/p2p-circuit/p2p/\(peer)", Parts(host: "1.2.3.4", tcp: 1, peer: peer, relayed: true)),
    ("/unix/run/x", Parts()), ("/ip4/10.0.0.0/ipcidr/8", Parts(host: "10.0.0.0")),
  ])
  func parts(text: String, parts: Parts) throws {
    let address = try Multiaddr(text)
    #expect(address.host == parts.host)
    #expect(address.tcpPort == parts.tcp)
    #expect(address.udpPort == parts.udp)
    #expect(address.peerID?.description == parts.peer)
    #expect(address.isRelayed == parts.relayed)
  }

  @Test func namesAndAddressesAreToldApart() throws {
    #expect(try Multiaddr("/dns4/a/tcp/1").dnsName == "a")
    #expect(try Multiaddr("/dns4/a/tcp/1").ipAddress == nil)
    #expect(try Multiaddr("/ip4/1.2.3.4/tcp/1").ipAddress == IPAddress("1.2.3.4"))
    #expect(try Multiaddr("/ip4/1.2.3.4/tcp/1").dnsName == nil)
    #expect(try Multiaddr("/dnsaddr/a.b").dnsaddrDomain == "a.b")
    #expect(try Multiaddr("/dns/a.b").dnsaddrDomain == nil)
    #expect(try Multiaddr("/dnsaddr/a.b/p2p/\(peer)").dnsaddrDomain == "a.b")
    #expect(try Multiaddr("/dnsaddr/a.b/tcp/1").dnsaddrDomain == nil)
  }

  @Test func peerIDsArePutOnAndTakenOff() throws {
    let plain = Multiaddr(ip: .loopback, port: 4001)
    let id = try PeerID(text: peer)
    let other = try PeerID(text: relay)
    #expect(plain.description == "/ip4/127.0.0.1/tcp/4001")
    #expect(plain.withPeerID(id).description == "/ip4/127.0.0.1/tcp/4001/p2p/\(peer)")
    #expect(plain.withPeerID(id).withPeerID(id) == plain.withPeerID(id))
    #expect(plain.withPeerID(id).withPeerID(other) == plain.withPeerID(other))
    #expect(plain.withPeerID(other).withoutPeerID == plain)
    #expect(plain.withoutPeerID == plain)
    let bare = try Multiaddr("/p2p/\(peer)")
    #expect(bare.withoutPeerID == bare)
    #expect(bare.withPeerID(other).description == "/p2p/\(relay)")
    let circuit = try plain.withPeerID(other).encapsulating(Multiaddr("/p2p-circuit/p2p/\(peer)"))
    #expect(circuit.description == "/ip4/127.0.0.1/tcp/4001/p2p/\(relay)/p2p-circuit/p2p/\(peer)")
  }

  @Test(arguments: [
    ("10.0.0.1:4001", "/ip4/10.0.0.1/tcp/4001"), ("[::1]:80", "/ip6/::1/tcp/80"), ("[2001:DB8::1]:1", "/ip6/2001:db8::1/tcp/1"),
    ("localhost:0", "/dns/localhost/tcp/0"), ("a.example.com:65535", "/dns/a.example.com/tcp/65535"), ("node-1:5", "/dns/node-1/tcp/5"),
    ("example.com.:80", "/dns/example.com./tcp/80"),
  ])
  func hostAndPort(text: String, canonical: String) throws { #expect(try Multiaddr(hostPort: text).description == canonical) }

  @Test(arguments: [
    "", ":", ":80", "host", "host:", "host:65536", "host:-1", "1.2.3:80", "1.2.3.256:80", "::1:80", "[::1]", "[::1]80", "[1.2.3.4]:80",
    "[]:80",
    "a b:80", "a/b:80", "http://host:80", "[::1:80", "12345:80", "..:80",
  ])
  func otherHostsAndPortsAreRefused(text: String) { #expect(throws: IdentityError.self) { try Multiaddr(hostPort: text) } }

  @Test func fuzz() throws {
    let seed: UInt64 = 0x3a
    var generator = SeededGenerator(seed: seed)
    let texts = [
      "/ip4/1.2.3.4/tcp/1/p2p/\(relay)/p2p-circuit/p2p/\(peer)",
      "/ip6zone/eth0/ip6/fe80::1/udp/4001/quic-v1/webtransport/certhash/\(MultiaddrTests.certhash)",
      "/dns4/example.com/tcp/443/tls/sni/a.b/ws", "/unix/run/node.sock", "/ip4/10.0.0.0/ipcidr/8",
    ]
    let id = try PeerID(text: peer)
    let forms = try texts.map { try Multiaddr($0).bytes }
    var accepted = 0
    func check(_ address: Multiaddr, _ round: Int) throws {
      accepted += 1
      let comment = Comment("seed \(seed), round \(round), \(address)")
      #expect(try Multiaddr(bytes: address.bytes) == address, comment)
      #expect(try Multiaddr(address.description) == address, comment)
      #expect(try Multiaddr(components: address.components) == address, comment)
      let named = address.withPeerID(id)
      #expect(named.peerID == id, comment)
      #expect(try Multiaddr(bytes: named.bytes) == named, comment)
      _ = (
        address.isDialable, try? address.listenable(), address.host, address.tcpPort, address.udpPort, address.withoutPeerID,
        address.isRelayed
      )
    }
    for round in 0..<20_000 {
      let bytes = round % 4 == 0 ? generator.bytes(generator.index(below: 60)) : mutated(forms[round % 5], &generator)
      if let address = try? Multiaddr(bytes: bytes) {
        #expect(address.bytes == bytes)
        if round % 4 == 1 { try check(address, round) }
      }
      let text = String(decoding: mutated(Array(texts[round % 5].utf8), &generator), as: UTF8.self)
      if let address = try? Multiaddr(text), round % 4 == 2 { try check(address, round) }
      _ = try? Multiaddr(hostPort: text)
    }
    #expect(accepted > 500)
  }
}
