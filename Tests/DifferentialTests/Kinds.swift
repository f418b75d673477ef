import Crypto
import Identity
import Ledger
import Sync
import Wire

@testable import Discovery
@testable import Gossip
@testable import HostCore
@testable import Identity
@testable import Ledger
@testable import Peering
@testable import SecureChannel

/// Every decoder of a message that comes from a peer or from a store of this node, with some good messages.
enum Kinds {
  typealias Kind = DifferentialTests.Kind

  static let all: [Kind] = identity + hosts + discovery + chain + rows

  private static let crypto = SystemCrypto.shared
  private static let key = NodeKey(seed: [UInt8](repeating: 1, count: 32), crypto: crypto)
  private static let addresses = ["/ip4/192.0.2.1/tcp/9000", "/ip6/2001:db8::1/tcp/1", "/dns4/example.org/tcp/443"].compactMap {
    try? Multiaddr($0)
  }
  private static let hash = crypto.sha256([1, 2, 3])

  private static func kind(
    _ name: String, _ corpus: [[UInt8]], refuses: Kind.Strictness = .nothing, maximum: Int = 2_000,
    _ read: @escaping @Sendable (RawSpan) throws -> AnyHashable?
  ) -> Kind {
    Kind(name: name, corpus: corpus, refuses: refuses, maximum: maximum) { span in
      do { return try read(span) } catch { return nil }
    }
  }

  private static func proto(_ build: (inout ProtobufWriter) -> Void) -> [UInt8] {
    var writer = ProtobufWriter()
    build(&writer)
    return writer.bytes
  }

  // MARK: Identity and the secure channel

  private static let identity: [Kind] = {
    let record = PeerRecord(peer: key.peerID, sequence: 1_700_000_000, addresses: addresses)
    return [
      kind("PublicKey", [key.publicKey.encoded, PublicKey(kind: .rsa, data: [UInt8](repeating: 5, count: 70)).encoded]) {
        try PublicKey(encoded: $0)
      },
      kind("Envelope", [record.sealed(by: key, crypto: crypto).encoded]) { try SignedEnvelope(unproven: $0) },
      kind("PeerRecord", [record.payload]) { try PeerRecord(payload: $0) },
      kind("NoisePayload", [NoiseStaticKey(key, crypto: crypto, secret: hash.bytes).payloadWithMuxer]) {
        let payload = try NoisePayload($0)
        return [AnyHashable(payload.publicKey), payload.signature, payload.muxers]
      },
    ]
  }()

  // MARK: The host

  private static let hosts: [Kind] = {
    let info = IdentifyInfo(
      publicKey: key.publicKey.encoded, listenAddresses: addresses, protocols: ["/ipfs/ping/1.0.0", "/meshsub/1.2.0"],
      observedAddress: addresses[0], protocolVersion: "ipfs/0.1.0", agent: "starling/1", signedRecord: [1, 2, 3])
    let rpc = proto { writer in
      writer.message(1) {
        $0.bool(1, true)
        $0.string(2, "blocks")
      }
      writer.message(2) {
        $0.data(1, key.peerID.bytes)
        $0.data(2, [1, 2, 3])
        $0.data(3, [0, 0, 0, 0, 0, 0, 0, 1])
        $0.string(4, "blocks")
        $0.data(5, [9, 9])
      }
      writer.message(3) { control in
        control.message(1) {
          $0.string(1, "blocks")
          $0.data(2, [1, 2])
        }
        control.message(2) { $0.data(1, [3]) }
        control.message(3) { $0.string(1, "blocks") }
        control.message(4) { prune in
          prune.string(1, "blocks")
          prune.message(2) { $0.data(1, key.peerID.bytes) }
          prune.uint64(3, 60)
        }
        control.message(5) { $0.data(1, [4, 5]) }
      }
    }
    return [
      kind("Identify", [info.encoded]) { try IdentifyInfo(encoded: $0) },
      kind("Goodbye", [Reason(.busy, "later").encoded, Reason(.shutdown).encoded], maximum: 256) { try Reason(encoded: $0) },
      kind(
        "RPC",
        [
          rpc,
          proto {
            $0.message(2) {
              $0.data(2, [7]); $0.string(4, "a")
            }
          },
        ]
      ) { span in
        let bytes = [UInt8](span)
        let rpc = try RPC(span, limits: .init())
        func part(_ range: Range<Int>?) -> [UInt8] { range.map { [1] + bytes[$0] } ?? [] }
        var parts: [[UInt8]] = []
        for entry in rpc.subscriptions { parts += [[entry.subscribes ? 1 : 0], part(entry.topic)] }
        for message in rpc.messages {
          parts += [message.from, message.data, message.sequence, message.topic, message.signature, message.key].map(part)
        }
        for have in rpc.ihave { parts += [part(have.topic)] + have.ids.map(\.bytes) }
        parts += [[9]] + rpc.iwant.map(\.bytes) + [[9]] + rpc.dontWant.map(\.bytes) + [[rpc.hasControl ? 1 : 0]] + rpc.grafts.map(part)
        for prune in rpc.prunes {
          parts.append(part(prune.topic) + "\(prune.backoff.map { "\($0)" } ?? "-")".utf8)
          for peer in prune.peers { parts += [part(peer.peer), part(peer.record)] }
        }
        return parts
      },
    ]
  }()

