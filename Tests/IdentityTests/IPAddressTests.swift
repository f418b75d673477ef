import Identity
import Testing
import Wire

@Suite struct IPAddressTests {
  /// IPv6 texts from RFC 5952 sections 2 and 4, RFC 4291 section 2.2.
  @Test(arguments: [
    ("0.0.0.0", "0.0.0.0"), ("1.2.3.4", "1.2.3.4"), ("255.255.255.255", "255.255.255.255"), ("::", "::"), ("::1", "::1"), ("1::", "1::"),
    ("2001:db8::1", "2001:db8::1"), ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
    ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
    ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("2001:db8::0:1", "2001:db8::1"), ("2001:DB8::A", "2001:db8::a"),
    ("FF01:0:0:0:0:0:0:101", "ff01::101"), ("0:0:0:0:0:FFFF:129.144.52.38", "129.144.52.38"), ("::13.1.68.3", "::d01:4403"),
    ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
    ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
  ])
  func textBothWays(text: String, canonical: String) throws {
    let address = try #require(IPAddress(text))
    #expect(address.description == canonical)
    #expect(IPAddress(canonical) == address)
    #expect(IPAddress(bytes: address.bytes) == address)
  }

  @Test(arguments: [
    "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.-4", "1.2.3.+4", "1.2.3.", ".1.2.3", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4/8",
    ":",
    ":::", "1:", ":1", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "12345::", "g::",
    "::1%eth0",
    "[::1]", "::1.2.3", "1.2.3.4::", "::1.2.3.4:5", "+1::", "::-1", "1:2:3:4:5:6:7:1.2.3.4", "٣.1.1.1", "::٣",
  ])
  func otherTextIsRefused(text: String) { #expect(IPAddress(text) == nil) }

  @Test func otherByteCountsAreRefused() {
    for count in [0, 1, 3, 5, 15, 17] { #expect(IPAddress(bytes: [UInt8](repeating: 0, count: count)) == nil) }
  }

  /// l loopback, u unspecified, p private, k link-local, m multicast, r routable.
  @Test(arguments: [
    ("127.0.0.1", "l"), ("127.255.0.1", "l"), ("::1", "l"), ("::ffff:127.0.0.1", "l"), ("0.0.0.0", "u"), ("::", "u"),
    ("::ffff:0.0.0.0", "u"),
    ("10.1.2.3", "p"), ("172.16.0.1", "p"), ("172.31.255.255", "p"), ("192.168.0.1", "p"), ("100.64.0.1", "p"), ("100.127.255.255", "p"),
    ("fc00::1", "p"), ("fdff::1", "p"), ("::ffff:10.0.0.1", "p"), ("169.254.1.1", "k"), ("fe80::1", "k"), ("febf::1", "k"),
    ("224.0.0.1", "m"),
    ("ff02::1", "m"), ("8.8.8.8", "r"), ("172.32.0.1", "r"), ("172.15.0.1", "r"), ("100.128.0.1", "r"), ("192.169.0.1", "r"),
    ("2606:4700::1", "r"), ("::ffff:8.8.8.8", "r"), ("64:ff9b::808:808", "r"), ("0.1.2.3", ""), ("192.0.2.1", ""), ("198.18.0.1", ""),
    ("198.51.100.1", ""), ("203.0.113.1", ""), ("240.0.0.1", ""), ("255.255.255.255", ""), ("2001:db8::1", ""), ("fec0::1", ""),
    ("4000::1", ""),
    ("::2", ""),
  ])
  func kinds(text: String, kinds: String) throws {
    let address = try #require(IPAddress(text))
    let found = [
      address.isLoopback ? "l" : "", address.isUnspecified ? "u" : "", address.isPrivate ? "p" : "", address.isLinkLocal ? "k" : "",
      address.isMulticast ? "m" : "", address.isRoutable ? "r" : "",
    ]
    #expect(found.joined() == kinds)
  }

  @Test(arguments: [
    ("1.2.3.4", "1.2.0.0/16"), ("::ffff:1.2.3.4", "1.2.0.0/16"), ("2001:db8:1::5", "2001:db8::/32"), ("::1", "::/32"),
  ])
  func netgroups(text: String, group: String) { #expect(IPAddress(text)?.netgroup.description == group) }

  @Test(arguments: [
    ("10.0.0.0/8", "10.0.0.0/8", "10.255.1.1", "11.0.0.0"), ("10.9.8.7/8", "10.0.0.0/8", "::ffff:10.1.1.1", "::a01:101"),
    ("1.2.3.4", "1.2.3.4/32", "1.2.3.4", "1.2.3.5"), ("0.0.0.0/0", "0.0.0.0/0", "255.1.1.1", "::1"), ("::/0", "::/0", "ffff::", "1.1.1.1"),
    ("2001:db8::/32", "2001:db8::/32", "2001:db8:ffff::", "2001:db9::"), ("fe80::1", "fe80::1/128", "fe80::1", "fe80::2"),
    ("2001:db8:0:8000::/65", "2001:db8:0:8000::/65", "2001:db8:0:8000:7fff::", "2001:db8:0:8000:8000::"),
    ("::ffff:0:0/96", "0.0.0.0/0", "::ffff:1.2.3.4", "::fffe:1:1"),
    ("::ffff:127.0.0.7", "127.0.0.7/32", "127.0.0.7", "127.0.0.8"), ("::ffff:10.9.9.9/104", "10.0.0.0/8", "10.255.1.1", "11.0.0.0"),
    ("1.2.3.128/25", "1.2.3.128/25", "1.2.3.200", "1.2.3.127"),
  ])
  func networks(text: String, canonical: String, inside: String, outside: String) throws {
    let network = try #require(IPNetwork(text))
    #expect(network.description == canonical)
    #expect(network.contains(try #require(IPAddress(inside))))
    #expect(!network.contains(try #require(IPAddress(outside))))
    #expect(IPNetwork(canonical) == network)
  }

  @Test(arguments: [
    "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0/8", "host/8", "::ffff:10.0.0.0/95",
  ])
  func otherNetworksAreRefused(text: String) { #expect(IPNetwork(text) == nil) }

  @Test func lengthsOutsideTheFamilyAreHeldInside() {
    #expect(IPNetwork(.loopback, prefixLength: 99).prefixLength == 32)
    #expect(IPNetwork(.v6(high: 1, low: 2), prefixLength: -1) == IPNetwork("::/0"))
  }

  @Test func addressesHaveAnOrder() {
    let texts = ["::2", "10.0.0.1", "1::", "9.255.255.255", "::1"]
    #expect(texts.compactMap { IPAddress($0) }.sorted().map(\.description) == ["9.255.255.255", "10.0.0.1", "::1", "::2", "1::"])
  }

  @Test func fuzz() {
    let seed: UInt64 = 0x1b
    var generator = SeededGenerator(seed: seed)
    let texts = ["1.2.3.4", "2001:db8:0:0:1:0:0:1", "::ffff:1.2.3.4", "fe80::1/64"].map { Array($0.utf8) }
    for round in 0..<20_000 {
      let text = String(decoding: mutated(texts[round % 4], &generator), as: UTF8.self)
      if let address = IPAddress(text) { #expect(IPAddress(address.description) == address, "seed \(seed), round \(round)") }
      if let network = IPNetwork(text) { #expect(network.contains(network.address), "seed \(seed), round \(round)") }
      let address = IPAddress.v6(high: generator.next() & generator.next() & generator.next(), low: UInt64(generator.index(below: 3)) << 32)
      #expect(IPAddress(address.description) == address, "seed \(seed), round \(round)")
    }
  }
}
