import Identity
import Testing
import Wire

@testable import Discovery

private func ip(_ text: String) -> IPAddress { IPAddress(text: text)! }
private func ok(_ text: String) -> [UInt8] { AutoNAT.response(.ok, "", address(text)) }

@Suite struct ReachabilityTests {
  private let home = "/ip4/192.168.1.2/tcp/9000"
  private let seen = "/ip4/20.0.0.1/tcp/9000"

  private func machine(_ change: (inout Reachability.Configuration) -> Void = { _ in }) -> Reachability {
    var configuration = Reachability.Configuration()
    configuration.confirms = true
    change(&configuration)
    return Reachability(localPeer: peer(1), configuration: configuration)
  }

  /// Three networks have to agree, whatever a crowd in one of them says; the port is the one that is listened on.
  @Test func votes() {
    var machine = machine()
    #expect(machine.handle(.listening([address(home)]), now: at(0)) == [.advertise([address(home)])])
    func vote(_ number: UInt64, from text: String, _ observed: String = "/ip4/20.0.0.1/tcp/50001") -> [Reachability.Output] {
      machine.handle(.observed(address(observed), by: peer(number), at: ip(text)), now: at(1))
    }
    for number in UInt64(10)...200 { #expect(vote(number, from: "30.0.0.\(number)").isEmpty) }
    #expect(vote(2, from: "31.0.0.1").isEmpty)
    #expect(vote(3, from: "32.0.0.1", "/ip4/10.0.0.1/tcp/1").isEmpty, "a private address is nobody's candidate")
    #expect(vote(3, from: "32.0.0.1") == [.candidate(address(seen), .observation)])
    #expect(vote(3, from: "32.0.0.1", "/ip4/21.0.0.1/tcp/1").isEmpty, "who changes its mind has one vote")
    #expect(vote(4, from: "33.0.0.1") == [.candidate(address(seen), .observation)])
  }

  /// A crowd of throwaway names of one network takes no voice from others, however many it has.
  @Test func aCrowdTakesNoVoice() {
    var machine = machine { $0.votersMaximum = 8 }
    _ = machine.handle(.listening([address(home)]), now: at(0))
    func vote(_ number: UInt64, from text: String, _ observed: String = "/ip4/20.0.0.1/tcp/50001") -> [Reachability.Output] {
      machine.handle(.observed(address(observed), by: peer(number), at: ip(text)), now: at(1))
    }
    for number in [2, 3] as [UInt64] { #expect(vote(number, from: "\(30 + number).0.0.1").isEmpty) }
    for number in UInt64(10)...100 { #expect(vote(number, from: "90.0.0.\(number)", "/ip4/66.0.0.1/tcp/1").isEmpty) }
    #expect(vote(4, from: "34.0.0.1") == [.candidate(address(seen), .observation)])
  }

  /// Told only after two networks have dialled it back; withdrawn when two can no longer; lies of one peer count once.
  @Test func dialBacks() {
    var machine = machine { $0.announced = [address("/ip4/25.0.0.1/tcp/1")] }
    let announced = address("/ip4/25.0.0.1/tcp/1")
    #expect(
      machine.handle(.listening([address(home), address(seen)]), now: at(0)) == [
        .candidate(address(seen), .listening), .advertise([announced, address(home)]),
      ])
    let request = AutoNAT.request(peer(1), [address(seen)])
    #expect(machine.handle(.helper(peer(2), at: ip("30.0.0.1")), now: at(1)) == [.ask(peer(2), address(seen), request)])
    #expect(machine.handle(.helper(peer(3), at: ip("30.0.0.2")), now: at(1)).isEmpty, "one at a time")
    #expect(machine.handle(.answered(peer(3), address(seen), ok(seen)), now: at(1)).isEmpty, "unasked")
    #expect(machine.handle(.answered(peer(2), address(seen), ok(seen)), now: at(2)).isEmpty)
    #expect(machine.handle(.timerFired, now: at(12)) == [.ask(peer(3), address(seen), request)])
    #expect(machine.handle(.answered(peer(3), address(seen), ok(seen)), now: at(13)).isEmpty, "the same network")
    #expect(machine.handle(.helper(peer(4), at: ip("40.0.0.1")), now: at(14)).isEmpty)
    #expect(machine.handle(.timerFired, now: at(23)) == [.ask(peer(4), address(seen), request)])
    #expect(
      machine.handle(.answered(peer(4), address(seen), ok(seen)), now: at(24)) == [
        .confirmed(address(seen)), .advertise([announced, address(seen), address(home)]),
      ])
    #expect(machine.nextDeadline == at(24 + 1_800))
    let failure = AutoNAT.response(.dialError, "no", nil)
    #expect(machine.handle(.timerFired, now: at(1_824)) == [.ask(peer(2), address(seen), request)])
    #expect(machine.handle(.answered(peer(2), address(seen), failure), now: at(1_825)).isEmpty)
    #expect(machine.handle(.timerFired, now: at(1_835)) == [.ask(peer(4), address(seen), request)], "another network first")
    #expect(
      machine.handle(.answered(peer(4), address(seen), failure), now: at(1_836)) == [
        .withdrawn(address(seen)), .advertise([announced, address(home)]),
      ])
  }

