import Identity
import Testing

/// What can be dialled and listened on, and why not; and the one form of an address.
@Suite struct EndpointTests {
  private static let peer = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"
  private static let relay = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
  private static let other = try! PeerID(text: relay)

  @Test(arguments: [
    ("/ip4/1.2.3.4/tcp/80", Endpoint.Host.ip(IPAddress("1.2.3.4")!), 80), ("/ip6/2600::1/tcp/9", .ip(IPAddress("2600::1")!), 9),
    ("/ip6/::ffff:1.2.3.4/tcp/80", .ip(IPAddress("1.2.3.4")!), 80), ("/dns/a.b/tcp/1", .name("a.b", .any), 1),
    ("/dns4/a/tcp/1", .name("a", .v4), 1), ("/dns6/a/tcp/65535", .name("a", .v6), 65535),
  ])
  func whatCanBeDialled(text: String, host: Endpoint.Host, port: Int) throws {
    for name in [nil, Self.other] {
      let address = try name.map { try Multiaddr(text).withPeerID($0) } ?? Multiaddr(text)
      let endpoint = try address.dialable()
      #expect(endpoint.host == host && endpoint.port == UInt16(port) && endpoint.peer == name && endpoint.carrier == .tcp)
      #expect(address.isDialable)
    }
  }

  @Test(arguments: [
    ("/ip4/1.2.3.4/tcp/80/ws", AddressFault.behindPort(.ws)), ("/ip4/1.2.3.4/tcp/80/wss", .behindPort(.wss)),
    ("/ip4/1.2.3.4/tcp/80/tls/ws", .behindPort(.tls)), ("/ip4/1.2.3.4/tcp/80/tls/sni/a.b/ws", .behindPort(.tls)),
    ("/ip4/1.2.3.4/tcp/80/http", .behindPort(.http)), ("/ip4/1.2.3.4/tcp/80/udp/5", .behindPort(.udp)),
    ("/ip4/1.2.3.4/tcp/80/tcp/1", .behindPort(.tcp)), ("/ip4/1.2.3.4/tcp/80/noise", .behindPort(.noise)),
    ("/ip4/1.2.3.4/tcp/80/p2p/\(other)/p2p/\(other)", .behindPort(.p2p)), ("/ip4/1.2.3.4/tcp/80/p2p/\(other)/ws", .behindPort(.ws)),
    ("/ip4/1.2.3.4/tcp/80/ip4/1.2.3.4", .behindPort(.ip4)), ("/dns/a/tcp/80/ws", .behindPort(.ws)),
    ("/ip4/1.2.3.4/tcp/80/p2p-circuit", .relayed), ("/ip4/1.2.3.4/tcp/1/p2p/\(other)/p2p-circuit/p2p/\(other)", .relayed),
    ("/p2p/\(other)/p2p-circuit", .relayed), ("/ip4/1.2.3.4/udp/1/quic-v1/p2p/\(other)/p2p-circuit", .relayed),
    ("/ip4/1.2.3.4/udp/5", .notTCP(.udp)), ("/ip4/1.2.3.4/udp/5/quic-v1", .notTCP(.quicV1)), ("/ip4/1.2.3.4", .notTCP(nil)),
    ("/ip4/10.0.0.0/ipcidr/8", .notTCP(.ipcidr)), ("/ip4/1.2.3.4/p2p/\(other)", .notTCP(.p2p)),
    ("/ip6zone/eth0/ip6/fe80::1/tcp/80", .zone), ("/dnsaddr/a.b", .unresolved), ("/dnsaddr/a.b/p2p/\(other)", .unresolved),
    ("/tcp/80", .noHost), ("/unix/run/x", .noHost), ("/p2p/\(other)", .noHost), ("/ws", .noHost), ("/ip4/1.2.3.4/tcp/0", .portZero),
    ("/ip4/0.0.0.0/tcp/1", .unspecified), ("/ip6/::/tcp/1", .unspecified), ("/ip6/::ffff:0.0.0.0/tcp/1", .unspecified),
    ("/ip4/224.0.0.251/tcp/1", .multicast), ("/ip6/ff02::1/tcp/1", .multicast),
  ])
  func whatCannotBeDialledSaysWhy(text: String, fault: AddressFault) throws {
    let wanted = text.contains("/udp/5/quic") ? AddressFault.notTCP(.udp) : fault
    #expect(throws: wanted) { try Multiaddr(text).dialable() }
    #expect(try !Multiaddr(text).isDialable && !wanted.description.isEmpty)
    #expect(throws: IdentityError.self) { try PeerAddress(dialling: text) }
  }

