import Identity
import Testing
import Wire

@testable import Gossip

@Suite struct ControlTests {
  func hash(_ data: [UInt8]) -> [UInt8] { crypto.sha256(data).bytes }

  func bench(_ rules: TopicConfiguration = .unsigned, _ configuration: Gossip.Configuration = .init(), peers: Int = 3) -> Bench {
    let bench = Bench(configuration)
    bench.input(.subscribe(blocks, rules))
    for number in 1...peers { bench.join(peer(number)) }
    return bench
  }

  @Test func whatIsAnnouncedAndMissingIsAskedForOnce() {
    let bench = bench()
    bench.input(.received(peer(1), rpc { $0.publish(blocks, [1]) }))
    let announced = rpc { $0.ihave(blocks, [hash([1]), hash([2]), hash([3])]) }
    #expect(bench.input(.received(peer(2), announced)).sent(to: peer(2)) == ["iwant 2"])
    #expect(bench.input(.received(peer(3), announced)) == [], "peer 2 was asked already")
    #expect(bench.input(.received(peer(2), rpc { $0.publish(blocks, [2]) })).delivered == [[2]])
    // Peer 2 keeps one promise and breaks the other; then somebody else may be asked.
    #expect(bench.run(to: 4.1).offences == [.brokenPromises(1)])
    #expect(bench.input(.received(peer(3), announced)).sent(to: peer(3)) == ["iwant 1"])
    #expect(bench.broken == [])
  }

  /// Who signs where nobody signs names its messages by other rules, too: what it announces would never come under that name.
  @Test func whoGoesByOtherRulesIsNotAskedAndNotBlamed() {
    let bench = bench()
    let signed = rpc {
      $0.writer.message(2) {
        $0.data(1, peer(1).bytes)
        $0.data(2, [1])
        $0.string(4, blocks.name)
      }
    }
    let announced = rpc { $0.ihave(blocks, [[1, 2, 3]]) }
    #expect(bench.input(.received(peer(1), signed)) == [.event(.refused(blocks, .forbiddenField, from: peer(1)))])
    #expect(bench.input(.received(peer(1), announced)) == [])
    #expect(bench.input(.received(peer(2), announced)).sent(to: peer(2)) == ["iwant 1"])
    #expect(bench.run(to: 4.1).offences == [.brokenPromises(1)], "peer 2's alone")
    // It has learnt.
    bench.input(.received(peer(1), rpc { $0.publish(blocks, [2]) }))
    #expect(bench.input(.received(peer(1), announced)).sent(to: peer(1)) == ["iwant 1"])
    #expect(bench.broken == [])
  }

  @Test func announcementsAreBoundedInEachHeartbeat() {
    var configuration = Gossip.Configuration()
    configuration.maximumIHaveIDs = 4
    let bench = bench(.init(), configuration)
    var outputs: [Gossip.Output] = []
    for number in 0..<12 { outputs += bench.input(.received(peer(1), rpc { $0.ihave(blocks, [hash([UInt8(number)])]) })) }
    #expect(outputs.sent(to: peer(1)) == Array(repeating: "iwant 1", count: 4))
    // Whose heartbeat is quicker is not to blame.
    #expect(outputs.offences == [] && bench.gossip.statistics.ignoredElements == 2)
    bench.run(to: 1)
    #expect(bench.input(.received(peer(1), rpc { $0.ihave(blocks, [hash([20])]) })).sent(to: peer(1)) == ["iwant 1"])
    #expect(bench.input(.received(peer(1), rpc { $0.ihave("other", [hash([21])]) })) == [])
  }

