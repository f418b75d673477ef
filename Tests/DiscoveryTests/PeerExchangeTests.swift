import Identity
import Testing
import Wire

@testable import Discovery

@Suite struct PeerExchangeTests {
  /// Fires timers until `seconds` and answers each request with `answer`; the times of requests to each peer.
  private func run(_ machine: inout PeerExchange, to seconds: Double, answering: Bool = true) -> [PeerID: [Double]] {
    var times: [PeerID: [Double]] = [:]
    while let next = machine.nextDeadline, next <= at(seconds) {
      for case .request(let peer) in machine.handle(.timerFired, now: next) {
        times[peer, default: []].append(Double(next.nanoseconds) / 1e9)
        if answering { _ = machine.handle(.response(peer, []), now: next) }
      }
      precondition(machine.nextDeadline.map { $0 > next } ?? true, "the machine spins")
    }
    return times
  }

  @Test func schedule() {
    var machine = PeerExchange(localPeer: peer(1))
    #expect(machine.handle(.peerActive(peer(2)), now: at(0)) == [.request(peer(2))])
    _ = machine.handle(.response(peer(2), []), now: at(0.1))
    #expect(run(&machine, to: 200) == [peer(2): [3, 10, 25, 85, 145]])
    _ = machine.handle(.wantsPeers(false), now: at(200))
    #expect(run(&machine, to: 1_500) == [peer(2): [745, 1_345]])
    _ = machine.handle(.wantsPeers(true), now: at(1_500))
    _ = machine.handle(.peerGone(peer(2)), now: at(1_600))
    #expect(run(&machine, to: 1e5).isEmpty)
  }

  /// At most one request is under way; a silent peer is given up after ten seconds and asked again at its turn.
  @Test func oneRequestAtATime() {
    var machine = PeerExchange(localPeer: peer(1))
    _ = machine.handle(.peerActive(peer(2)), now: at(0))
    #expect(machine.handle(.timerFired, now: at(3)).isEmpty)
    #expect(machine.handle(.timerFired, now: at(9)).isEmpty)
    #expect(machine.handle(.timerFired, now: at(10)) == [.cancel(peer(2)), .request(peer(2))])
    _ = machine.handle(.requestFailed(peer(2), mayRetry: false), now: at(11))
    #expect(run(&machine, to: 10_000).isEmpty, "a peer without the protocol is not asked again")
  }

  @Test func noBurstAfterStall() {
    var machine = PeerExchange(localPeer: peer(1))
    _ = machine.handle(.peerActive(peer(2)), now: at(0))
    _ = machine.handle(.response(peer(2), []), now: at(0.1))
    #expect(machine.handle(.timerFired, now: at(3_600)) == [.request(peer(2))])
    _ = machine.handle(.response(peer(2), []), now: at(3_600))
    #expect(run(&machine, to: 3_700) == [peer(2): [3_660]])
  }

  @Test func solicitedOnly() {
    var machine = PeerExchange(localPeer: peer(1))
    let list = PeerListMessage.response([item(5)])
    #expect(machine.handle(.response(peer(2), list), now: at(0)).isEmpty, "a stranger's list is dropped")
    _ = machine.handle(.peerActive(peer(2)), now: at(0))
    #expect(machine.handle(.response(peer(2), list), now: at(1)) == [.learned([item(5)], from: peer(2))])
    #expect(machine.handle(.response(peer(2), list), now: at(1)) == [.report(peer(2), .unsolicited)])
  }

  @Test func intake() {
    var machine = PeerExchange(localPeer: peer(1))
    func answer(_ bytes: [UInt8]) -> [PeerExchange.Output] {
      _ = machine.handle(.peerGone(peer(2)), now: at(0))
      _ = machine.handle(.peerActive(peer(2)), now: at(0))
      return machine.handle(.response(peer(2), bytes), now: at(0))
    }
    #expect(answer([0xff]) == [.report(peer(2), .malformed(.malformed(.truncated)))])
    #expect(answer(PeerListMessage.response([item(1)])).isEmpty, "the node itself")
    let same = (1...20).map { item(7, port: $0) }
    #expect(answer(PeerListMessage.response(same)) == [.learned(Array(same.prefix(8)), from: peer(2))])
    let junk = (1...9).map { item(UInt64(10 + $0), port: 0) }
    #expect(answer(PeerListMessage.response(junk + [item(9)])) == [.report(peer(2), .junk), .learned([item(9)], from: peer(2))])
  }