  @Test(arguments: [
    ("/ip4/0.0.0.0/tcp/0", nil), ("/ip6/::/tcp/9000", nil), ("/ip6/::1/tcp/0", nil), ("/ip4/127.0.0.1/tcp/1/p2p/\(peer)", nil),
    ("/ip4/127.0.0.1/tcp/1/p2p/\(relay)", AddressFault.anotherPeer(try! PeerID(text: relay))),
    ("/ip4/127.0.0.1/tcp/1/ws", .behindPort(.ws)), ("/ip4/127.0.0.1/tcp/1/tcp/2", .behindPort(.tcp)),
    ("/ip4/127.0.0.1/udp/1/quic-v1", .notTCP(.udp)), ("/dns/localhost/tcp/1", .name), ("/ip4/224.0.0.1/tcp/1", .multicast),
    ("/ip6zone/lo/ip6/fe80::1/tcp/1", .zone), ("/unix/run/x", .noHost), ("/ip4/127.0.0.1/tcp/1/p2p-circuit", .relayed),
  ])
  func whatCanBeListenedOn(text: String, fault: AddressFault?) throws {
    let own = try PeerID(text: Self.peer)
    let address = try Multiaddr(text)
    if let fault {
      #expect(throws: fault) { try address.listenable(by: own) }
    } else {
      #expect(try address.listenable(by: own).port == address.tcpPort)
    }
    // Before the key is read, any peer will do.
    if case .anotherPeer? = fault { #expect(try address.listenable().peer != nil) }
  }

  @Test(arguments: [
    ("10.0.0.1:4001", "/ip4/10.0.0.1/tcp/4001", nil), ("[::ffff:10.0.0.1]:4001", "/ip4/10.0.0.1/tcp/4001", nil),
    ("seed.example:9", "/dns/seed.example/tcp/9", nil), ("/ip4/10.0.0.2/tcp/1/p2p/\(peer)", "/ip4/10.0.0.2/tcp/1", peer),
  ])
  func peersAsOperatorsWriteThem(text: String, address: String, name: String?) throws {
    let item = try PeerAddress(dialling: text)
    #expect(item.address.description == address && item.peer?.description == name)
  }

  // MARK: One form

  @Test(arguments: [
    ("/ip6/::ffff:127.0.0.7/tcp/80", "/ip4/127.0.0.7/tcp/80"), ("/ip6/::ffff:7f00:7/udp/5/quic-v1", "/ip4/127.0.0.7/udp/5/quic-v1"),
    ("/ip6/::ffff:10.0.0.0/ipcidr/104", "/ip4/10.0.0.0/ipcidr/8"), ("/ip6/::fffe:1.2.3.4/tcp/1", "/ip6/::fffe:102:304/tcp/1"),
    ("/ip4/1.2.3.4/tcp/1/ip6/::ffff:1.2.3.4", "/ip4/1.2.3.4/tcp/1/ip4/1.2.3.4"),
  ])
  func anIPv4AddressInIPv6FormIsTheIPv4Address(text: String, canonical: String) throws {
    let address = try Multiaddr(text)
    #expect(address.description == canonical)
    let plain = try Multiaddr(canonical)
    #expect(address == plain && address.bytes == plain.bytes)
  }

  @Test func theSameFromBytes() throws {
    let mapped: [UInt8] = [41] + [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 127, 0, 0, 7]
    #expect(try Multiaddr(bytes: mapped + [6, 0, 80]) == Multiaddr("/ip4/127.0.0.7/tcp/80"))
    #expect(try Multiaddr(bytes: mapped + [6, 0, 80]).plainTCP?.ip == IPAddress("127.0.0.7"))
    #expect(IPAddress(bytes: Array(mapped.dropFirst())) == IPAddress("127.0.0.7"))
    #expect(IPAddress.v6(high: 0, low: 0xffff_7f00_0007) == .v4(0x7f00_0007))
    // A block that is wider than all of IPv4 stands for nothing in either family.
    #expect(throws: IdentityError.self) { try Multiaddr(bytes: mapped + [43, 95]) }
    #expect(throws: IdentityError.self) { try Multiaddr("/ip4/::ffff:1.2.3.4/tcp/1") }
    #expect(throws: IdentityError.self) { try Multiaddr("/ip6/1.2.3.4/tcp/1") }
    #expect(throws: IdentityError.self) { try Multiaddr(hostPort: "::ffff:1.2.3.4:80") }
    #expect(IPNetwork(bytes: Array(mapped.dropFirst()), prefixLength: 128) == IPNetwork("127.0.0.7"))
    #expect(
      IPNetwork(bytes: Array(mapped.dropFirst()), prefixLength: 95) == nil && IPNetwork(bytes: [1, 2, 3, 4], prefixLength: 33) == nil)
  }
}
