import HostCore
import Identity
import Peering
import Testing

@testable import NodeCore

@Suite struct IntroductionTests {
  /// Both ends dialled at one moment. The status that was asked for over the link that gives way fails with it, which says nothing against the peer:
  /// the other link stays.
  @Test func aQuestionThatEndsWithItsLinkIsHeldAgainstNobody() throws {
    let bench = try NodeBench()
    let peer = bench.peer.peerID
    let dials = bench.send(.host(.command(.dial(PeerAddress(peer: peer, address: bench.remote), keep: false))))
    let dial = try #require(dials.lazy.compactMap { if case .dial(let id, _, _, _) = $0 { id } else { nil } }.first)
    bench.send(.host(.accepted(.inbound(1), remote: bench.remote)))
    let status = bench.core.protocolNames.status
    let asked = bench.prove(dial).contains { if case .open(_, [status]) = $0 { true } else { false } }
    #expect(asked && bench.core.host.link(of: peer)?.connection == dial)
    let outputs = bench.prove(.inbound(1))
    #expect(!outputs.contains { if case .close(.inbound(1), _) = $0 { true } else { false } }, "\(outputs)")
    #expect(bench.core.host.link(of: peer)?.connection == .inbound(1))
  }
}
