import Identity
import Testing
import Wire

@testable import Peering

/// Rules hold however they and the addresses are written, and only what can be dialled takes a place.
@Suite struct AddressSpellingTests {
  @Test(arguments: [("::ffff:127.0.0.7", "127.0.0.7"), ("::ffff:21.0.0.0/104", "21.9.9.9"), ("0:0:0:0:0:ffff:1507:0/112", "21.7.1.1")])
  func aBanInIPv6FormKeepsIPv4PeersOut(subject: String, ip: String) throws {
    let network = try #require(IPNetwork(subject))
    var bench = Bench(local: 5)
    var book = TestBook()
    let id = bench.enter(30, from: "/ip4/\(ip)/tcp/1").id
    let banned = bench.operate(.ban(.network(network), for: nil, "spam"))
    book.apply(banned.outputs)
    #expect(banned.outputs.closed.map(\.id) == [id])
    for remote in ["/ip4/\(ip)/tcp/2", "/ip6/::ffff:\(ip)/tcp/3"] { #expect(bench.accept(remote).outputs.closed.map(\.code) == [.banned]) }
    var again = Bench(local: 5, book: book.all)
    #expect(again.accept("/ip4/\(ip)/tcp/2").outputs.closed.map(\.code) == [.banned])
    #expect(again.operate(.unban(.network(try #require(IPNetwork(network.description))))).answer == .unbanned)
  }

  /// A ban that an earlier version stored in IPv6 form holds, and lifting it lifts it for good.
  @Test func aStoredBanInIPv6FormIsWrittenAnew() throws {
    let mapped = [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 21, 0, 0, 0]
    let row = BanRow(subject: .network(try #require(IPNetwork("21.0.0.0/8"))), end: nil, detail: "old", isOperators: true)
    var book = TestBook()
    book.put([UInt8(ascii: "n"), 104] + mapped, row.value)
    var bench = Bench(local: 5, book: book.all)
    book.apply(bench.send(.timerFired))
    #expect(bench.accept("/ip4/21.9.9.9/tcp/5").outputs.closed.map(\.code) == [.banned])
    let lifted = bench.operate(.unban(.network(try #require(IPNetwork("::ffff:21.0.0.0/104")))))
    #expect(lifted.answer == .unbanned)
    book.apply(lifted.outputs)
    var again = Bench(local: 5, book: book.all)
    #expect(again.accept("/ip4/21.9.9.9/tcp/5").outputs.closed.isEmpty)
  }

  @Test func anAllowedNetworkInIPv6FormLetsIPv4PeersIn() throws {
    let networks = [try #require(IPNetwork("::ffff:21.0.0.0/104"))]
    var bench = Bench(local: 5) { $0.allowed = AllowList(networks: networks) }
    #expect(!bench.enter(30, from: "/ip4/21.9.9.9/tcp/5").outputs.admitted.isEmpty)
    #expect(bench.enter(31, from: "/ip4/22.9.9.9/tcp/5").outputs.closed.map(\.code) == [.notAllowed])
  }

  @Test func systemsOfNetworksInIPv6Form() throws {
    let systems = try AutonomousSystems(text: "::ffff:21.0.0.0/104 AS64500")
    #expect(systems.system(of: try #require(IPAddress("21.1.2.3"))) == 64_500)
    #expect(systems.system(of: try #require(IPAddress("::ffff:21.1.2.3"))) == 64_500)
  }

  private static let undialable = [
    "/ip4/21.0.0.1/tcp/80/ws", "/ip4/21.0.0.1/tcp/80/tls/ws", "/ip4/21.0.0.1/tcp/80/http", "/ip4/21.0.0.1/tcp/80/udp/5",
    "/ip4/21.0.0.1/tcp/80/tcp/1", "/dns/a.example/tcp/80/wss", "/ip6zone/eth0/ip6/fe80::1/tcp/80", "/ip4/21.0.0.1/udp/80",
  ]

  @Test(arguments: undialable)
  func whatOnlyBeginsLikeATCPAddressTakesNoPlace(text: String) {
    let sources: [PeerSource] = [.exchange(peer(40)), .identify(peer(9)), .discovery, .local, .web, .imported, .seed, .bootstrap, .manual]
    for source in sources {
      var bench = Bench(local: 5)
      _ = bench.enter(40, from: "/ip4/90.0.0.1/tcp/1")
      let outputs = bench.send(.learned([PeerAddress(peer: peer(9), address: address(text))], source))
      #expect(outputs.dials.isEmpty && bench.run(to: 100).outputs.dials.isEmpty, "\(source)")
      #expect(bench.machine.addresses(of: peer(9)).isEmpty, "\(source)")
      #expect(bench.machine.reasonCounts.addressesRefused == [.notDirect: 1], "\(source)")
    }
  }

  /// Told for one peer, the address ends in the name of another: it is neither's.
  @Test func anAddressThatNamesAnotherPeerTakesNoPlace() {
    let sources: [PeerSource] = [.exchange(peer(40)), .identify(peer(9)), .discovery, .local, .web]
    for source in sources {
      var bench = Bench(local: 5)
      _ = bench.enter(40, from: "/ip4/90.0.0.1/tcp/1")
      _ = bench.enter(9, from: "/ip4/91.0.0.1/tcp/1")
      bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1).withPeerID(peer(10)))], source))
      for number in [9, 10] as [UInt64] { #expect(bench.machine.addresses(of: peer(number)).isEmpty, "\(source)") }
      #expect(bench.machine.reasonCounts.addressesRefused == [.anothersName: 1], "\(source)")
    }
  }

  @Test(arguments: undialable)
  func anOperatorIsToldWhyItIsNotDialled(text: String) {
    for keep in [true, false] {
      var bench = Bench(local: 5)
      let answer = bench.operate(.add(PeerAddress(peer: peer(9), address: address(text)), keep: keep)).answer
      guard case .refused(.notDialled(let reason))? = answer else {
        Issue.record("\(answer as Any)")
        continue
      }
      #expect(reason.detail.contains("cannot be dialled: "), "\(reason)")
      #expect(bench.machine.rules(now: bench.now).kept.isEmpty && bench.run(to: 100).outputs.dials.isEmpty)
    }
  }

  /// Rows of an earlier version, which took them for TCP addresses.
  @Test func storedAddressesThatCannotBeDialledAreLetGo() throws {
    var bench = Bench(local: 5)
    var book = TestBook()
    let dial = bench.send(.learned([PeerAddress(peer: peer(9), address: publicAddress(1))], .discovery)).dials[0]
    book.apply(bench.prove(dial, 9))
    book.apply(bench.run(to: 120).outputs)
    let entry = try #require(book.all.first { PeerRow(key: $0.key, value: $0.value) != nil })
    var row = try #require(PeerRow(key: entry.key, value: entry.value))
    row.addresses[0].bytes = address("/ip4/21.0.0.1/tcp/80/ws").bytes
    book.put(entry.key, row.value)
    var again = Bench(local: 5, book: book.all)
    book.apply(again.send(.timerFired))
    #expect(again.run(to: 100).outputs.dials.isEmpty && again.machine.addresses(of: peer(9)).isEmpty)
    #expect(book.value(entry.key) == nil)
  }
}
