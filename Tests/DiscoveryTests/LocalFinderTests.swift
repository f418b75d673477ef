import Crypto
import Identity
import Testing
import Wire

@testable import Discovery

@Suite struct LocalFinderTests {
  private let addresses = ["/ip4/192.168.1.5/tcp/4001", "/ip6/fd00::5/tcp/4001"].map { try! Multiaddr($0) }

  private func key(_ number: UInt8) -> PeerID { NodeKey(seed: [UInt8](repeating: number, count: 32), crypto: SystemCrypto.shared).peerID }

  private func finder(_ number: UInt8, _ change: (inout LocalFinder.Configuration) -> Void = { _ in }) -> LocalFinder {
    var configuration = LocalFinder.Configuration()
    configuration.isEnabled = true
    change(&configuration)
    return LocalFinder(localPeer: key(number), configuration: configuration, seed: UInt64(number), now: at(0))
  }

  /// Fires timers until `seconds`; what was sent, with its times.
  private func run(_ finder: inout LocalFinder, to seconds: Double) -> [(at: Double, message: DNSMessage)] {
    var sent: [(at: Double, message: DNSMessage)] = []
    while let next = finder.nextDeadline, next <= at(seconds) {
      for case .multicast(let bytes) in finder.handle(.timerFired, now: next) {
        sent.append((Double(next.nanoseconds) / 1e9, try! DNSMessage(encoded: bytes.rawSpan)))
      }
    }
    return sent
  }

  @Test func asksOftenThenRarely() {
    var finder = finder(1)
    let sent = run(&finder, to: 200)
    #expect(sent.map(\.at) == [0, 1, 3, 10, 70, 130, 190])
    #expect(sent.allSatisfy { LocalMessage.asksForPeers($0.message) && $0.message.id == 0 })
    var off = LocalFinder(localPeer: key(1), seed: 1, now: at(0))
    #expect(off.nextDeadline == nil && off.handle(.received(LocalMessage.query), now: at(0)).isEmpty)
  }

  /// What it says by itself at first, and when its addresses change; each twice.
  @Test func announces() {
    var finder = finder(1) { $0.firstQueries = [.seconds(1_000)] }
    #expect(finder.handle(.addresses(addresses), now: at(5)).isEmpty)
    let sent = run(&finder, to: 100)
    #expect(sent.count == 2 && sent[0].at <= 5.12 && sent[1].at - sent[0].at >= 1 && sent[1].at <= 6.3)
    #expect(LocalMessage.addresses(sent[0].message) == addresses.map { PeerAddress(peer: key(1), address: $0) })
    #expect(finder.handle(.addresses(addresses), now: at(101)).isEmpty && run(&finder, to: 200).isEmpty, "nothing new")
    _ = finder.handle(.addresses(Array(addresses.prefix(1))), now: at(201))
    #expect(run(&finder, to: 300).count == 2)
  }

  /// A flood of questions brings one answer a second.
  @Test func answersAreBounded() {
    var finder = finder(1) { $0.firstQueries = [.seconds(1_000)] }
    _ = finder.handle(.addresses(addresses), now: at(0))
    _ = run(&finder, to: 10)
    var sent: [Double] = []
    for step in 0..<1_000 {
      let now = at(10 + Double(step) / 100)
      if let due = finder.nextDeadline, due <= now { sent += run(&finder, to: 10 + Double(step) / 100).map(\.at) }
      #expect(finder.handle(.received(LocalMessage.query), now: now).isEmpty)
    }
    #expect((9...10).contains(sent.count) && zip(sent, sent.dropFirst()).allSatisfy { $1 - $0 >= 0.999 })
  }

