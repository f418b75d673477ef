import Starling
import Testing

/// Whoever is refused at the proof of its key hears the reason, at once and every time.
@Suite("Goodbyes", .serialized) struct GoodbyeTests {
  private func makeOpenHost(_ change: (inout Host.Configuration) -> Void = { _ in }) async throws -> Host {
    try await makeHost {
      $0.core.peering.acceptsPerSecond = 100_000
      $0.core.peering.acceptBurst = 100_000
      change(&$0)
    }
  }

  private func counts(_ host: Host) async throws -> ReasonCounts { try await host.withCore { core, _ in core.peering.reasonCounts } }

  /// The proof, the goodbye and the end leave the peer in one write. Whether all of it is heard hangs on luck, if on anything, and not on the code.
  @Test("every reason that comes in one flight with the proof is heard, one of them a hundred times", arguments: Reason.Code.known)
  func everyReason(code: Reason.Code) async throws {
    let count: UInt64 = code == .banned ? 100 : 4
    let host = try await makeOpenHost()
    let address = await host.address
    for _ in 0..<count {
      let peer = try HandPeer { peer, output in if case .established = output { peer.sayGoodbye(Reason(code, "so it is")) } }
      try await peer.dial(address)
      await peer.ended()
      await peer.close()
    }
    try await eventually("all have gone") { try await counts(host).lost.values.reduce(0, +) == count }
    #expect(try await counts(host).lost == [code: count])
    await host.close()
  }

  enum Refusal: CaseIterable { case banned, notAllowed }

  /// The listener refuses the dialler; each dial is a new host's first.
  @Test("a host that is refused hears why on its first dial, a hundred times", arguments: Refusal.allCases)
  func refusedByListener(refusal: Refusal) async throws {
    let target = try await makeOpenHost { if refusal == .notAllowed { $0.core.peering.allowed = AllowList() } }
    let address = await target.address
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          for _ in 0..<25 {
            let host = try await makeHost { $0.listen = [] }
            if refusal == .banned { try await target.ban(.peer(host.peerID)) }
            _ = try? await host.connect(address)
            try await eventually("the link has ended") { try await !self.counts(host).lost.isEmpty }
            #expect(try await self.counts(host).lost == [refusal == .banned ? .banned : .notAllowed: 1])
            await host.close()
          }
        }
      }
      try await group.waitForAll()
    }
    await target.close()
  }

  /// The dialler refuses the listener, whose name it did not know before.
  @Test("a host that was dialled and is refused hears why, a hundred times")
  func refusedByDialler() async throws {
    let target = try await makeOpenHost()
    let address = await target.address.withoutPeerID
    for _ in 0..<100 {
      let host = try await makeHost { $0.listen = [] }
      try await host.ban(.peer(target.peerID))
      #expect(await code { try await host.connect(address) } == .refused)
      await host.close()
    }
    try await eventually("all have gone") { try await counts(target).lost.values.reduce(0, +) == 100 }
    #expect(try await counts(target).lost == [.banned: 100])
    await target.close()
  }
}