  /// Refusals, silence, unreadable answers, answers about other addresses and lost peers neither confirm nor stop the search.
  @Test func uselessAnswers() {
    var machine = machine { $0.confirmationsMinimum = 1 }
    _ = machine.handle(.listening([address(seen)]), now: at(0))
    var outputs = machine.handle(.helper(peer(2), at: ip("30.0.0.1")), now: at(0))
    let answers: [[UInt8]?] = [nil, [1, 2, 3], AutoNAT.response(.dialRefused, "", nil), ok("/ip4/20.0.0.9/tcp/1")]
    for (turn, answer) in answers.enumerated() {
      let now = Double(turn) * 600
      guard case .ask(peer(2), _, _)? = outputs.first else {
        Issue.record("turn \(turn): \(outputs)")
        return
      }
      #expect(machine.handle(.answered(peer(2), address(seen), answer), now: at(now + 1)).isEmpty)
      #expect(machine.handle(.timerFired, now: at(now + 599)).isEmpty, "not before its time")
      outputs = machine.handle(.timerFired, now: at(now + 611))
    }
    #expect(machine.handle(.peerGone(peer(2)), now: at(3_000)).isEmpty && machine.nextDeadline == nil)
    #expect(machine.handle(.helper(peer(5), at: ip("31.0.0.1")), now: at(3_001)).count == 1)
  }

  @Test func withoutConfirmation() {
    var machine = machine { $0.confirms = false }
    #expect(machine.handle(.listening([address(seen)]), now: at(0)) == [.advertise([address(seen)])])
    #expect(machine.handle(.helper(peer(2), at: ip("30.0.0.1")), now: at(0)).isEmpty && machine.nextDeadline == nil)
  }

