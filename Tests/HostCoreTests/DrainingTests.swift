import Gossip
import HostCore
import Peering
import SecureChannel
import Testing
import Wire

/// Two links to one peer after a simultaneous dial: which is used, and what becomes of the other.
@Suite struct DrainingTests {
  static let cases = [(true, true), (true, false), (false, true), (false, false)]

  @Test(arguments: cases) func theLosersStreamsAreServedForAWhile(isLower: Bool, dialledFirst: Bool) throws {
    let duet = try Duet(isLower: isLower, dialledFirst: dialledFirst)
    // As go-libp2p does it: whatever link is the latest carries the peer's only gossip stream.
    let (stream, outputs) = duet.openGossip(on: duet.loser)
    #expect(outputs.resetStreams.isEmpty && duet.host.gossip?.topicPeers(Duet.topic) == [duet.peer])
    #expect(duet.isHeard(1, on: stream))
    let asked = duet.open(HostProtocols.identify, on: duet.loser)
    #expect(asked.outputs.sent(on: asked.stream).count == 1)
    let ping = duet.open(HostProtocols.ping, on: duet.loser).stream
    #expect(duet.send(.message(ping, [UInt8](repeating: 7, count: 32))).sent(on: ping).count == 1)

    #expect(duet.wait(.seconds(9)).closings.isEmpty && duet.host.peering.counts.draining == 1)
    #expect(duet.wait(.seconds(2)).closings == [duet.loser])
    #expect(duet.host.peering.counts.draining == 0 && duet.host.peering.counts.active == 1)
    #expect(duet.host.gossip?.topicPeers(Duet.topic) == [duet.peer], "its stream is gone, and it may not know")
    duet.send(.closed(duet.loser, .closedLocally("duplicate")))

    // The peer opens a stream on the link that is left. It may have forgotten this side's subscriptions, and hears them again.
    let (again, said) = duet.openGossip(on: duet.kept)
    #expect(said.resetStreams.isEmpty && said.contains { if case .send(let to, _) = $0 { to.connection == duet.kept } else { false } })
    #expect(duet.host.gossip?.meshPeers(Duet.topic) == [duet.peer] && duet.isHeard(2, on: again))
  }

  /// A peer that knows the rule closes its end as soon as it knows, or says that it knows.
  @Test(arguments: cases) func theLoserEndsAtThePeersWord(isLower: Bool, dialledFirst: Bool) throws {
    let duet = try Duet(isLower: isLower, dialledFirst: dialledFirst)
    let goodbye = duet.open(HostProtocols.goodbye, on: duet.loser).stream
    let outputs = duet.send(.message(goodbye, Reason(.duplicate).encoded))
    #expect(outputs.closings == [duet.loser] && duet.host.peering.counts.draining == 0)
    #expect(!outputs.contains { if case .event(.peerGone) = $0 { true } else { false } })
    #expect(duet.host.isActive(duet.peer))
  }

  @Test func theLinkInUseEndsToo() throws {
    let duet = try Duet()
    let goodbye = duet.open(HostProtocols.goodbye, on: duet.kept).stream
    let outputs = duet.send(.message(goodbye, Reason(.replaced).encoded))
    #expect(outputs.closings == [duet.kept] && !duet.host.isActive(duet.peer))
    #expect(duet.send(.closed(duet.kept, .endOfFile)).isEmpty, "it was gone already")
  }

  /// The host gives its dial up for the peer's link, but the handshake had ended: the peer takes the link for good.
  @Test func aDialThatCameThroughIsServedToo() throws {
    let duet = try Duet(isLower: false, dialledFirst: false)
    #expect(duet.host.peering.counts.draining == 1 && duet.kept.isInbound && !duet.loser.isInbound)
    let (stream, outputs) = duet.openGossip(on: duet.loser)
    #expect(outputs.resetStreams.isEmpty && duet.isHeard(1, on: stream))
    #expect(duet.wait(.seconds(11)).closings == [duet.loser])
  }

  /// Requests that the peer has sent over the link before it knew are answered there.
  @Test func requestsOnTheLoserAreAnswered() throws {
    let duet = try Duet()
    duet.send(.command(.serve(service, .init(framing: .lengthPrefixed(maximumBytes: 100)))))
    let stream = duet.open(service, on: duet.loser).stream
    duet.send(.message(stream, [1]))
    #expect(duet.send(.command(.respond(stream, [2]))).sent(on: stream) == [[2]])
    // What is not answered in time ends with the link.
    let late = duet.open(service, on: duet.loser).stream
    duet.send(.message(late, [1]))
    #expect(duet.host.memory.used == 2, "a request, and the answer that has not left yet")
    duet.send(.closed(duet.loser, .endOfFile))
    #expect(duet.host.memory.used == 0)
  }

  /// Once the link in use has ended, the peer is gone: what it still asks on the one that drains is told to nobody, or what is kept for the peer from
  /// then on would stay for ever.
  @Test func aPeerThatIsGoneAsksNothingMore() throws {
    let duet = try Duet(introduction: service)
    duet.send(.command(.serve(service, .init(framing: .lengthPrefixed(maximumBytes: 100)))))
    let early = duet.open(service, on: duet.loser).stream
    let gone = duet.send(.closed(duet.kept, .endOfFile))
    #expect(gone.contains { if case .event(.peerGone(duet.peer, _)) = $0 { true } else { false } })
    #expect(duet.host.peering.counts.draining == 1)
    for stream in [early, duet.open(service, on: duet.loser).stream] {
      let outputs = duet.send(.message(stream, [1]))
      #expect(!outputs.contains { if case .event(.request) = $0 { true } else { false } })
      #expect(outputs.resetStreams == [stream] && duet.host.memory.used == 0)
    }
  }

  /// An operator's word, or a ban, holds for both.
  @Test func bothEndTogether() throws {
    let duet = try Duet()
    let outputs = duet.send(.command(.disconnect(duet.peer, Reason(.operatorRequest))))
    #expect(Set(outputs.closings) == [duet.kept, duet.loser])
    #expect(duet.host.peering.counts.draining == 0 && duet.host.gossip?.connectedPeers == [])
  }
}