  /// The answer has what DNS-SD asks for, fits one frame, and the name tells nothing.
  @Test func answerFormat() throws {
    var finder = finder(1) { $0.firstQueries = [.seconds(1_000)] }
    let many = (1...40).map { try! Multiaddr("/ip4/192.168.1.\($0)/tcp/4001") } + [try Multiaddr("/dns4/x.example/tcp/1")]
    _ = finder.handle(.addresses(many), now: at(0))
    let message = try #require(run(&finder, to: 1).first?.message)
    #expect(message.isResponse && message.encoded.count <= 1_400)
    guard case .pointer(let instance) = message.answers.first?.data else {
      Issue.record("no pointer")
      return
    }
    #expect(
      message.answers.map(\.name) == [LocalMessage.service] && instance.isWithin(LocalMessage.service) && instance.labels[0].count == 40)
    #expect(message.additionals.prefix(2).map(\.data.kind) == [16, 33])
    #expect(message.additionals.dropFirst(2).allSatisfy { $0.data.kind == 1 && $0.name.labels[0] == instance.labels[0] })
    #expect(LocalMessage.addresses(message).count > 5)
    _ = run(&finder, to: 10)
    _ = finder.handle(.received(DNSMessage(asking: LocalMessage.services).encoded), now: at(20))
    #expect(run(&finder, to: 21).first?.message.answers.map(\.data) == [.pointer(LocalMessage.service)])
  }

  @Test func hears() {
    var finder = finder(1)
    let bytes = LocalMessage.answer(name: "x", peer: key(2), addresses: addresses, lifetimeSeconds: 120)!
    let told = addresses.map { PeerAddress(peer: key(2), address: $0) }
    #expect(finder.handle(.received(bytes), now: at(1)).contains(.found(told)))
    #expect(!finder.handle(.received(bytes), now: at(100)).contains(.found(told)), "known already")
    #expect(finder.handle(.received(bytes), now: at(122)).contains(.found(told)), "the lifetime is over")
    let own = LocalMessage.answer(name: "x", peer: key(1), addresses: addresses, lifetimeSeconds: 120)!
    let farewell = LocalMessage.answer(name: "x", peer: key(3), addresses: addresses, lifetimeSeconds: 0)!
    for bytes in [own, farewell, Array("noise".utf8)] {
      #expect(!finder.handle(.received(bytes), now: at(123)).contains { if case .found = $0 { true } else { false } })
    }
  }

  /// py-libp2p's numbering is read; other texts, names, relays, UDP and peers without an ID are passed over.
  @Test func readsTexts() {
    let peer = key(4)
    let texts = [
      "dnsaddr=/ip4/192.168.1.9/tcp/1/p2p/\(peer)", "dnsaddr2=/ip4/192.168.1.9/tcp/2/p2p/\(peer)", "id=\(peer)", "dnsaddr", "dnsaddr=",
      "dnsaddr=/ip4/192.168.1.9/tcp/3", "dnsaddr=/ip4/192.168.1.9/udp/4/quic-v1/p2p/\(peer)", "dnsaddr=/dns4/a.local/tcp/5/p2p/\(peer)",
      "dnsaddr=/ip4/192.168.1.9/tcp/6/p2p/\(key(5))/p2p-circuit/p2p/\(peer)",
    ]
    var message = DNSMessage()
    message.isResponse = true
    message.answers = [.init(DNSName("a._p2p._udp.local")!, .texts(texts.map { Array($0.utf8) }), lifetimeSeconds: 9)]
    #expect(LocalMessage.addresses(message).map(\.address.tcpPort) == [1, 2])
    message.answers[0].name = DNSName("a._other._udp.local")!
    #expect(LocalMessage.addresses(message).isEmpty)
  }

  /// Somebody who invents peers fills the table once in a lifetime.
  @Test func peersAreBounded() {
    var finder = finder(1) { $0.peersMaximum = 10 }
    var found = 0
    for number in 0..<1_000 {
      var bytes: [UInt8] = [0, 8]
      bytes.appendBigEndian(UInt64(number))
      let answer = LocalMessage.answer(name: "x", peer: try! PeerID(bytes: bytes), addresses: addresses, lifetimeSeconds: 120)!
      for case .found(let items) in finder.handle(.received(answer), now: at(2 + Double(number) / 10)) { found += items.count }
    }
    #expect(found == 20)
  }

  @Test func saysFarewell() throws {
    var finder = finder(1)
    _ = finder.handle(.addresses(addresses), now: at(0))
    let outputs = finder.handle(.stop, now: at(1))
    guard case .multicast(let bytes)? = outputs.first, outputs.count == 1 else {
      Issue.record("\(outputs)")
      return
    }
    #expect(try DNSMessage(encoded: bytes.rawSpan).answers.allSatisfy { $0.lifetimeSeconds == 0 })
    #expect(finder.nextDeadline == nil && finder.handle(.received(LocalMessage.query), now: at(2)).isEmpty)
  }
}

extension DNSMessage {
  fileprivate init(asking name: DNSName) {
    self.init()
    questions = [.init(name, .ptr)]
  }
}
