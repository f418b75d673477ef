import Crypto
import Identity
import Testing
import Wire

@testable import Discovery

private func machine(_ change: (inout Kademlia.Configuration) -> Void = { _ in }) -> Kademlia {
  var configuration = Kademlia.Configuration()
  configuration.validators["v"] = AnyValueValidator()
  change(&configuration)
  var machine = Kademlia(localPeer: peer(0), crypto: SystemCrypto.shared, configuration: configuration, seed: 1)
  _ = machine.handle(.advertising([item(100).address.withPeerID(peer(0))]), now: at(0))
  return machine
}

private func look(_ number: UInt64) -> LookUpID { LookUpID(rawValue: number) }

extension [Kademlia.Output] {
  fileprivate var requests: [(id: KademliaRequestID, peer: PeerID, message: KademliaMessage)] {
    compactMap { output in
      guard case .request(let id, let peer, _, let bytes) = output, let message = try? KademliaMessage(encoded: bytes.rawSpan) else {
        return nil
      }
      return (id, peer, message)
    }
  }
}

@Suite struct KademliaTests {
  @Test func withoutServersNothingIsFound() {
    var kademlia = machine()
    #expect(kademlia.handle(.start(look(1), .findPeer(peer(9))), now: at(0)) == [.finished(look(1), .failure(.noServers))])
    #expect(kademlia.handle(.start(look(2), .provide([1])), now: at(0)) == [.finished(look(2), .failure(.noServers))])
    #expect(kademlia.nextDeadline.map { $0 >= at(3_600) } ?? true, "nothing but the sweep is due")
    // As soon as there is a server the entry is stored, without being asked for again.
    #expect(kademlia.handle(.server(peer(1), addresses: [item(1).address], remote: nil), now: at(10)).isEmpty)
    #expect(!kademlia.handle(.timerFired, now: at(11)).requests.contains { $0.message.key == [1] }, "the table is filled first")
    #expect(kademlia.handle(.timerFired, now: at(12)).requests.contains { $0.message == KademliaMessage(.findNode, key: [1]) })
    kademlia.checkInvariants()
  }

  /// An entry that only one server could take is given to the others as soon as the table has grown.
  @Test func ownEntriesSpreadWithTheTable() {
    let world = KademliaWorld(seed: 2)
    for number in 1...2 as ClosedRange<UInt64> { world.add(number) }
    world.link(peer(1), peer(2))
    world.start(peer(1), 1, .provide([5]))
    world.run(.seconds(5))
    #expect(world.outcome(1) == .stored(1))
    for number in 3...9 as ClosedRange<UInt64> {
      world.add(number)
      world.link(peer(number), peer(2))
    }
    func holders() -> Int { (2...9 as ClosedRange<UInt64>).count { world.nodes[peer($0)]!.machine.statistics.providers == 1 } }
    world.run(.seconds(60))
    #expect(holders() == 1)
    world.run(.seconds(600))
    #expect(holders() == 8)
  }

  /// When the node's addresses change, servers are told the new ones, and not only at the next turn of the entry.
  @Test func newAddressesAreProvided() {
    let world = KademliaWorld(seed: 3)
    for number in 1...2 as ClosedRange<UInt64> { world.add(number) }
    world.link(peer(1), peer(2))
    world.start(peer(1), 1, .provide([5]))
    world.run(.seconds(5))
    let moved = item(50).address
    world.input(peer(1), .advertising([moved]))
    world.run(.seconds(10))
    world.start(peer(2), 2, .findProviders([5], maximum: 1))
    world.run(.seconds(5))
    #expect(world.outcome(2) == .providers([FoundPeer(peer(1), [moved])]))
  }

  @Test func whatMayNotBeIsRefusedAtOnce() {
    var kademlia = machine()
    func reason(_ query: Kademlia.Query) -> Bool {
      if case .finished(_, .failure(.invalid(let text)))? = kademlia.handle(.start(look(1), query), now: at(0)).first {
        !text.isEmpty
      } else {
        false
      }
    }
    #expect(reason(.findPeer(peer(0))))
    #expect(reason(.closestPeers([])))
    #expect(reason(.provide([UInt8](repeating: 0, count: 81))))
    #expect(reason(.findProviders([], maximum: 1)))
    #expect(reason(.putValue(Array("/nobody/x".utf8), [1])))
    #expect(reason(.putValue(Array("/v/x".utf8), [UInt8](repeating: 1, count: 65_537))))
    #expect(reason(.getValue(Array("x".utf8), quorum: 0)))
    _ = kademlia.handle(.advertising([]), now: at(0))
    #expect(reason(.provide([1])))
  }

