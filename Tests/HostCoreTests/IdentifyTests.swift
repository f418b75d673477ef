import HostCore
import SecureChannel
import Testing
import Wire

/// Changes of what is said of oneself, several in a row.
@Suite struct IdentifyTests {
  private func pushes(_ outputs: [HostCore.Output]) -> [(stream: StreamRef, info: IdentifyInfo)] {
    outputs.openings(HostProtocols.identifyPush).compactMap { stream in
      outputs.sent(on: stream).first.flatMap { try? IdentifyInfo(encoded: $0.rawSpan) }.map { (stream, $0) }
    }
  }

  private func serve(_ duet: Duet, _ name: ProtocolID) -> [HostCore.Output] {
    duet.send(.command(.serve(name, .init(framing: .lengthPrefixed(maximumBytes: 100)))))
  }

  /// A busy peer may agree on no protocol in time, or not get to read: it must not keep what is no longer true.
  @Test func aPushThatWasNotTakenInTimeIsTriedAgain() throws {
    let duet = try Duet()
    var stream = try #require(pushes(serve(duet, "/a")).first?.stream)
    #expect(pushes(duet.send(.streamEnded(stream, .negotiationTimeout(.seconds(10))))).isEmpty)
    stream = try #require(pushes(duet.wait(.seconds(6))).first?.stream)
    let outputs = duet.wait(.seconds(11))
    #expect(outputs.resetStreams.contains(stream) && pushes(outputs).isEmpty)
    stream = try #require(pushes(duet.wait(.seconds(6))).first?.stream)
    duet.send(.streamEnded(stream, nil))
    #expect(pushes(duet.wait(.seconds(60))).isEmpty)
  }

  /// While one push is under way the others wait, and go out as one.
  @Test func changesInARowAreOnePush() throws {
    let duet = try Duet()
    let first = pushes(serve(duet, "/a"))
    try #require(first.count == 1)
    for name in ["/b", "/c", "/d"] as [ProtocolID] { #expect(pushes(serve(duet, name)).isEmpty) }
    let second = pushes(duet.send(.streamEnded(first[0].stream, nil)))
    try #require(second.count == 1 && Set(["/a", "/b", "/c", "/d"]).isSubset(of: second[0].info.protocols))
    #expect(pushes(duet.send(.streamEnded(second[0].stream, nil))).isEmpty)
  }

  @Test func aRefusedPushIsTriedAgain() throws {
    let duet = try Duet()
    var stream = try #require(pushes(serve(duet, "/a")).first?.stream)
    for _ in 0..<3 {
      #expect(pushes(duet.send(.streamEnded(stream, .streamReset(.rateLimited)))).isEmpty)
      stream = try #require(pushes(duet.wait(.seconds(6))).first?.stream)
    }
    duet.send(.streamEnded(stream, .streamReset(.rateLimited)))
    #expect(pushes(duet.wait(.seconds(60))).isEmpty, "it does not want to know")
    #expect(pushes(serve(duet, "/b")).count == 1)
  }

  /// A peer that never ends its side of the stream does not keep later changes from it.
  @Test func aPushThatIsNeverEndedIsGivenUp() throws {
    let duet = try Duet()
    let stream = try #require(pushes(serve(duet, "/a")).first?.stream)
    _ = serve(duet, "/b")
    let outputs = duet.wait(.seconds(11))
    #expect(outputs.resetStreams.contains(stream) && pushes(outputs).count == 1)
  }

  /// The second one is opened while the first is on its way, and says what is true now.
  @Test(arguments: [false, true]) func theNewestPushWins(isFirstWhole: Bool) throws {
    let duet = try Duet()
    let first = duet.open(HostProtocols.identifyPush, on: duet.kept).stream
    if isFirstWhole { duet.send(.message(first, IdentifyInfo(protocols: ["/old"], agent: "old").encoded)) }
    let (second, outputs) = duet.open(HostProtocols.identifyPush, on: duet.kept)
    #expect(outputs.resetStreams == [first])
    duet.send(.message(first, IdentifyInfo(protocols: ["/old"], agent: "old").encoded))
    duet.send(.message(second, IdentifyInfo(protocols: ["/new"], agent: "new").encoded))
    duet.send(.streamFinished(first))
    duet.send(.streamFinished(second))
    #expect(duet.host.identity(of: duet.peer)?.protocols == ["/new"] && duet.host.identity(of: duet.peer)?.agent == "new")
  }

  /// However many names a peer has, those that this side speaks count.
  @Test func namesThatThisSideSpeaksAreKept() throws {
    let duet = try Duet()
    let others = (0..<1_000).map { ProtocolID("/other/\($0)") }
    let push = duet.open(HostProtocols.identifyPush, on: duet.kept).stream
    duet.send(.message(push, IdentifyInfo(protocols: others + [Duet.meshsub, HostProtocols.identifyPush, "/own"]).encoded))
    duet.send(.streamFinished(push))
    let kept = try #require(duet.host.identity(of: duet.peer)).protocols
    #expect(kept.count == 256 && kept.contains(Duet.meshsub) && kept.contains(HostProtocols.identifyPush) && !kept.contains("/own"))
    _ = serve(duet, "/own")
    let again = duet.open(HostProtocols.identifyPush, on: duet.kept).stream
    duet.send(.message(again, IdentifyInfo(protocols: others + ["/own"]).encoded))
    duet.send(.streamFinished(again))
    #expect(duet.host.identity(of: duet.peer)?.protocols.contains("/own") == true)
  }
}
