import Testing
import Wire

@testable import Gossip

/// What one peer may take of what there is for all.
@Suite struct ShareTests {
  private func hash(_ data: [UInt8]) -> [UInt8] { crypto.sha256(data).bytes }

  private func bench(_ rules: TopicConfiguration = .unsigned, _ change: (inout Gossip.Configuration) -> Void) -> Bench {
    var configuration = Gossip.Configuration()
    change(&configuration)
    let bench = Bench(configuration)
    bench.input(.subscribe(blocks, rules))
    for number in 1...4 { bench.join(peer(number)) }
    return bench
  }

  /// Peers that announce, again and again, what nobody has ever seen: another one's announcement is heeded all the same.
  @Test func announcementsOfNothingKeepNobodyFromBeingHeard() {
    let bench = bench { $0.maximumPromises = 400 }
    for round in 0..<10 {
      for liar in 1...3 {
        let junk = (0..<400).map { hash([UInt8(liar), UInt8(round), UInt8($0 >> 8), UInt8($0 & 255)]) }
        bench.input(.received(peer(liar), rpc { $0.ihave(blocks, junk) }))
      }
      #expect(bench.gossip.promises.count <= 300)
      let wanted = bench.input(.received(peer(4), rpc { $0.ihave(blocks, [hash([9, UInt8(round)])]) }))
      #expect(wanted.sent(to: peer(4)) == ["iwant 1"], "round \(round)")
      bench.input(.received(peer(4), rpc { $0.publish(blocks, [9, UInt8(round)]) }))
      bench.run(to: Double(round + 1))
    }
    // What came, or was given up, makes room again.
    bench.run(to: 20)
    let many = (0..<100).map { hash([7, UInt8($0)]) }
    #expect(bench.input(.received(peer(4), rpc { $0.ihave(blocks, many) })).sent(to: peer(4)) == ["iwant 100"])
    #expect(bench.broken == [])
  }

  /// Messages that wait for the application's verdict: one peer's do not fill the room of all.
  @Test func onePeersMessagesLeaveRoomForOthers() {
    let bench = bench(.init(signing: .strictNoSign, validation: .application)) { $0.maximumPendingValidations = 40 }
    let flood = bench.input(.received(peer(1), rpc { for number in 0..<100 { $0.publish(blocks, [1, UInt8(number)]) } })).toValidate
    #expect(flood.count == 10 && bench.gossip.statistics.validationDropped == 90)
    #expect(bench.input(.received(peer(2), rpc { $0.publish(blocks, [2]) })).toValidate.count == 1)
    for message in flood { bench.input(.validated(message.id, topic: blocks, .ignore)) }
    #expect(bench.input(.received(peer(1), rpc { $0.publish(blocks, [3]) })).toValidate.count == 1)

    let large = self.bench(.init(signing: .strictNoSign, validation: .application)) { $0.maximumPendingBytes = 40_000 }
    func publish(_ number: Int, _ bytes: Int) -> Int {
      large.input(.received(peer(number), rpc { $0.publish(blocks, [UInt8](repeating: UInt8(number), count: bytes)) })).toValidate.count
    }
    #expect([publish(1, 20_000), publish(1, 100), publish(2, 5_000), publish(2, 6_000), publish(2, 1_000)] == [1, 0, 1, 0, 1])
    #expect(bench.broken == [] && large.broken == [])
  }

  /// A long message that finds no room to wait for its verdict is not told as here, or nobody else would bring it.
  @Test func whatFindsNoRoomMayComeFromOthers() {
    let bench = bench(.init(signing: .strictNoSign, validation: .application)) {
      $0.maximumPendingValidations = 4
      $0.dontWantBytes = 1_000
    }
    bench.run(to: 1)
    func publish(_ number: Int, _ byte: UInt8) -> [Gossip.Output] {
      bench.input(.received(peer(number), rpc { $0.publish(blocks, [UInt8](repeating: byte, count: 2_000)) }))
    }
    #expect(publish(1, 1).sent(to: peer(2)) == ["idontwant 1"])
    let dropped = publish(1, 2)
    #expect(dropped.toValidate.isEmpty && (2...4).allSatisfy { dropped.sent(to: peer($0)).isEmpty }, "\(dropped)")
    let again = publish(2, 2)
    #expect(again.toValidate.count == 1 && again.sent(to: peer(3)) == ["idontwant 1"])
    #expect(bench.broken == [])
  }

  /// A few bytes may be thousands of fields, each of which costs time: what a peer says beyond so many in a heartbeat is not read.
  @Test func tinyFieldsAreBounded() {
    let bench = bench { $0.maximumFields = 1_000 }
    let unknown = (0..<1_200).flatMap { _ in [0x78, 0x00] as [UInt8] }
    let first = bench.input(.received(peer(1), unknown))
    #expect(first.offences == [.tooManyFields])
    let message = rpc { $0.publish(blocks, [1]) }
    #expect(bench.input(.received(peer(1), message)) == [] && bench.gossip.statistics.rpcsPassedOver == 1)
    #expect(bench.input(.received(peer(2), message)).delivered == [[1]])
    bench.run(to: 1)
    #expect(bench.input(.received(peer(1), rpc { $0.publish(blocks, [2]) })).delivered == [[2]])
    // One RPC with more than anybody needs is not read to its end.
    let endless = self.bench { $0.maximumRPCBytes = 4 << 20 }
    let zeros = [UInt8](unsafeUninitializedCapacity: 2_200_000) { buffer, count in
      for index in buffer.indices { buffer[index] = index.isMultiple(of: 2) ? 0x78 : 0 }
      count = buffer.count
    }
    #expect(endless.input(.received(peer(1), zeros)).offences == [.malformedRPC])
    // Fields inside of others count as well.
    let nested = rpc { $0.control { for _ in 0..<600 { $0.message(3) { $0.data(9, []) } } } }
    #expect(bench.input(.received(peer(1), nested)).offences == [.tooManyFields])
    #expect(bench.broken == [])
  }
}
