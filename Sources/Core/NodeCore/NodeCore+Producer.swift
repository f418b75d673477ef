import Identity
import Ledger
import Sync
import Wire

/// Two machines with one producer's key seal two blocks for one slot, sooner or later: an offence that anybody can prove. Their first blocks are often
/// equal to the byte, so that blocks alone don't show it.
extension NodeCore {
  /// What this node's status shows a peer of its producer's key, and what that peer's would show if it had the same: the hash of a signature
  /// over the names of sender and receiver, so that nobody can send back what he was sent. Only who has the key can make it, or know it for
  /// what it is. `nil` without a key. Two signatures for each peer.
  func producerMarks(with peer: PeerID) -> (own: [UInt8], twins: [UInt8])? {
    guard let key = configuration.producer else { return nil }
    if let marks = producerMarks[peer] { return marks }
    func mark(_ sender: PeerID, _ receiver: PeerID) -> [UInt8] {
      let signature = key.sign(Array("starling-producer-mark-1\u{0}".utf8) + sender.bytes + receiver.bytes, crypto: crypto)
      return Array(crypto.sha256(signature).bytes.prefix(Status.producerMarkBytes))
    }
    let marks = (own: mark(host.peerID, peer), twins: mark(peer, host.peerID))
    producerMarks[peer] = marks
    return marks
  }

  /// Looks whether a peer has this node's producer key.
  func compareProducer(_ peer: PeerID, _ theirs: Status, _ now: Instant, _ outputs: inout [Output]) {
    guard !theirs.producerMark.isEmpty, theirs.producerMark == producerMarks(with: peer)?.twins, producerTwin?.peer != peer else { return }
    producerTwin = (peer, now)
    outputs.append(.event(.producerKeyShared(peer, slot: nil)))
  }

  /// A block with this node's seal came from elsewhere.
  func sealedElsewhere(_ slot: UInt64, _ peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    let isNew = producerTwin.map { now - $0.at > Self.twinMemory } ?? true
    producerTwin = (producerTwin?.peer, now)
    if isNew { outputs.append(.event(.producerKeyShared(peer, slot: slot))) }
  }

  /// What an operator should know, in a sentence; `nil` while nobody else is known to have the key.
  func twinWarning(_ now: Instant) -> String? {
    guard let twin = producerTwin else { return nil }
    let isLinked = twin.peer.map { host.isActive($0) } ?? false
    guard isLinked || now - twin.at <= Self.twinMemory else { return nil }
    // Who is no longer linked may have been stopped since.
    let who = twin.peer.map { isLinked ? "\($0) makes" : "\($0), which is no longer linked, made" } ?? "another machine makes"
    return
      "\(who) blocks with this node's producer key: stop one of the two, for two blocks of one slot are an offence that anybody can prove"
  }

  private static var twinMemory: Duration { .seconds(600) }
}
