import HostCore
import Peering
import SecureChannel
import Testing
import Wire

extension [HostCore.Output] {
  fileprivate var resets: [ResetCode] { compactMap { if case .reset(_, let code) = $0 { code } else { nil } } }
  fileprivate var requests: Int { count { if case .event(.request) = $0 { true } else { false } } }
  fileprivate var offences: [Offence] {
    compactMap { if case .event(.peering(.offence(_, let offence, _, _))) = $0 { offence } else { nil } }
  }
  fileprivate var closes: [Reason.Code] { compactMap { if case .close(_, let reason) = $0 { reason.code } else { nil } } }
  fileprivate var opens: [StreamRef] { compactMap { if case .open(let stream, [service]) = $0 { stream } else { nil } } }
}

@Suite struct RateTests {
  @Test func excessIsRefusedWithItsReason() {
    var stage = OneLink()
    let first = (0..<210).map { _ in
      let outputs = stage.asked()
      // Answered at once, so that what is open is never the bound.
      for case .event(.request(let request)) in outputs { _ = stage.host.handle(.command(.respond(request.stream, [])), now: stage.now) }
      return outputs
    }
    #expect(first.prefix(200).allSatisfy { $0.requests == 1 && $0.resets.isEmpty })
    #expect(first.suffix(10).allSatisfy { $0.requests == 0 && $0.resets == [.rateLimited] })
    // One reproach for what is refused, not one for each.
    #expect(first.flatMap(\.offences) == [.rateExceeded])
    #expect(stage.host.streamRefusals == [.rateLimited: 10] && stage.host.peering.reasonCounts.offences == [.rateExceeded: 1])
    stage.advance(.seconds(1))
    #expect((0..<101).map { _ in stage.asked(HostProtocols.identify).resets.count }.reduce(0, +) == 1)
  }

  /// A flood ends the link after some hundred messages, and everybody of that name for twelve hours after some more.
  @Test func floodsAreDisconnected() {
    var stage = OneLink()
    var count = 0
    var closes: [Reason.Code] = []
    while closes.isEmpty && count < 10_000 {
      count += 1
      closes = stage.asked().closes
    }
    #expect(closes == [.lowScore] && (580...680).contains(count), "\(count) messages")
  }

  /// Coming back earns nothing: neither under the same name nor under another from the same address.
  @Test func nothingIsEarnedByComingBack() {
    var stage = OneLink { $0.rates.protocols[service] = .init(perSecond: 10, burst: 20) }
    func served(_ count: Int) -> Int {
      (0..<count).reduce(0) { sum, _ in
        let outputs = stage.asked()
        for case .event(.request(let request)) in outputs { _ = stage.host.handle(.command(.respond(request.stream, [])), now: stage.now) }
        return sum + outputs.requests
      }
    }
    #expect(served(30) == 20)
    stage.reenter()
    #expect(served(30) == 0)
    stage.reenter(3)
    // Nobody is blamed for what another one has used up.
    let before = stage.host.peering.reasonCounts.offences
    #expect(served(30) == 0 && stage.host.peering.reasonCounts.offences == before)
    stage.advance(.seconds(1))
    stage.reenter(4)
    #expect(served(30) == 10)
    stage.reenter(5, from: "/ip4/8.8.4.4/tcp/4001")
    #expect(served(30) == 20)
    // A /64 is one address.
    stage.reenter(6, from: "/ip6/2600::1/tcp/4001")
    #expect(served(30) == 20)
    stage.reenter(7, from: "/ip6/2600::2/tcp/4001")
    #expect(served(30) == 0)
    // Once they would be full they are as good as new, and whoever asks too much then is to blame.
    stage.advance(.seconds(3))
    stage.reenter(8, from: "/ip6/2600::3/tcp/4001")
    #expect(served(30) == 20 && stage.host.peering.reasonCounts.offences != before)
  }

  /// What this side may ask of a peer that remembers is remembered here as well.
  @Test func ownRequestsGoOnWhereTheyStood() {
    var stage = OneLink { $0.rates.protocols[service] = .init(perSecond: 1, burst: 20) }
    var id = RequestID(rawValue: 0)
    func sent(_ count: Int) -> Int {
      (0..<count).reduce(0) { sum, _ in
        id = RequestID(rawValue: id.rawValue + 1)
        let outputs = stage.host.handle(.command(.request(id, stage.peer, service, [1], timeout: .exactly(.seconds(2)))), now: stage.now)
        for stream in outputs.opens { _ = stage.host.handle(.message(stream, [0]), now: stage.now) }
        return sum + outputs.opens.count
      }
    }
    #expect(sent(30) == 10)
    stage.reenter()
    #expect(sent(30) == 0)
  }