  @Test func oneThatCameBackIsNotBlamedForWhatItForgot() throws {
    var machine = PeerExchange(localPeer: peer(1))
    var outputs: [PeerExchange.Output] = []
    let request = PeerListMessage.request(maximum: 2)
    machine.share([], now: at(0))
    for _ in 0..<5 { _ = try machine.serve(peer(2), request: request.rawSpan, now: at(0), into: &outputs) }
    machine.handle(.peerActive(peer(2)), now: at(1), into: &outputs)
    outputs = []
    #expect(throws: PeerExchange.Refusal.tooOften) { try machine.serve(peer(2), request: request.rawSpan, now: at(1), into: &outputs) }
    #expect(outputs.isEmpty)
    #expect(throws: PeerExchange.Refusal.tooOften) { try machine.serve(peer(2), request: request.rawSpan, now: at(2), into: &outputs) }
    #expect(outputs == [.report(peer(2), .tooManyRequests)])
  }

  @Test func serving() throws {
    var machine = PeerExchange(localPeer: peer(1))
    var outputs: [PeerExchange.Output] = []
    #expect(machine.needsShare(now: at(0)))
    machine.share([item(1), item(2), item(3), item(4)], now: at(0))
    let request = PeerListMessage.request(maximum: 2)
    let answer = try machine.serve(peer(2), request: request.rawSpan, now: at(0), into: &outputs)
    #expect(try PeerListMessage.decodeResponse(answer.rawSpan).addresses == [item(3), item(4)], "neither this node nor the one who asks")
    #expect(!machine.needsShare(now: at(1.9)) && machine.needsShare(now: at(2)))
    for _ in 0..<4 { _ = try machine.serve(peer(2), request: request.rawSpan, now: at(1), into: &outputs) }
    #expect(outputs.isEmpty)
    #expect(throws: PeerExchange.Refusal.tooOften) { try machine.serve(peer(2), request: request.rawSpan, now: at(2), into: &outputs) }
    #expect(outputs == [.report(peer(2), .tooManyRequests)])
    _ = try machine.serve(peer(3), request: request.rawSpan, now: at(2), into: &outputs)
    // One more in twenty seconds.
    _ = try machine.serve(peer(2), request: request.rawSpan, now: at(22.5), into: &outputs)
    outputs = []
    #expect(throws: PeerExchange.Refusal.malformed) { try machine.serve(peer(3), request: [0x08].rawSpan, now: at(30), into: &outputs) }
    #expect(outputs == [.report(peer(3), .malformed(.malformed(.truncated)))])
  }

  /// Two machines with the default settings never report each other, whatever they want.
  @Test func ownScheduleIsWithinOwnLimits() throws {
    var asker = PeerExchange(localPeer: peer(1))
    var server = PeerExchange(localPeer: peer(2))
    var outputs: [PeerExchange.Output] = []
    server.share([item(3)], now: at(0))
    var asked = 0
    var input = PeerExchange.Input.peerActive(peer(2))
    var now = at(0)
    while now < at(7_200) {
      for case .request(let to) in asker.handle(input, now: now) {
        asked += 1
        let bytes = try server.serve(peer(1), request: PeerListMessage.request(maximum: 250).rawSpan, now: now, into: &outputs)
        _ = asker.handle(.response(to, bytes), now: now)
      }
      input = .timerFired
      now = asker.nextDeadline ?? at(1e6)
    }
    #expect(asked > 100 && outputs.isEmpty)
  }
}