  @Test func messagesAreServedThreeTimesAndForFiveHeartbeats() {
    let bench = bench()
    bench.input(.received(peer(1), rpc { $0.publish(blocks, [1]) }))
    let wish = rpc { $0.iwant([hash([1]), hash([9])]) }
    for _ in 0..<3 { #expect(bench.input(.received(peer(2), wish)).sent(to: peer(2)) == ["msg 1"]) }
    #expect(bench.input(.received(peer(2), wish)) == [])
    bench.run(to: 3.9)
    #expect(bench.input(.received(peer(3), wish)).sent(to: peer(3)) == ["msg 1"])
    bench.run(to: 6.1)
    #expect(bench.input(.received(peer(1), wish)) == [])
  }

  @Test func badPeersNeitherAskNorAnnounce() {
    let bench = bench()
    bench.input(.received(peer(1), rpc { $0.publish(blocks, [1]) }))
    bench.input(.score(peer(2), -3))
    #expect(bench.input(.received(peer(2), rpc { $0.iwant([hash([1])]) })) == [])
    #expect(bench.input(.received(peer(2), rpc { $0.ihave(blocks, [hash([2])]) })) == [])
  }

  @Test func newsGoToPeersOutsideTheMeshForThreeHeartbeats() {
    var configuration = Gossip.Configuration()
    configuration.floodsOwnMessages = false
    let bench = bench(.unsigned, configuration, peers: 30)
    let mesh = Set(bench.gossip.meshPeers(blocks))
    bench.input(.publish(blocks, [1]))
    var heard: [PeerID: Int] = [:]
    for second in 1...6 {
      let outputs = bench.run(to: Double(second))
      var here = 0
      for number in 1...30 where outputs.sent(to: peer(number)) == ["ihave 1"] {
        here += 1
        heard[peer(number), default: 0] += 1
      }
      #expect(here == (second <= 3 ? 6 : 0), "24 or 25 others: the factor gives 6, as D_lazy")
    }
    #expect(mesh.isDisjoint(with: heard.keys))
  }

  @Test func dontWantPrecedesValidationAndIsHonoured() {
    let bench = bench(TopicConfiguration(signing: .strictNoSign, validation: .application))
    bench.join(peer(4), .meshsub11)
    let large = [UInt8](repeating: 1, count: 1_024)
    let outputs = bench.input(.received(peer(1), rpc { $0.publish(blocks, large) }))
    #expect(outputs.sent(to: peer(1)) == [])
    #expect(outputs.sent(to: peer(2)) == ["idontwant 1"])
    #expect(outputs.sent(to: peer(3)) == ["idontwant 1"])
    #expect(outputs.sent(to: peer(4)) == [], "1.1 doesn't know it")
    #expect(outputs.last == outputs.toValidate.first.map { .validate($0) })

    bench.input(.received(peer(2), rpc { $0.dontWant([hash(large)]) }))
    let accepted = bench.input(.validated(outputs.toValidate[0].id, topic: blocks, .accept))
    #expect(Set(accepted.messageReceivers) == [peer(3), peer(4)])
    #expect(bench.gossip.statistics.copiesSuppressed == 1)

    let small = bench.input(.received(peer(1), rpc { $0.publish(blocks, [UInt8](repeating: 2, count: 1_023)) }))
    #expect(small.sent(to: peer(2)) == [])
    #expect(bench.broken == [])
  }

  @Test func withoutValidationOnlyLargeMessagesAreAnnounced() {
    let bench = bench()
    let outputs = bench.input(.received(peer(1), rpc { $0.publish(blocks, [UInt8](repeating: 1, count: 16_384)) }))
    #expect(outputs.sent(to: peer(2)) == ["idontwant 1", "msg 16384"])
    #expect(
      bench.input(.received(peer(1), rpc { $0.publish(blocks, [UInt8](repeating: 1, count: 9_000)) })).sent(to: peer(2)) == ["msg 9000"])
  }

  @Test func wishesNotToHaveAreForgottenInTime() {
    let bench = bench()
    bench.input(.received(peer(2), rpc { $0.dontWant([hash([1])]) }))
    bench.run(to: 12)
    #expect(Set(bench.input(.received(peer(1), rpc { $0.publish(blocks, [1]) })).messageReceivers) == [peer(2), peer(3)])
  }
}

@Suite struct SlowPeerTests {
  func publish(_ number: Int, bytes: Int = 100) -> [UInt8] {
    rpc { $0.publish(blocks, [UInt8(number >> 8), UInt8(number & 255)] + [UInt8](repeating: 0, count: bytes - 2)) }
  }

  @Test func aBlockedPeerWaitsAndGetsEverythingInOrderOfPriority() {
    let bench = Bench()
    bench.input(.subscribe(blocks, .unsigned))
    bench.join(peer(1))
    bench.join(peer(2))
    bench.input(.blocked(peer(2)))
    bench.input(.received(peer(2), rpc { $0.ihave(blocks, [[1]]) }))
    bench.input(.received(peer(1), publish(1)))
    bench.input(.received(peer(1), publish(2)))
    bench.input(.publish(blocks, [1]))
    bench.input(.subscribe("later", .unsigned))
    #expect(bench.gossip.statistics(of: peer(2))?.bytesQueued ?? 0 > 200)
    #expect(bench.input(.writable(peer(2))).sent(to: peer(2)) == ["sub later", "msg 1", "msg 100", "msg 100", "iwant 1"])
    #expect(bench.broken == [])
  }