  /// What a peer asks for before it is introduced is refused, and counts.
  @Test func whatIsNotServedYetIsChargedToo() {
    var stage = OneLink { $0.peering.introductionRequired = true }
    let resets = (0..<210).map { _ in stage.opened(service).1.resets }
    #expect(resets.prefix(200).allSatisfy { $0 == [.gated] } && resets.suffix(10).allSatisfy { $0 == [.rateLimited] })
    var closes: [Reason.Code] = []
    for _ in 0..<600 where closes.isEmpty { closes = stage.opened(service).1.closes }
    #expect(closes == [.lowScore])
  }

  @Test func protocolsMayHaveLimitsOfTheirOwn() {
    var stage = OneLink { $0.rates.protocols[service] = .init(perSecond: 1, burst: 2) }
    #expect((0..<4).map { _ in stage.asked().requests } == [1, 1, 0, 0])
    #expect(stage.asked(HostProtocols.identify).resets.isEmpty)
  }

  @Test func pingsAndGossipAreMetered() {
    var stage = OneLink { $0.rates.ping = .init(perSecond: 1, burst: 3) }
    let (ping, _) = stage.opened(HostProtocols.ping)
    // The opening of the stream counts as one.
    let answers = (0..<3).map { _ in stage.host.handle(.message(ping, [UInt8](repeating: 1, count: 32)), now: stage.now) }
    #expect(answers.map(\.resets) == [[], [], [.rateLimited]])
    #expect(stage.opened(HostProtocols.ping).1.resets == [.rateLimited])
    // Streams that say nothing are metered too.
    #expect((0..<211).map { _ in stage.opened(HostProtocols.goodbye).1.resets.count }.reduce(0, +) == 10, "a link's first is free")

    var gossip = OneLink { $0.rates.gossip = .init(perSecond: 1_000, burst: 10_000) }
    let (stream, _) = gossip.opened("/meshsub/1.1.0")
    // A field that nobody knows, of a thousand bytes in all.
    let rpc: [UInt8] = [0x7a, 0xe5, 0x07] + [UInt8](repeating: 0, count: 997)
    for _ in 0..<8 { _ = gossip.host.handle(.message(stream, rpc), now: gossip.now) }
    // Six of 1,512 bytes with their overhead; what is too much is not even read.
    #expect(gossip.host.gossip?.statistics.bytesIn == 6_000 && gossip.host.streamRefusals == [.rateLimited: 2])
  }

  /// Why a link ends is told to both ends, however much its peer has asked before.
  @Test func aGoodbyeIsHeardFromWhoeverAskedTooMuch() {
    var stage = OneLink()
    while stage.opened(HostProtocols.identify).1.resets.isEmpty {}
    let (goodbye, outputs) = stage.opened(HostProtocols.goodbye)
    #expect(outputs.resets.isEmpty)
    _ = stage.host.handle(.message(goodbye, Reason(.operatorRequest).encoded), now: stage.now)
    _ = stage.host.handle(.closed(stage.link, .endOfFile), now: stage.now)
    #expect(stage.host.peering.reasonCounts.lost == [.operatorRequest: 1])
  }

  /// Whoever has a link is heard: what nobody hears would only fill the line. At 18 points both end.
  @Test func whoeverIsLinkedIsHeard() {
    var stage = OneLink()
    let (stream, _) = stage.opened("/meshsub/1.1.0")
    for points in 0..<18 {
      _ = stage.host.handle(.message(stream, [0x7a, 0x00]), now: stage.now)
      #expect(stage.host.gossip?.statistics.graylisted == 0, "\(points) points")
      #expect(stage.host.peering.links(now: stage.now).count == 1)
      _ = stage.host.handle(.command(.report(stage.peer, .rateExceeded)), now: stage.now)
    }
    #expect(stage.host.peering.links(now: stage.now).count == 0)
  }

  /// A refusal says why; what cannot be read costs score.
  @Test func exchangeRefusesWithACode() {
    let name = HostProtocols.peers("main")
    func asked(_ stage: inout OneLink, _ payload: [UInt8]) -> [HostCore.Output] {
      let (stream, outputs) = stage.opened(name)
      return outputs + stage.host.handle(.message(stream, payload), now: stage.now)
    }
    var stage = OneLink()
    let resets = (0..<7).map { _ in asked(&stage, [0x08, 0x02]).resets }
    #expect(resets.prefix(5).allSatisfy(\.isEmpty) && resets.suffix(2).allSatisfy { $0 == [.rateLimited] })
    #expect(stage.host.streamRefusals == [.rateLimited: 2])
    let malformed = asked(&stage, [0x08])
    #expect(malformed.resets == [.protocolViolation] && malformed.offences == [.malformedMessage])
  }

