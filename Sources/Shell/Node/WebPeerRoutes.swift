import HTTPAPI
import NodeCore

/// The routes by which peers that speak HTTP find each other, in the shape of seed S1: bare JSON, without the API's envelope.
enum WebPeerRoutes {
  /// `GET /status`: S1's fields, and this node's PeerID and the libp2p addresses that it tells others.
  struct Status: Encodable {
    var nodeID: String
    var blockchainLength: UInt64
    var pendingTransactions: Int
    var peers: Int
    var targetDifficulty: Int
    var peerID: String
    var addresses: [String]

    enum CodingKeys: String, CodingKey {
      case nodeID = "node_id"
      case blockchainLength = "blockchain_length"
      case pendingTransactions = "pending_transactions"
      case peers
      case targetDifficulty = "target_difficulty"
      case peerID = "peer_id"
      case addresses
    }
  }

  /// `GET /peers`.
  struct Peers: Encodable {
    var peers: [String]
    var activePeers: [String]
    var peerCount: Int

    enum CodingKeys: String, CodingKey {
      case peers
      case activePeers = "active_peers"
      case peerCount = "peer_count"
    }
  }

  static func add(to router: inout Router, for node: Node) {
    router.get("/status") { _, responder in
      node.ask(.info) { answer in
        guard case .info(let info) = answer else { return unavailable(responder) }
        responder.respond(
          .json(
            Status(
              nodeID: info.peerID.short, blockchainLength: info.head.height + 1, pendingTransactions: info.pendingTransactions,
              peers: info.peers, targetDifficulty: 0, peerID: info.peerID.description,
              addresses: info.advertisedAddresses.map { $0.withPeerID(info.peerID).description })))
      }
    }
    router.get("/peers") { _, responder in
      node.ask(.webPeers) { answer in
        guard case .webPeers(let peers) = answer else { return unavailable(responder) }
        let active = peers.filter(\.isActive).map(\.address.description)
        responder.respond(.json(Peers(peers: peers.map(\.address.description), activePeers: active, peerCount: active.count)))
      }
    }
  }

  private static func unavailable(_ responder: HTTPResponder) {
    responder.failure(HTTPError(503, "unavailable", "the node is busy or stopping; try again later"))
  }
}