  @Test func aPeerThatStopsReadingCostsBoundedMemoryAndLosesTheLeastImportant() {
    var configuration = Gossip.Configuration()
    configuration.maximumQueuedFrames = 50
    configuration.maximumQueuedBytes = 3_000
    let bench = Bench(configuration)
    bench.input(.subscribe(blocks, .unsigned))
    bench.join(peer(1))
    bench.join(peer(2))
    bench.input(.blocked(peer(2)))
    for number in 0..<1_000 {
      bench.input(.received(peer(1), publish(number)))
      #expect(bench.gossip.statistics(of: peer(2))!.bytesQueued <= 3_000)
    }
    for number in 0..<5 { bench.input(.publish(blocks, [UInt8(number)])) }
    let dropped = bench.gossip.statistics.framesDropped
    #expect(dropped > 900)
    #expect(bench.run(to: 1).offences == [.slow(dropped: dropped)])
    let sent = bench.input(.writable(peer(2))).sent(to: peer(2))
    #expect(Array(sent.prefix(5)) == Array(repeating: "msg 1", count: 5), "own messages pushed others out and lead")
    #expect(sent.count <= 50)
    #expect(bench.broken == [])
  }

  @Test func aQueueLeavesInBursts() {
    var configuration = Gossip.Configuration()
    configuration.burstBytes = 1_000
    let bench = Bench(configuration)
    bench.input(.subscribe(blocks, .unsigned))
    bench.join(peer(1))
    bench.join(peer(2))
    bench.input(.blocked(peer(2)))
    for number in 0..<30 { bench.input(.received(peer(1), publish(number))) }
    #expect(bench.input(.writable(peer(2))).messageReceivers.count == 8)
    #expect(bench.gossip.nextDeadline == bench.now)
    bench.input(.blocked(peer(2)))
    #expect(bench.input(.timer).messageReceivers == [])
    #expect(bench.input(.writable(peer(2))).messageReceivers.count == 8)
    // New messages keep behind those that wait.
    #expect(bench.input(.received(peer(1), publish(100))).messageReceivers == [])
    #expect(bench.input(.timer).messageReceivers.count == 8)
    #expect(bench.input(.timer).messageReceivers.count == 7)
    #expect(bench.gossip.nextDeadline != bench.now)
    #expect(bench.broken == [])
  }

  @Test func whatThePeerGotElsewhereIsTakenOutOfItsQueue() {
    let bench = Bench()
    bench.input(.subscribe(blocks, .unsigned))
    bench.join(peer(1))
    bench.join(peer(2))
    bench.input(.blocked(peer(2)))
    for number in 0..<3 { bench.input(.received(peer(1), publish(number))) }
    bench.input(.received(peer(2), publish(0)))
    let id = crypto.sha256([0, 1] + [UInt8](repeating: 0, count: 98)).bytes
    bench.input(.received(peer(2), rpc { $0.dontWant([id]) }))
    #expect(bench.input(.writable(peer(2))).messageReceivers.count == 1)
    #expect(bench.gossip.statistics.copiesSuppressed == 2)
  }

  @Test func oneMessageAboveTheQueueBoundStillPasses() {
    var configuration = Gossip.Configuration()
    configuration.maximumQueuedBytes = 1_000
    let bench = Bench(configuration)
    bench.input(.subscribe(blocks, .unsigned))
    bench.join(peer(1))
    bench.join(peer(2))
    bench.input(.blocked(peer(2)))
    bench.input(.received(peer(1), publish(1, bytes: 5_000)))
    #expect(bench.input(.writable(peer(2))).sent(to: peer(2)) == ["msg 5000"])
  }

  @Test func tenThousandMessagesInASecondPassWithoutLoss() {
    let bench = Bench()
    bench.input(.subscribe(blocks, .unsigned))
    for number in 1...7 { bench.join(peer(number)) }
    var outputs: [Gossip.Output] = []
    for number in 0..<10_000 {
      bench.now += .microseconds(100)
      // A stream that is blocked for 400 of every 500 messages.
      if number % 500 == 100 { bench.gossip.handle(.blocked(peer(2)), now: bench.now, into: &outputs) }
      if number % 500 == 499 { bench.gossip.handle(.writable(peer(2)), now: bench.now, into: &outputs) }
      bench.gossip.handle(.received(peer(1), publish(number, bytes: 1_024)), now: bench.now, into: &outputs)
      if let deadline = bench.gossip.nextDeadline, deadline <= bench.now { bench.gossip.handle(.timer, now: bench.now, into: &outputs) }
    }
    #expect(bench.gossip.statistics.framesDropped == 0)
    let mesh = bench.gossip.meshPeers(blocks).filter { $0 != peer(1) }
    #expect(bench.gossip.statistics.messagesSent == 10_000 * mesh.count)
  }
}