  /// The mapping is renewed after half its lease, ends with it, is tried again after a failure, and is taken back at the end.
  @Test func mapping() {
    var machine = machine { $0.mapsPort = true }
    let outside = "/ip4/20.0.0.7/tcp/9100"
    #expect(machine.handle(.listening([address(home)]), now: at(0)) == [.advertise([address(home)]), .map(port: 9_000, seconds: 3_600)])
    #expect(machine.handle(.mappingFailed("no gateway"), now: at(5)) == [.mappingFailed("no gateway")])
    #expect(machine.nextDeadline == at(15))
    #expect(machine.handle(.timerFired, now: at(15)) == [.map(port: 9_000, seconds: 3_600)])
    #expect(machine.handle(.mappingFailed("no gateway"), now: at(16)).isEmpty, "told once")
    #expect(machine.nextDeadline == at(36), "twice the time")
    #expect(machine.handle(.timerFired, now: at(36)).count == 1)
    for (failed, next) in [(37.0, 77.0), (78, 158), (159, 319), (320, 620)] {
      _ = machine.handle(.mappingFailed("no gateway"), now: at(failed))
      #expect(machine.nextDeadline == at(next))
      if next < 620 { _ = machine.handle(.timerFired, now: at(next)) }
    }
    _ = machine.handle(.mappingFailed("no gateway"), now: at(321))
    #expect(machine.nextDeadline == at(621), "no more than five minutes")
    _ = machine.handle(.timerFired, now: at(606))
    #expect(
      machine.handle(.mapped(address(outside), seconds: 100), now: at(607)) == [
        .mapped(address(outside)), .candidate(address(outside), .mapping),
      ])
    #expect(machine.handle(.timerFired, now: at(657)) == [.map(port: 9_000, seconds: 3_600)])
    #expect(machine.handle(.mapped(address(outside), seconds: 100), now: at(658)).isEmpty)
    _ = machine.handle(.helper(peer(2), at: ip("30.0.0.1")), now: at(659))
    _ = machine.handle(.answered(peer(2), address(outside), ok(outside)), now: at(660))
    #expect(machine.handle(.helper(peer(3), at: ip("31.0.0.1")), now: at(670)).count == 1)
    #expect(machine.handle(.answered(peer(3), address(outside), ok(outside)), now: at(671)).contains(.confirmed(address(outside))))
    _ = machine.handle(.timerFired, now: at(708))
    _ = machine.handle(.mappingFailed("gone"), now: at(709))
    #expect(machine.handle(.timerFired, now: at(719)) == [.map(port: 9_000, seconds: 3_600)], "the first failure in a row")
    #expect(machine.handle(.timerFired, now: at(758)) == [.advertise([address(home)])], "the lease is over")
    _ = machine.handle(.mapped(address("/ip4/10.9.9.9/tcp/1"), seconds: 100), now: at(760))
    #expect(machine.handle(.stop, now: at(761)) == [.map(port: 9_000, seconds: 0)])
    #expect(machine.nextDeadline == nil && machine.handle(.timerFired, now: at(9_999)).isEmpty)
  }

  @Test func bounds() {
    var machine = machine { $0.votesMinimum = 1 }
    _ = machine.handle(.listening([address(home)]), now: at(0))
    var candidates = 0
    for number in 0..<2_000 {
      let observed = address("/ip4/20.\(number / 200).\(number % 200).1/tcp/1")
      let outputs = machine.handle(.observed(observed, by: peer(UInt64(number)), at: ip("30.\(number % 250).0.1")), now: at(1))
      candidates += outputs.filter { if case .candidate = $0 { true } else { false } }.count
    }
    #expect(candidates >= 16)
    let asked = machine.handle(.helper(peer(9_000), at: ip("40.0.0.1")), now: at(1))
    #expect(asked.count == 16)
  }
}

@Suite struct AutoNATTests {
  /// By hand from the specification's protobuf.
  @Test func vectors() throws {
    let id: [UInt8] = [0, 1, 7]
    let target = address("/ip4/1.2.3.4/tcp/5")
    let request: [UInt8] =
      [0x08, 0, 0x12, 0x11, 0x0a, 0x0f, 0x0a, 3] + id + [0x12, 8, 4, 1, 2, 3, 4, 6, 0, 5]
    #expect(AutoNAT.request(try PeerID(bytes: id), [target]) == request)
    let read = try AutoNAT.decodeRequest(request.rawSpan)
    #expect(read.peer.bytes == id && read.addresses == [target])
    let response: [UInt8] = [0x08, 1, 0x1a, 16, 0x08, 0, 0x12, 2, UInt8(ascii: "o"), UInt8(ascii: "k"), 0x1a, 8, 4, 1, 2, 3, 4, 6, 0, 5]
    #expect(AutoNAT.response(.ok, "ok", target) == response)
    #expect(try AutoNAT.decodeResponse(response.rawSpan) == (.ok, target))
    #expect(try AutoNAT.decodeResponse([0x08, 1, 0x1a, 2, 0x08, 100].rawSpan) == (.dialError, nil))
    #expect(try AutoNAT.decodeResponse([0x08, 1, 0x1a, 2, 0x08, 99].rawSpan) == (.internalError, nil))
    for bytes in [[], [0x08, 0], [0x08, 1], request] as [[UInt8]] {
      #expect(throws: AutoNAT.Fault.incomplete) { try AutoNAT.decodeResponse(bytes.rawSpan) }
    }
    for bytes in [[], response] as [[UInt8]] {
      #expect(throws: AutoNAT.Fault.incomplete) { try AutoNAT.decodeRequest(bytes.rawSpan) }
    }
    for count in 1..<request.count { _ = try? AutoNAT.decodeRequest(Array(request[..<count]).rawSpan) }
  }