  /// This side never exceeds a peer of the same limits, even when the network holds everything up for a second and then delivers at once.
  @Test func ownRequestsWaitForTheirTurn() {
    var stage = OneLink()
    var far = OneLink()
    var asked = 0
    var sent: [Instant] = []
    func take(_ outputs: [HostCore.Output]) {
      for stream in outputs.opens {
        sent.append(stage.now)
        _ = stage.host.handle(.message(stream, [0]), now: stage.now)
      }
    }
    let end = stage.now + .seconds(5)
    while stage.now < end {
      asked += 1
      take(
        stage.host.handle(
          .command(.request(RequestID(rawValue: UInt64(asked)), stage.peer, service, [1], timeout: .exactly(.seconds(2)))), now: stage.now))
      stage.advance(.milliseconds(5))
      if let deadline = stage.host.nextDeadline, deadline <= stage.now { take(stage.host.handle(.timer, now: stage.now)) }
    }
    // Nine tenths of a hundred a second, and the burst.
    #expect((400...560).contains(sent.count), "\(sent.count) of \(asked) requests went out")
    // The far end gets them second by second.
    var refused = 0
    for moment in sent {
      let arrival = Instant.zero + .seconds(2) + .seconds(Int64((moment - .zero).seconds.rounded(.up)))
      if arrival > far.now { far.advance(arrival - far.now) }
      let outputs = far.asked()
      refused += outputs.resets.count { $0 == .rateLimited }
      for case .event(.request(let request)) in outputs { _ = far.host.handle(.command(.respond(request.stream, [])), now: far.now) }
    }
    #expect(refused == 0)
  }

  /// What waited for the core is charged by when it came: whoever keeps to the rate is not blamed for the core's being behind. Who does not, is.
  @Test func whatWaitsIsChargedByWhenItCame() {
    for (gap, refusals) in [(10, 0), (2, 121)] {
      var stage = OneLink()
      stage.advance(.seconds(60))
      let come = stage.now
      stage.advance(.seconds(10))
      var resets: [ResetCode] = []
      for number in 0..<400 as Range<UInt32> {
        let stream = stage.stream(2 * number + 1)
        let arrived = come + .milliseconds(Int64(number) * Int64(gap))
        var outputs = stage.host.handle(.streamOpened(stream, service, arrived: arrived), now: stage.now)
        outputs += stage.host.handle(.message(stream, [1], arrived: arrived), now: stage.now)
        resets += outputs.resets
        for case .event(.request(let request)) in outputs {
          _ = stage.host.handle(.command(.decline(request.stream)), now: stage.now)
        }
      }
      #expect(abs(resets.count - refusals) <= 1 && resets.allSatisfy { $0 == .rateLimited }, "a request in \(gap) ms: \(resets.count)")
    }
  }

  /// A long request counts as several of its protocol, by its bytes, which both ends know; what one end sends the other takes.
  @Test func longRequestsCountMore() {
    let rate = RateLimits.Rate(perSecond: 10, burst: 40)
    var stage = OneLink { $0.rates.protocols[service] = rate }
    // One and nine more, four times.
    let long = 9 * 1_024 + 1
    let outputs = (0..<5).map { _ in stage.asked(bytes: long) }
    #expect(outputs.map(\.requests) == [1, 1, 1, 1, 0] && outputs[4].resets == [.rateLimited])
    // A short one still goes through when a long one does not.
    stage.advance(.milliseconds(200))
    #expect(stage.asked(bytes: long).requests == 0 && stage.asked().requests == 1 && stage.asked().requests == 0)
    #expect(stage.asked(HostProtocols.identify, bytes: long).resets.isEmpty)

    var near = OneLink { $0.rates.protocols[service] = rate }
    var far = OneLink { $0.rates.protocols[service] = rate }
    var sent = 0
    func carry(_ outputs: [HostCore.Output]) {
      for case .send(_, let bytes) in outputs where bytes.count > 1_000 {
        sent += 1
        #expect(far.asked(bytes: bytes.count).requests == 1)
      }
    }
    for number in 1...10 as ClosedRange<UInt64> {
      let request = HostCore.Command.request(
        RequestID(rawValue: number), near.peer, service, [UInt8](repeating: 0, count: long), timeout: .exactly(.seconds(60)))
      carry(near.host.handle(.command(request), now: near.now))
    }
    for _ in 0..<200 {
      near.advance(.milliseconds(100))
      far.advance(.milliseconds(100))
      carry(near.host.handle(.timer, now: near.now))
    }
    #expect(sent == 10)
  }

