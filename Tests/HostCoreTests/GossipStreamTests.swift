import Gossip
import HostCore
import SecureChannel
import Testing
import Wire

/// This side's gossip stream and the peer's: each has a life of its own.
@Suite struct GossipStreamTests {
  /// The peer, or the network, ends this side's stream.
  private func lost(_ duet: Duet, _ stream: inout StreamRef, _ error: ChannelError? = .streamReset(.unspecified)) -> [HostCore.Output] {
    let outputs = duet.send(.streamEnded(stream, error))
    if let next = outputs.openings(Duet.meshsub).first { stream = next }
    return outputs
  }

  @Test func aResetIsNoEndOfThePeering() throws {
    let duet = try Duet()
    let incoming = duet.openGossip(on: duet.kept).stream
    var out = try #require(duet.gossipOut)
    var waits: [Int] = []
    for turn in 0..<9 as Range<UInt8> {
      let outputs = lost(duet, &out)
      waits += outputs.waits
      #expect(duet.host.gossip?.topicPeers(Duet.topic) == [duet.peer] && duet.isHeard(turn, on: incoming), "after loss \(turn)")
      if let wait = outputs.waits.first, wait > 0 { out = try #require(duet.wait(.seconds(Int64(wait))).openings(Duet.meshsub).first) }
    }
    // Without end, but ever more seldom.
    #expect(waits == [0, 1, 2, 4, 8, 16, 32, 60, 60])
    #expect(duet.host.gossip?.meshPeers(Duet.topic) == [duet.peer])
  }

  @Test func timeHeals() throws {
    let duet = try Duet()
    duet.openGossip(on: duet.kept)
    var out = try #require(duet.gossipOut)
    for wait in [0, 1, 2] {
      #expect(lost(duet, &out).waits == [wait])
      if wait > 0 { out = try #require(duet.wait(.seconds(Int64(wait))).openings(Duet.meshsub).first) }
    }
    _ = duet.wait(.seconds(121))
    #expect(lost(duet, &out).waits == [1], "two of three are forgiven")
    out = try #require(duet.wait(.seconds(1)).openings(Duet.meshsub).first)
    _ = duet.wait(.seconds(600))
    #expect(lost(duet, &out).waits == [0])
  }

  /// Who refuses the protocol is asked no more, and that is said; until it names the protocol again.
  @Test func aRefusalIsFinal() throws {
    let duet = try Duet()
    let incoming = duet.openGossip(on: duet.kept).stream
    var out = try #require(duet.gossipOut)
    #expect(lost(duet, &out, .negotiationFailed("na")).waits == [-1])
    #expect(duet.wait(.seconds(300)).openings(Duet.meshsub).isEmpty && duet.isHeard(1, on: incoming))
    let push = duet.open(HostProtocols.identifyPush, on: duet.kept).stream
    duet.send(.message(push, IdentifyInfo(protocols: [Duet.meshsub]).encoded))
    #expect(duet.send(.streamFinished(push)).openings(Duet.meshsub).count == 1)
  }

  /// A peer that opens another stream has given up the former, whose end is no news.
  @Test func thePeersNewestStreamCounts() throws {
    let duet = try Duet()
    let first = duet.openGossip(on: duet.kept).stream
    let (second, outputs) = duet.openGossip(on: duet.kept)
    #expect(outputs.resetStreams == [first])
    #expect(!duet.isHeard(1, on: first) && duet.isHeard(2, on: second))
    #expect(duet.host.gossip?.meshPeers(Duet.topic) == [duet.peer])
    duet.send(.streamEnded(second, nil))
    #expect(duet.host.gossip?.topicPeers(Duet.topic) == [duet.peer])
    duet.openGossip(on: duet.kept)
    #expect(duet.host.gossip?.meshPeers(Duet.topic) == [duet.peer])
  }
}