  @Test func noise() {
    var generator = SeededGenerator(seed: 5)
    for _ in 0..<20_000 {
      let bytes = generator.bytes(generator.index(below: 60))
      _ = try? AutoNAT.decodeRequest(bytes.rawSpan)
      _ = try? AutoNAT.decodeResponse(bytes.rawSpan)
    }
  }

  private func status(_ outcome: DialBackServer.Outcome?) -> AutoNAT.Status? {
    guard case .answer(let bytes) = outcome else { return nil }
    return try? AutoNAT.decodeResponse(bytes.rawSpan).status
  }

  /// Only addresses with the asker's own IP are dialled, one after another, and the first that is reached ends it.
  @Test func server() {
    var server = DialBackServer()
    let addresses = ["/ip4/30.0.0.9/tcp/1", "/ip4/30.0.0.1/udp/1/quic-v1", "/ip4/30.0.0.1/tcp/1", "/ip4/30.0.0.1/tcp/2"].map { address($0) }
    let first = server.serve(peer(2), from: ip("::ffff:30.0.0.1"), AutoNAT.request(peer(2), addresses).rawSpan, now: at(0))
    #expect(first == .probe(ProbeID(rawValue: 1), addresses[2], peer(2), timeout: .seconds(8)))
    #expect(server.ended(ProbeID(rawValue: 1), false) == .probe(ProbeID(rawValue: 2), addresses[3], peer(2), timeout: .seconds(8)))
    #expect(server.ended(ProbeID(rawValue: 2), true) == .answer(AutoNAT.response(.ok, "", addresses[3])))
    #expect(server.ended(ProbeID(rawValue: 2), true) == nil)
    let only = AutoNAT.request(peer(2), [addresses[2]])
    _ = server.serve(peer(2), from: ip("30.0.0.1"), only.rawSpan, now: at(0))
    #expect(status(server.ended(ProbeID(rawValue: 3), false)) == .dialError)
    #expect(status(server.serve(peer(3), from: ip("30.0.0.1"), only.rawSpan, now: at(0))) == .badRequest)
    #expect(status(server.serve(peer(2), from: ip("30.0.0.2"), only.rawSpan, now: at(0))) == .dialRefused)
    #expect(status(server.serve(peer(2), from: ip("10.0.0.2"), only.rawSpan, now: at(0))) == .dialRefused)
    #expect(server.serve(peer(2), from: ip("30.0.0.1"), [0xff].rawSpan, now: at(0)) == nil)
  }

  @Test func rates() {
    var server = DialBackServer()
    func isServed(_ number: UInt64, _ seconds: Double, at place: String = "30.0.0.1") -> Bool {
      let request = AutoNAT.request(peer(number), [address("/ip4/\(place)/tcp/1")])
      if case .probe = server.serve(peer(number), from: ip(place), request.rawSpan, now: at(seconds)) { return true }
      return false
    }
    #expect((0..<10).filter { _ in isServed(2, 0) }.count == 3)
    #expect((UInt64(10)..<100).filter { isServed($0, 1, at: "30.0.\($0).1") }.count == 7, "of one network")
    #expect((UInt64(100)..<150).filter { isServed($0, 1, at: "\($0).0.0.1") }.count == 20)
    #expect(!isServed(2, 59) && isServed(2, 60))
  }
}
