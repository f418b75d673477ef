/// What this room reads of `vectors.json`, whose values were made with go-libp2p's and py-libp2p's rules and checked by two implementations.
struct SharedVectors: Decodable {
  struct Peer: Decodable {
    let seed01: String
    let bytes: String
  }
  struct Gossip: Decodable {
    let unsigned: String
    let signature: String
  }
  let peerID: Peer
  let peerRecordEnvelope: String
  let gossipMessage: Gossip
  let multiaddr: [String: String]

  private enum CodingKeys: String, CodingKey {
    case peerID = "peer_id"
    case peerRecordEnvelope = "peer_record_envelope"
    case gossipMessage = "gossip_message"
    case multiaddr
  }

  static func load() throws -> SharedVectors { try fixture("vectors.json", as: SharedVectors.self) }
}
