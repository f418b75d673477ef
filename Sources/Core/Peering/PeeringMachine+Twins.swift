import Identity
import Wire

/// What shows that two machines have one key. They take each other's links for ever: every peer keeps the newer one.
public enum SharedIdentity: String, Hashable, Sendable, CaseIterable {
  /// Somebody who is not this process has proven this node's own identity.
  case proven
  /// Peers say again and again that a newer link of this node's took the place of the one to them, and this node has made none.
  case replaced
  /// Links of a peer take each other's place again and again.
  case alternating

  /// The evidence in words.
  public var words: String {
    switch self {
    case .proven: "another machine uses this node's key: it has proven the same identity"
    case .replaced:
      "another machine seems to use this node's key: peers keep replacing this node's links by newer ones that it has not made"
    case .alternating: "its links replace each other again and again: two machines seem to use its key"
    }
  }
}

/// Tells a link of this node to itself from one to another machine that has the same key, and counts what else points to one.
struct TwinWatch: Sendable {
  /// When a dial last ended that was not proven to lead to somebody else.
  private var dialEndedAt: Instant?
  /// When the accepted link had come in that was the last to end like that.
  private var acceptedAt: Instant?
  /// When links were lately made anew that peers had closed as replaced.
  private var replacements: [Instant] = []
  /// The newest evidence for a second machine with this node's key.
  private(set) var own: (evidence: SharedIdentity, address: Multiaddr?, at: Instant)?
  private var saidAt: [SharedIdentity: Instant] = [:]

  mutating func dialEnded(_ now: Instant) { dialEndedAt = now }

  mutating func acceptedEnded(_ link: Link) { acceptedAt = max(acceptedAt ?? link.since, link.since) }

  /// Whether a link that this node has proven to itself has its other end in this process: a dial that was under way when the link came in, or
  /// a link that came in since the dial began. The core hears of an accepted link before its handshake.
  func hasOwnEnd(_ link: Link, among links: some Sequence<Link>) -> Bool {
    if link.direction == .outbound {
      return links.contains { $0.state == .accepted && $0.since >= link.since } || acceptedAt.map { $0 >= link.since } ?? false
    }
    return links.contains { $0.state == .dialling && $0.since <= link.since } || dialEndedAt.map { $0 >= link.since } ?? false
  }

  /// A replaced link was made anew. Whether there were so many of late that somebody else must make links in this node's name.
  mutating func replaced(_ now: Instant) -> Bool {
    replacements.removeAll { now - $0 > Self.span }
    replacements.append(now)
    if replacements.count > Self.replacementsMinimum { replacements.removeFirst() }
    return replacements.count == Self.replacementsMinimum
  }

  /// Notes evidence; whether it should be said (again).
  mutating func note(_ evidence: SharedIdentity, _ address: Multiaddr?, _ now: Instant) -> Bool {
    own = (evidence, address, now)
    if let last = saidAt[evidence], now - last < Self.span { return false }
    saidAt[evidence] = now
    return true
  }

  static let span = Duration.seconds(600)
  static let replacementsMinimum = 3
  /// So often in a row a peer's links must replace each other.
  static let swapsMinimum = 4
}

extension PeeringMachine {
  /// Evidence of the last quarter of an hour that another machine uses this node's key; `nil` without.
  public func sharedIdentity(now: Instant) -> (evidence: SharedIdentity, address: Multiaddr?, ago: Duration)? {
    guard let own = twins.own, now - own.at < .seconds(900) else { return nil }
    return (own.evidence, own.address, now - own.at)
  }

  /// Whether somebody with this node's own key, who is not this node, is at the other end of a link.
  mutating func isOwnTwin(_ link: Link, _ now: Instant, _ outputs: inout [Output]) -> Bool {
    let others = links.values.filter { $0.id != link.id }
    guard !twins.hasOwnEnd(link, among: others) else { return false }
    if twins.note(.proven, link.address, now) { emit(.identityShared(localPeer, link.address, .proven), now, &outputs) }
    return true
  }

  /// A dial of an address without a name has led to another machine with this node's key: no good now, and no address of this node's own.
  mutating func failedByTwin(_ link: Link, _ target: DialTarget, _ now: Instant, _ outputs: inout [Output]) {
    let failure = DialFailure.wrongPeer(localPeer)
    known.update(target) { $0.trouble = .init(kind: .dial(failure), address: link.address, at: now) }
    doubt(link.address, of: target, now, &outputs)
    let wait = book.contains(target) ? bookRound(target, nil, counts: false, now) : .zero
    emit(.dialFailed(link.id, nil, link.address, failure, retryIn: wait), now, &outputs)
    if !book.contains(target), known[target]?.link == nil { letGo(target) }
  }

  /// A link to a peer is proven. If the peer had said that the one before gave way to a newer one, and this is the newer one, all is well; if
  /// this one was begun only afterwards, the peer has spoken of somebody else's.
  mutating func noteReplacements(_ peer: PeerID, begun: Instant, _ now: Instant, _ outputs: inout [Output]) {
    guard let replacedAt = known[.peer(peer)]?.replacedAt else { return }
    known.update(.peer(peer)) { $0.replacedAt = nil }
    guard begun > replacedAt, twins.replaced(now), twins.note(.replaced, nil, now) else { return }
    emit(.identityShared(localPeer, nil, .replaced), now, &outputs)
  }

  /// Retires a peer's link for a newer one, and says where that one is from: if it is not the peer's own, it wonders.
  mutating func replace(_ id: ConnectionID, by new: Link, _ now: Instant, _ outputs: inout [Output]) {
    guard let old = links[id], let peer = old.peer else { return }
    // It is admitted as the old one goes, so that what is known of the peer is not let go of in between.
    heldOfPeer[peer] = new.id
    retire(id, Reason(.replaced, "a newer link \(new.direction == .inbound ? "from" : "to") \(new.address) took its place"), now, &outputs)
    guard old.direction == .inbound, new.direction == .inbound else { return }
    var swaps = 0
    known.update(.peer(peer)) {
      $0.swaps = now - old.provenAt < TwinWatch.span / 2 ? $0.swaps + 1 : 1
      swaps = $0.swaps
    }
    // Once, and then ever more seldom.
    if swaps >= TwinWatch.swapsMinimum, swaps & (swaps - 1) == 0 { emit(.identityShared(peer, new.address, .alternating), now, &outputs) }
  }
}
