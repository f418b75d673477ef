import Identity
import Testing
import Wire

@testable import Discovery

private func id(_ number: UInt64) -> NameQueryID { NameQueryID(rawValue: number) }
private func texts(_ name: String) -> NameFinder.Question { .texts(DNSName(name)!) }
private func dnsaddr(_ text: String) -> NameFinder.Name { .dnsaddr(try! Multiaddr(text)) }
private let one = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA"
private let two = "12D3KooWJpmFxDV1ckKvP5zzNhiEE4QzLNuKZVwkHNC7gPLB8wuP"

private func item(_ text: String) -> PeerAddress {
  let address = try! Multiaddr(text)
  return PeerAddress(peer: address.peerID, address: address.withoutPeerID)
}

@Suite struct NameFinderTests {
  /// Plain names: every address is a seed on the given port.
  @Test func hosts() {
    var finder = NameFinder(now: at(0))
    let name = NameFinder.Name.host("seed.example", port: 9000)
    #expect(finder.handle(.added(name, .seed), now: at(0)) == [.lookUp(id(1), .addresses("seed.example"))])
    let addresses = [IPAddress(text: "192.0.2.1")!, IPAddress(text: "2001:db8::1")!]
    #expect(
      finder.handle(.answered(id(1), .addresses(addresses)), now: at(1)) == [
        .resolved(name, addresses: 2), .found([item("/ip4/192.0.2.1/tcp/9000"), item("/ip6/2001:db8::1/tcp/9000")], .seed),
      ])
    #expect(finder.handle(.answered(id(1), .addresses(addresses)), now: at(1)).isEmpty, "an answer counts once")
  }

  /// Records lead to addresses and to other names; what cannot be dialled, other texts and unwanted peers are passed over.
  @Test func dnsaddrRecords() {
    var finder = NameFinder(now: at(0))
    #expect(finder.handle(.added(dnsaddr("/dnsaddr/a.example"), .bootstrap), now: at(0)) == [.lookUp(id(1), texts("_dnsaddr.a.example"))])
    let first = [
      "dnsaddr=/ip4/192.0.2.1/tcp/4001/p2p/\(one)", "dnsaddr=/ip4/192.0.2.1/udp/4001/quic-v1/p2p/\(one)", "v=spf1 -all", "dnsaddr=junk",
      "dnsaddr=/dnsaddr/b.example/p2p/\(two)", "dnsaddr=/dnsaddr/b.example", "dnsaddr=/dns4/h.example/tcp/1/p2p/\(two)",
    ]
    #expect(finder.handle(.answered(id(1), .texts(first)), now: at(0)) == [.lookUp(id(2), texts("_dnsaddr.b.example"))])
    let second = ["dnsaddr=/ip4/192.0.2.2/tcp/4001/p2p/\(two)", "dnsaddr=/dnsaddr/a.example"]
    #expect(
      finder.handle(.answered(id(2), .texts(second)), now: at(0)) == [
        .resolved(dnsaddr("/dnsaddr/a.example"), addresses: 3),
        .found(
          ["/ip4/192.0.2.1/tcp/4001/p2p/\(one)", "/dns4/h.example/tcp/1/p2p/\(two)", "/ip4/192.0.2.2/tcp/4001/p2p/\(two)"].map(item),
          .bootstrap),
      ], "a circle of names ends")
  }

  /// A PeerID in the configured address filters.
  @Test func peerFilter() {
    var finder = NameFinder(now: at(0))
    let name = dnsaddr("/dnsaddr/a.example/p2p/\(two)")
    _ = finder.handle(.added(name, .seed), now: at(0))
    let records = [
      "dnsaddr=/ip4/192.0.2.1/tcp/1/p2p/\(one)", "dnsaddr=/ip4/192.0.2.2/tcp/2/p2p/\(two)", "dnsaddr=/ip4/192.0.2.3/tcp/3",
      "dnsaddr=/dnsaddr/x.example/p2p/\(one)",
    ]
    #expect(
      finder.handle(.answered(id(1), .texts(records)), now: at(0)) == [
        .resolved(name, addresses: 1), .found([item("/ip4/192.0.2.2/tcp/2/p2p/\(two)")], .seed),
      ])
  }

  /// Records that lead on and on, wide and deep, end at the bounds; what was found before counts.
  @Test func boundsOfRecursion() {
    var finder = NameFinder(now: at(0))
    var open = finder.handle(.added(dnsaddr("/dnsaddr/x"), .seed), now: at(0))
    var asked = 0
    var end: [NameFinder.Output] = []
    while let next = open.first {
      open.removeFirst()
      guard case .lookUp(let id, .texts(let name)) = next else {
        end.append(next)
        continue
      }
      asked += 1
      let records = (0..<20).map { "dnsaddr=/dnsaddr/\($0).\(name.labels.count)" } + ["dnsaddr=/ip4/192.0.2.\(asked)/tcp/1"]
      open += finder.handle(.answered(id, .texts(records)), now: at(0))
    }
    #expect(asked == 32 && end.first == .resolved(dnsaddr("/dnsaddr/x"), addresses: 32))
    var deep = NameFinder(now: at(0))
    var outputs = deep.handle(.added(dnsaddr("/dnsaddr/0"), .seed), now: at(0))
    for depth in 1...4 {
      #expect(outputs == [.lookUp(id(UInt64(depth)), texts("_dnsaddr.\(depth - 1)"))])
      outputs = deep.handle(.answered(id(UInt64(depth)), .texts(["dnsaddr=/dnsaddr/\(depth)"])), now: at(0))
    }
    #expect(outputs == [.failed(dnsaddr("/dnsaddr/0"), "its records point on through more than 4 names")])
    var many = NameFinder(now: at(0))
    _ = many.handle(.added(dnsaddr("/dnsaddr/x"), .seed), now: at(0))
    let flood = many.handle(.answered(id(1), .texts((1...200).map { "dnsaddr=/ip4/192.0.2.\($0)/tcp/1" })), now: at(0))
    #expect(flood.first == .resolved(dnsaddr("/dnsaddr/x"), addresses: 64))
  }

  /// Names of seeds wait until no stored peer connects; with links they are looked up only after a long shortage.
  @Test func whenSeedsAreLookedUp() {
    let name = NameFinder.Name.host("s", port: 1)
    var finder = NameFinder(now: at(0))
    #expect(finder.handle(.links(active: 0, stored: 3, isShort: true), now: at(0)).isEmpty)
    #expect(finder.handle(.added(name, .seed), now: at(0)).isEmpty)
    #expect(finder.nextDeadline == at(11))
    #expect(finder.handle(.links(active: 1, stored: 3, isShort: true), now: at(5)).isEmpty)
    #expect(finder.nextDeadline == at(60) && finder.handle(.timerFired, now: at(11)).isEmpty)
    #expect(finder.handle(.links(active: 8, stored: 3, isShort: false), now: at(20)).isEmpty)
    #expect(finder.nextDeadline == nil)
    #expect(finder.handle(.links(active: 7, stored: 3, isShort: true), now: at(50)).isEmpty)
    #expect(finder.handle(.timerFired, now: at(110)) == [.lookUp(id(1), .addresses("s"))])
    #expect(finder.handle(.answered(id(1), .addresses([])), now: at(111)) == [.failed(name, "it has no address")])
    #expect(finder.handle(.links(active: 0, stored: 0, isShort: true), now: at(112)).isEmpty, "the pause holds")
    #expect(finder.handle(.timerFired, now: at(121)) == [.lookUp(id(2), .addresses("s"))])
  }

  /// Failures: the pause doubles up to its maximum; a silent name server costs the time limit.
  @Test func failures() {
    var finder = NameFinder(now: at(0))
    let name = NameFinder.Name.host("s", port: 1)
    _ = finder.handle(.added(name, .bootstrap), now: at(0))
    var now = 0.0
    var waits: [Double] = []
    for number in UInt64(1)...10 {
      #expect(finder.nextDeadline == at(now + 15))
      now += 15
      #expect(finder.handle(.timerFired, now: at(now)) == [.failed(name, "no answer in time")])
      #expect(finder.handle(.answered(id(number), .addresses([.loopback])), now: at(now)).isEmpty, "too late")
      let next = Double(finder.nextDeadline!.nanoseconds) / 1e9
      waits.append(next - now)
      now = next
      #expect(finder.handle(.timerFired, now: at(now)) == [.lookUp(id(number + 1), .addresses("s"))])
    }
    #expect(waits == [10, 20, 40, 80, 160, 320, 600, 600, 600, 600])
    #expect(finder.handle(.answered(id(11), .addresses([.loopback])), now: at(now)).count == 2)
    #expect(finder.nextDeadline == at(now + 1_800))
  }
}