  @Test func requestsTimeOutAndTheLookUpEnds() {
    var kademlia = machine()
    _ = kademlia.handle(.server(peer(1), addresses: [], remote: nil), now: at(0))
    let sent = kademlia.handle(.start(look(1), .closestPeers([1])), now: at(0.5)).requests
    #expect(sent.map(\.peer) == [peer(1)] && sent[0].message.kind == .findNode)
    let outputs = kademlia.handle(.timerFired, now: at(10.5))
    #expect(outputs.contains(.cancel(sent[0].id)) && outputs.contains(.finished(look(1), .peers([]))))
    #expect(kademlia.servers == [peer(1)], "one failure is forgiven")
    #expect(kademlia.handle(.answer(sent[0].id, KademliaMessage(.findNode).encoded), now: at(11)).isEmpty, "late news are ignored")
    kademlia.checkInvariants()
  }

  @Test func aLookUpHasAnEnd() {
    var kademlia = machine { $0.lookUpTimeout = .seconds(20) }
    _ = kademlia.handle(.server(peer(1), addresses: [], remote: nil), now: at(0))
    var now = 0.0
    var waiting = kademlia.handle(.start(look(2), .findPeer(peer(77))), now: at(0)).requests
    var ended: Kademlia.Outcome?
    var next: UInt64 = 1_000
    while ended == nil, now < 100 {
      now += 5
      var outputs = kademlia.handle(.timerFired, now: at(now))
      for request in waiting {
        // An endless chain of names that nobody has heard of before.
        let chain = (0..<20).map { KademliaMessage.Peer(id: peer(next + $0), addresses: [item(5).address]) }
        next += 20
        outputs += kademlia.handle(.answer(request.id, KademliaMessage(.findNode, closerPeers: chain).encoded), now: at(now))
      }
      waiting = outputs.requests.filter { $0.message.key == peer(77).bytes }
      #expect(waiting.count <= 10)
      for case .finished(look(2), let outcome) in outputs { ended = outcome }
      kademlia.checkInvariants()
    }
    #expect(ended == .failure(.timedOut) && now == 20)
  }

  @Test func cancelledLookUpsEndTheirRequests() {
    var kademlia = machine()
    for number in 1...5 as ClosedRange<UInt64> { _ = kademlia.handle(.server(peer(number), addresses: [], remote: nil), now: at(0)) }
    let sent = kademlia.handle(.start(look(1), .closestPeers([1])), now: at(0)).requests
    let outputs = kademlia.handle(.cancel(look(1)), now: at(0.5))
    #expect(outputs == sent.map { .cancel($0.id) } + [.finished(look(1), .failure(.cancelled))])
    #expect(kademlia.statistics.requests == 0)
    #expect(kademlia.handle(.cancel(look(1)), now: at(0.5)).isEmpty)
  }

  @Test func lookUpsAreLimited() {
    var kademlia = machine { $0.lookUpsMaximum = 3 }
    _ = kademlia.handle(.server(peer(1), addresses: [], remote: nil), now: at(0))
    for number in 1...3 as ClosedRange<UInt64> { _ = kademlia.handle(.start(look(number), .closestPeers([1])), now: at(0)) }
    #expect(kademlia.handle(.start(look(4), .closestPeers([1])), now: at(0)) == [.finished(look(4), .failure(.limit))])
  }

  @Test func aPeerThatIsLinkedIsFoundThoughItDoesNotServe() {
    var kademlia = machine()
    _ = kademlia.handle(.server(peer(1), addresses: [], remote: nil), now: at(0))
    let first = kademlia.handle(.start(look(1), .findPeer(peer(9))), now: at(0)).requests
    let told = KademliaMessage(.findNode, closerPeers: [.init(id: peer(9), addresses: [item(9).address])])
    let second = kademlia.handle(.answer(first[0].id, told.encoded), now: at(0.1))
    #expect(second.contains(.learned([item(9)], from: peer(1))))
    #expect(second.requests.map(\.peer) == [peer(9)])
    let outputs = kademlia.handle(.failed(second.requests[0].id, .unsupported), now: at(0.2))
    #expect(outputs == [.finished(look(1), .peer(FoundPeer(peer(9), [item(9).address]), isReached: true))])
  }