  // MARK: Discovery

  private static let discovery: [Kind] = {
    let peer = KademliaMessage.Peer(id: key.peerID, addresses: addresses, connectedness: .connected)
    return [
      kind(
        "Kademlia",
        [
          KademliaMessage(.findNode, key: key.peerID.bytes, closerPeers: [peer]).encoded,
          KademliaMessage(
            .putValue, key: [1, 2], record: .init(key: [1, 2], value: [3], timeReceived: "2026-01-01T00:00:00Z"), providers: [peer]
          ).encoded,
        ]
      ) { try KademliaMessage(encoded: $0) },
      kind("AutoNATRequest", [AutoNAT.request(key.peerID, addresses)]) {
        let request = try AutoNAT.decodeRequest($0)
        return [AnyHashable(request.peer), request.addresses]
      },
      kind("AutoNATResponse", [AutoNAT.response(.dialError, "no", addresses[0]), AutoNAT.response(.ok)]) {
        let response = try AutoNAT.decodeResponse($0)
        return [AnyHashable(response.status), response.address]
      },
      kind("PeersRequest", [PeerListMessage.request(maximum: 200)], maximum: 64) { try PeerListMessage.decodeRequest($0) },
      kind("PeersResponse", [PeerListMessage.response(addresses.map { PeerAddress(peer: key.peerID, address: $0) })]) {
        let response = try PeerListMessage.decodeResponse($0)
        return [AnyHashable(response.addresses), response.unreadable]
      },
    ]
  }()

  // MARK: The chain

  private static let chain: [Kind] = {
    let status = Status(
      network: "main", chainID: "test", genesis: hash, height: 12, head: hash, nodeType: "full", listenAddresses: addresses,
      services: ["blocks"], pending: 3)
    let transactions = [
      Transaction.Payload.transfer(to: Address(key.publicKey)!, amount: 5), .setData(key: [1], value: [2, 3]), .deleteData(key: [1]),
    ].map { Transaction(chain: hash, nonce: 1, fee: 300, payload: $0, key: key, crypto: crypto).encoded }
    let header = BlockHeader(
      chain: hash, parent: hash, height: 300, time: WallTime(milliseconds: 1_700_000_000_000), transactionRoot: hash, stateRoot: hash,
      producer: Address(key.publicKey)!, slot: 7, seal: [UInt8](repeating: 3, count: 64))
    let proof = StateProof(siblings: [hash, .zero], otherLeaf: .init(key: hash, valueHash: .zero))
    return [
      kind("Status", [status.encoded]) { try Status(encoded: $0) },
      kind("StatusAnswer", [StatusAnswer.status(status).encoded, StatusAnswer.refusal(code: 11, text: "no").encoded]) {
        try StatusAnswer(encoded: $0)
      },
      kind("BlocksRequest", [BlocksRequest.range(from: 1, count: 100).encoded, BlocksRequest.hash(hash).encoded]) {
        try BlocksRequest(encoded: $0)
      },
      kind("BytesList", [BytesList([[1, 2], [], [3]]).encoded]) { try BytesList(encoded: $0, maximum: 100) },
      kind("Transaction", transactions, refuses: .otherForms) { try Transaction(encoded: $0) },
      kind("BlockHeader", [header.encoded], refuses: .otherForms) { try BlockHeader(encoded: $0) },
      kind("Block", [Block(header: header, transactions: transactions).encoded], refuses: .otherForms) { try Block(encoded: $0) },
      kind("StateProof", [proof.encoded]) { try StateProof(encoded: $0) },
    ]
  }()

  // MARK: What this node stores

  private static let rows: [Kind] = {
    let row = PeerRow(
      peer: key.peerID, addresses: addresses.map { .init(bytes: $0.bytes, lastSuccess: 5) }, failures: 2, score: 1.5, scoredAt: 9,
      firstSuccess: 4)
    let ban = BanRow(subject: .peer(key.peerID), end: 7, detail: "bad", isOperators: true)
    let kept = OperatorSettings(kept: [PeerAddress(peer: key.peerID, address: addresses[0]), PeerAddress(peer: nil, address: addresses[1])])
    let undo = UndoRecord(weight: ChainWeight(work: 5, slot: 6), changes: [StateChange(key: hash, old: [1], new: nil)])
    return [
      kind("PeerRow", [row.value]) { PeerRow(key: PeerRow.key(key.peerID), value: [UInt8]($0)).map(AnyHashable.init) },
      kind("BanRow", [ban.value]) { BanRow(key: BanRow.key(ban.subject), value: [UInt8]($0)).map(AnyHashable.init) },
      kind("PeerFigures", [PeerFigures.row([.init(peer: key.peerID, first: 1_500, second: 3)])]) {
        PeerFigures.read([UInt8]($0)).map(AnyHashable.init)
      },
      kind("KeptRow", [kept.keptRow]) { OperatorSettings.readKept([UInt8]($0)).map(AnyHashable.init) },
      kind("UndoRecord", [undo.encoded], refuses: .unknownFields) {
        let record = try UndoRecord(encoded: $0)
        return [AnyHashable(record.weight), record.changes.map { [AnyHashable($0.key), $0.old] }]
      },
    ]
  }()
}
