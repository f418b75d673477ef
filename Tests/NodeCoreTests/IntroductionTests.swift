import Crypto
import HostCore
import Identity
import Ledger
import Peering
import SecureChannel
import Store
import Testing
import Wire

@testable import NodeCore

@Suite struct IntroductionTests {
  private let crypto = SystemCrypto()
  private let remote = try! Multiaddr("/ip4/8.8.8.8/tcp/4001")

  /// Both ends dialled at one moment. The status that was asked for over the link that gives way fails with it, which says nothing against the peer:
  /// the other link stays.
  @Test func aQuestionThatEndsWithItsLinkIsHeldAgainstNobody() throws {
    // The link that the one with the lower name dialled is kept.
    let keys = [2, 3].map { NodeKey(seed: [UInt8](repeating: $0, count: 32), crypto: crypto) }.sorted { $0.peerID < $1.peerID }
    let (peer, own) = (keys[0], keys[1])
    let genesis = GenesisConfiguration(
      chainID: "test", time: WallTime(milliseconds: 1_000_000), authorities: [try #require(Address(own.publicKey))])
    let clock = WallClock(now: .zero, wall: genesis.time)
    let chain = try Chain.open(
      genesis: genesis, ledger: AccountLedger(genesis: genesis, crypto: crypto), consensus: ProofOfAuthority(genesis: genesis),
      store: MemoryStore(), crypto: crypto, clock: clock, now: .zero)
    var configuration = NodeCore<AccountLedger, ProofOfAuthority>.Configuration()
    configuration.host.peering.outboundMinimum = 0
    let core = NodeCore(
      key: own, crypto: crypto, configuration: configuration, genesis: genesis, chain: chain, clock: clock, seed: 1, now: .zero)
    func send(_ input: HostCore.Input) -> [HostCore.Output] {
      core.handle(.host(input), now: .zero + .seconds(1)).compactMap { if case .host(let output) = $0 { output } else { nil } }
    }
    func prove(_ connection: ConnectionID) -> [HostCore.Output] {
      let identity = RemoteIdentity(peer: peer.peerID, publicKey: peer.publicKey, muxer: "/yamux/1.0.0", setUpTime: .zero)
      return send(.established(connection, identity, remote: remote))
    }
    let dials = send(.command(.dial(PeerAddress(peer: peer.peerID, address: remote), keep: false)))
    let dial = try #require(dials.lazy.compactMap { if case .dial(let id, _, _, _) = $0 { id } else { nil } }.first)
    _ = send(.accepted(.inbound(1), remote: remote))
    let asked = prove(dial).contains { if case .open(_, [core.protocolNames.status]) = $0 { true } else { false } }
    #expect(asked && core.host.link(of: peer.peerID)?.connection == dial)
    let outputs = prove(.inbound(1))
    #expect(!outputs.contains { if case .close(.inbound(1), _) = $0 { true } else { false } }, "\(outputs)")
    #expect(core.host.link(of: peer.peerID)?.connection == .inbound(1))
  }
}