  /// The first to answer lies about where the peer is; the second knows.
  @Test func otherAddressesOfThePeerSoughtAreTried() {
    var kademlia = machine()
    for number in [1, 2] as [UInt64] { _ = kademlia.handle(.server(peer(number), addresses: [], remote: nil), now: at(0)) }
    let first = kademlia.handle(.start(look(1), .findPeer(peer(9))), now: at(0)).requests
    func told(_ number: UInt64) -> [UInt8] {
      KademliaMessage(.findNode, closerPeers: [.init(id: peer(9), addresses: [item(number).address])]).encoded
    }
    let wrong = kademlia.handle(.answer(first[0].id, told(66)), now: at(0.1)).requests
    _ = kademlia.handle(.failed(wrong[0].id, .unreachable), now: at(0.2))
    let again = kademlia.handle(.answer(first[1].id, told(9)), now: at(0.3))
    #expect(again.contains { if case .request(_, peer(9), [item(9).address], _) = $0 { true } else { false } })
    let end = kademlia.handle(.failed(again.requests[0].id, .unreachable), now: at(0.4))
    #expect(
      end == [.finished(look(1), .peer(FoundPeer(peer(9), [item(66).address, item(9).address]), isReached: false))], "hearsay, and said so")
  }

  @Test func serving() throws {
    var kademlia = machine()
    var outputs: [Kademlia.Output] = []
    for number in 1...30 as ClosedRange<UInt64> {
      _ = kademlia.handle(.server(peer(number), addresses: [item(number).address], remote: nil), now: at(0))
    }
    func ask(_ message: KademliaMessage, from asker: UInt64 = 5, known: [Multiaddr] = []) -> KademliaMessage? {
      let service = kademlia.serve(
        peer(asker), at: nil, message.encoded.rawSpan, now: at(1), isConnected: { $0 == peer(700) },
        addresses: { $0 == peer(700) ? known : [] },
        into: &outputs)
      guard case .answer(let bytes) = service else { return nil }
      return try? KademliaMessage(encoded: bytes.rawSpan)
    }
    let near = try #require(ask(KademliaMessage(.findNode, key: peer(700).bytes)))
    #expect(near.closerPeers.count == 20 && !near.closerPeers.contains { $0.id == peer(5) || $0.id == peer(0) })
    let client = try #require(
      ask(KademliaMessage(.findNode, key: peer(700).bytes), known: [item(70).address]))
    #expect(client.closerPeers.count == 21)
    #expect(client.closerPeers[0] == .init(id: peer(700), addresses: [item(70).address], connectedness: .connected))
    #expect(ask(KademliaMessage(.findNode, key: peer(0).bytes))?.closerPeers[0].addresses == [item(100).address], "the node itself")
    #expect(ask(KademliaMessage(.findNode)) == nil)
    #expect(ask(KademliaMessage(.ping)) == KademliaMessage(.ping))

    let key = Array("/v/a".utf8)
    #expect(ask(KademliaMessage(.getValue, key: key))?.record == nil)
    let put = KademliaMessage(.putValue, key: key, record: .init(key: key, value: [2]))
    #expect(ask(put) == put && ask(put) == put, "the same value may be put again")
    #expect(ask(KademliaMessage(.putValue, key: key, record: .init(key: key, value: [1]))) == nil, "a worse one")
    #expect(ask(KademliaMessage(.getValue, key: key))?.record?.value == [2])
    #expect(ask(KademliaMessage(.putValue, key: Array("/w/a".utf8), record: .init(key: Array("/w/a".utf8), value: [1]))) == nil)
    #expect(ask(KademliaMessage(.putValue, key: key, record: .init(key: key, value: [UInt8](repeating: 9, count: 65_537)))) == nil)
    #expect(outputs.isEmpty, "another network's namespaces and what a validator refuses are no fault")
    #expect(ask(KademliaMessage(.putValue, key: key, record: .init(key: [1], value: [3]))) == nil)
    #expect(outputs.count == 1)

    let multihash: [UInt8] = [0x12, 0x20, 1]
    func provide(_ provider: UInt64, from asker: UInt64, _ addresses: [Multiaddr]) -> Kademlia.Service {
      let message = KademliaMessage(.addProvider, key: multihash, providers: [.init(id: peer(provider), addresses: addresses)])
      return kademlia.serve(
        peer(asker), at: nil, message.encoded.rawSpan, now: at(1), isConnected: { _ in false }, addresses: { _ in [] }, into: &outputs)
    }
    #expect(provide(6, from: 5, [item(6).address]) == .refuse, "only for oneself")
    #expect(provide(5, from: 5, []) == .refuse)
    #expect(provide(5, from: 5, [item(5).address]) == .silence)
    #expect(ask(KademliaMessage(.getProviders, key: multihash))?.providers == [.init(id: peer(5), addresses: [item(5).address])])
    #expect(ask(KademliaMessage(.getProviders, key: [UInt8](repeating: 1, count: 81))) == nil)

    #expect(
      kademlia.serve(
        peer(5), at: nil, ([0xff] as [UInt8]).rawSpan, now: at(2), isConnected: { _ in false }, addresses: { _ in [] }, into: &outputs)
        == .refuse)
    #expect(outputs.last == .report(peer(5), .malformed))
    kademlia.setMode(.client)
    #expect(ask(KademliaMessage(.ping)) == nil)
    kademlia.checkInvariants()
  }

  @Test func aBucketIsCheckedBeforeAnybodyLosesItsPlace() {
    var kademlia = machine { $0.bucketSize = 1 }
    // Two peers of one bucket.
    let local = SystemCrypto.shared.sha256(peer(0).bytes)
    let pair = (1...50 as ClosedRange<UInt64>).filter { (SystemCrypto.shared.sha256(peer($0).bytes) ^ local).leadingZeroBitCount == 0 }
      .prefix(2)
    _ = kademlia.handle(.server(peer(pair[0]), addresses: [], remote: nil), now: at(0))
    let outputs = kademlia.handle(.server(peer(pair[1]), addresses: [], remote: nil), now: at(500))
    let check = outputs.requests.filter { $0.peer == peer(pair[0]) && $0.message.key == peer(0).bytes }
    #expect(!check.isEmpty && kademlia.servers == [peer(pair[0])])
    for request in check { _ = kademlia.handle(.failed(request.id, .broken), now: at(501)) }
    #expect(kademlia.servers == [peer(pair[1])])
    kademlia.checkInvariants()
  }

  /// Random inputs never break the books, and every look-up ends once.
  @Test(arguments: 0..<12 as Range<UInt64>) func property(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var kademlia = machine { $0.lookUpsMaximum = 8 }
    var open: [KademliaRequestID] = []
    var begun = 0
    var ended: Set<LookUpID> = []
    func handle(_ input: Kademlia.Input, _ now: Instant) {
      for output in kademlia.handle(input, now: now) {
        switch output {
        case .request(let id, _, _, _): open.append(id)
        case .cancel(let id): open.removeAll { $0 == id }
        case .finished(let id, _): #expect(ended.insert(id).inserted, "seed \(seed)")
        default: break
        }
      }
      kademlia.checkInvariants()
    }
    var seconds = 0.0
    for _ in 0..<800 {
      seconds += generator.unit() * 2
      let some = peer(1 + generator.next() % 60)
      let key = [UInt8(generator.next() % 5)]
      switch generator.index(below: 12) {
      case 0, 1:
        handle(.server(some, addresses: [item(3).address], remote: IPAddress(text: "20.\(generator.next() % 30).1.1")), at(seconds))
      case 2: handle(.notServer(some), at(seconds))
      case 3:
        begun += 1
        let queries: [Kademlia.Query] = [
          .findPeer(some), .closestPeers(key), .provide(key), .findProviders(key, maximum: 3), .getValue(Array("/v/x".utf8), quorum: 2),
          .putValue(Array("/v/x".utf8), key),
        ]
        handle(.start(look(UInt64(begun)), queries[generator.index(below: queries.count)]), at(seconds))
      case 4: handle(.cancel(look(UInt64(1 + generator.index(below: max(1, begun))))), at(seconds))
      case 5: handle(.stopProviding(key), at(seconds))
      case 6: handle(.timerFired, at(seconds))
      default:
        guard !open.isEmpty else { continue }
        let id = open.remove(at: generator.index(below: open.count))
        let peers = (0..<generator.index(below: 25)).map { _ in
          KademliaMessage.Peer(id: peer(1 + generator.next() % 90), addresses: [item(generator.next() % 100).address])
        }
        let record = KademliaMessage.Record(key: Array("/v/x".utf8), value: key)
        let kind = KademliaMessage.Kind.allCases[generator.index(below: 6)]
        let failures: [Kademlia.RequestFailure] = [.broken, .noAnswer, .noRoom, .unreachable, .unsupported]
        if generator.index(below: 3) == 0 {
          handle(.failed(id, failures[generator.index(below: failures.count)]), at(seconds))
        } else {
          handle(.answer(id, KademliaMessage(kind, record: record, closerPeers: peers, providers: peers).encoded), at(seconds))
        }
      }
    }
    while ended.count < begun, seconds < 4_000 {
      seconds += 5
      handle(.timerFired, at(seconds))
    }
    #expect(ended.count == begun, "seed \(seed)")
  }
}