  /// An answer counts as what its peer makes this side keep until it has left; one that is not read is given up.
  @Test func answersThatAreNotReadAreGivenUp() {
    var stage = OneLink { $0.memoryPerPeerMaximum = 250_000 }
    var answered: [StreamRef] = []
    func answer() -> [ResetCode] {
      guard let stream = stage.asked().compactMap({ if case .event(.request(let request)) = $0 { request.stream } else { nil } }).first
      else { return [] }
      answered.append(stream)
      return stage.host.handle(.command(.respond(stream, [UInt8](repeating: 0, count: 100_000))), now: stage.now).resets
    }
    #expect(answer() == [] && answer() == [] && answer() == [.resourceLimit])
    #expect(stage.host.unsentAnswerBytes(of: stage.peer) == 200_000 && stage.host.memory.used == 200_000)
    #expect(!stage.host.awaitsAnswer(answered[0]))
    let left = stage.host.handle(.streamEnded(answered[0], nil), now: stage.now)
    #expect(left.contains { if case .event(.answered(stage.peer, _, _)) = $0 { true } else { false } })
    #expect(stage.host.unsentAnswerBytes(of: stage.peer) == 100_000 && stage.host.memory.used == 100_000)
    stage.advance(.seconds(61))
    let late = stage.host.handle(.timer, now: stage.now)
    #expect(
      late.resets.contains(.resourceLimit) && late.contains { if case .event(.answered(stage.peer, _, _)) = $0 { true } else { false } })
    #expect(stage.host.unsentAnswerBytes(of: stage.peer) == 0 && stage.host.memory.used == 0)
  }

  @Test func requestsThatWaitEndLikeOthers() {
    var stage = OneLink { $0.rates.peer = .init(perSecond: 0.1, burst: 2) }
    // Identify has had the one token.
    var outputs: [HostCore.Output] = []
    for number in 1...3 as ClosedRange<UInt64> {
      outputs += stage.host.handle(
        .command(.request(RequestID(rawValue: number), stage.peer, service, [1], timeout: .exactly(.seconds(5)))), now: stage.now)
    }
    #expect(outputs.opens.isEmpty)
    stage.advance(.seconds(5))
    outputs = stage.host.handle(.timer, now: stage.now)
    let failures = outputs.compactMap { if case .event(.response(let id, .failure(.timeout))) = $0 { id.rawValue } else { nil } }
    #expect(failures == [1, 2, 3] && outputs.opens.isEmpty)
    #expect(stage.host.nextDeadline.map { $0 > stage.now } ?? true)
  }

  @Test func requestsThatWaitForAnAnswerAreBoundedInBytes() {
    var stage = OneLink { $0.memoryPerPeerMaximum = 250_000 }
    let outputs = (0..<3).map { _ in stage.asked(bytes: 100_000) }
    #expect(outputs.map(\.requests) == [1, 1, 0] && outputs[2].resets == [.resourceLimit])
    #expect(stage.host.memory.used == 200_000)
    for case .event(.request(let request)) in outputs[0] { _ = stage.host.handle(.command(.decline(request.stream)), now: stage.now) }
    #expect(stage.host.memory.used == 100_000)
    #expect(stage.asked(bytes: 100_000).requests == 1)
    _ = stage.host.handle(.closed(stage.link, .endOfFile), now: stage.now)
    #expect(stage.host.memory.used == 0)
  }

  /// What the remote did wrong on a stream costs it; what this side did costs nobody.
  @Test(arguments: [
    (ChannelError.messageTooLarge(bytes: 11 << 20, maximum: 10 << 20), [Offence.oversizedMessage]),
    (.protocolViolation("framing"), [.protocolViolation]), (.limit("memory"), []), (.streamReset(.rateLimited), []),
  ])
  func streamFaults(error: ChannelError, offences: [Offence]) {
    var stage = OneLink()
    let (stream, _) = stage.opened(service)
    #expect(stage.host.handle(.streamEnded(stream, error), now: stage.now).offences == offences)
  }
}
