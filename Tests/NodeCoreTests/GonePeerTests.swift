import Identity
import Ledger
import SecureChannel
import Testing
import Wire

@testable import NodeCore

@Suite struct GonePeerTests {
  /// A peer that doesn't know this node, not yet or no longer, as on a link that drains there, has not declined anything.
  @Test func whoDoesNotKnowThisNodeHasDeclinedNothing() throws {
    let bench = try NodeBench()
    bench.enter()
    let peer = bench.peer.peerID
    #expect(bench.core.host.isActive(peer))
    #expect(bench.core.failure(of: peer, .failed(.streamReset(.gated))) == .linkLost)
    #expect(bench.core.failure(of: peer, .failed(.streamReset(.resourceLimit))) == .linkLost)
    #expect(bench.core.failure(of: peer, .failed(.streamReset(.unspecified))) == .declined)
    #expect(bench.core.failure(of: peer, .timeout) == .late)
  }

  private func publish(_ block: Block, _ bench: NodeBench) -> [UInt8] {
    var writer = ProtobufWriter()
    writer.message(2) {
      $0.data(2, block.encoded)
      $0.string(4, bench.core.protocolNames.blockTopic.name)
    }
    return writer.bytes
  }

  /// A peer whose block was judged after its link had ended leaves nothing behind, however often it comes again by another name.
  @Test(arguments: [false, true]) func verdictsOfPeersThatAreGoneLeaveNothing(isThere: Bool) throws {
    let bench = try NodeBench()
    bench.settle()
    bench.now += .seconds(30)
    bench.send(.timer)
    bench.enter()
    #expect(bench.core.host.isActive(bench.peer.peerID) && bench.core.keptOfPeers == [bench.peer.peerID])
    // Sealed, and on a parent that nobody has.
    let consensus = ProofOfAuthority(genesis: bench.genesis)
    let time = try #require(consensus.time(of: 5))
    let parent = bench.crypto.sha256([7])
    let header = BlockHeader(
      chain: bench.genesis.hash(crypto: bench.crypto), parent: parent, height: 4, time: time,
      transactionRoot: MerkleTree.root(of: [], crypto: bench.crypto), stateRoot: parent, producer: bench.genesis.authorities[0], slot: 5)
    let block = Block(header: try #require(consensus.seal(header, key: bench.key, crypto: bench.crypto)), transactions: [])
    _ = bench.say(publish(block, bench), "/meshsub/1.1.0", on: .inbound(1))
    #expect(!bench.work.isEmpty, "its seal is being checked")
    if !isThere { bench.send(.host(.closed(.inbound(1), .endOfFile))) }
    bench.doWork()
    #expect(bench.core.keptOfPeers == (isThere ? [bench.peer.peerID] : []))
  }
}
