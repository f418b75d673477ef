import Identity
import Wire

/// Where the dialling of a peer, or of an address whose peer is not known, stands.
public struct DialStatus: Sendable {
  /// What is going on.
  public enum State: String, Hashable, Sendable, CaseIterable {
    /// There is a link, or one is being decided.
    case linked
    /// Attempts are under way.
    case dialling
    /// A wait must be over first.
    case waiting
    /// Something stands against every dial until it is lifted; ``DialStatus/detail`` says what.
    case barred
    /// It is dialled as soon as a link is wanted and a slot is free.
    case ready
  }

  /// What went wrong last.
  public struct Trouble: Sendable {
    /// Where.
    public let address: Multiaddr
    /// A stable name: a ``DialFailure/kind``, or the code of the reason for which a link ended.
    public let kind: String
    /// What, in words.
    public let words: String
    /// Who answered in place of the peer that was dialled.
    public let answered: PeerID?
    /// How long ago.
    public let ago: Duration
  }

  /// The peer, when it is known.
  public let peer: PeerID?
  /// Its addresses, in the order in which they are dialled.
  public let addresses: [Multiaddr]
  /// Which list it is on.
  public let role: PeerRole
  /// What is going on.
  public let state: State
  /// Why it waits or is barred, in words.
  public let detail: String?
  /// When it may be dialled, from now on; `nil` unless it waits.
  public let next: Duration?
  /// Failures in a row.
  public let failures: Int
  /// What went wrong last, since a link was good.
  public let last: Trouble?

  /// What stands in the way of a link: a name that is equal for equal causes, and words.
  fileprivate var cause: (kind: String, words: String)? {
    state == .barred ? detail.map { ($0, $0) } : last.map { ($0.kind, "\($0.words), at \($0.address)") }
  }
}

extension PeeringMachine {
  /// Whom this node dials: configured and kept peers, then seeds, then those of the others that are being dialled or wait after a failure. At
  /// most `maximum`. O(n log n) in peers at hand.
  public func dialList(now: Instant, maximum: Int = 256) -> [DialStatus] {
    let configured = known.targets(.keep) + known.targets(.seed)
    let others = known.targets(.heard).compactMap { target -> (isDialled: Bool, due: Instant, target: DialTarget)? in
      guard let entry = known[target] else { return nil }
      let isDialled = rounds[target] != nil
      guard isDialled || (entry.link == nil && entry.trouble != nil && entry.notBefore > now) else { return nil }
      return (isDialled, entry.notBefore, target)
    }
    let sorted = others.sorted { ($0.isDialled ? 0 : 1, $0.due, $0.target) < ($1.isDialled ? 0 : 1, $1.due, $1.target) }
    return (configured + sorted.map(\.target)).prefix(maximum).compactMap { dialStatus(of: $0, now) }
  }

  private func dialStatus(of target: DialTarget, _ now: Instant) -> DialStatus? {
    guard let entry = known[target] else { return nil }
    let bar = barInWords(target, now)
    let state: DialStatus.State =
      if rounds[target] != nil {
        .dialling
      } else if entry.link != nil || target.peer.map({ linkOfPeer[$0] != nil }) ?? false {
        .linked
      } else if bar != nil {
        .barred
      } else if entry.notBefore > now {
        .waiting
      } else {
        .ready
      }
    return DialStatus(
      peer: target.peer, addresses: dialOrder(target), role: role(of: target), state: state,
      detail: state == .barred ? bar : state == .waiting ? entry.pauseInWords : nil, next: state == .waiting ? entry.notBefore - now : nil,
      failures: max(entry.streak, entry.shortLives), last: state == .linked ? nil : entry.trouble.map { $0.status(now) })
  }

  /// What stands against every address of a target, in words; `nil` when one may be dialled.
  func barInWords(_ target: DialTarget, _ now: Instant) -> String? {
    let endpoints = book.ids(of: target).map { book.endpoint(of: $0) }
    guard let first = endpoints.first else { return "no address of it is known" }
    guard endpoints.allSatisfy({ isBarred(target, $0, now) }) else { return nil }
    if let ban = bans.ban(peer: target.peer, ip: first.ip, now: now) {
      return "banned by \(ban.isOperators ? "an operator" : "its score"): \(ban.detail)"
    }
    if isOwn(first.multiaddr) { return "it leads to this node itself" }
    if let peer = target.peer, !mayBeAllowed(peer, first.ip) { return "not on the list of the private network" }
    return first.ip.flatMap { crowdFault($0, besides: []) }.map(\.description) ?? "its addresses are barred"
  }

  /// Why a node without a peer has none, as far as its dials tell: what stands in the way of most of those that were configured or kept, or,
  /// while nothing is known of these, of most of all; in words without a full stop. Addresses that others told of may be long dead, and hide
  /// why the peers that count can't be linked. O(peers at hand).
  public func whyAlone(now: Instant) -> String {
    let list = dialList(now: now)
    guard !list.isEmpty else {
      return book.peerCount > 0 ? "those that are known were not dialled yet" : "none is known; name some in bootstrap_peers or seed_peers"
    }
    let configured = list.filter { $0.role == .mustKeep && $0.cause != nil }
    let counted = configured.isEmpty ? list : configured
    var groups: [String: (count: Int, words: String)] = [:]
    for case let cause? in counted.map(\.cause) {
      groups[cause.kind] = ((groups[cause.kind]?.count ?? 0) + 1, groups[cause.kind]?.words ?? cause.words)
    }
    guard let worst = groups.max(by: { ($0.value.count, $1.key) < ($1.value.count, $0.key) }) else {
      return "\(list.count == 1 ? "one is" : "\(list.count) are") being dialled for the first time"
    }
    return counted.count == 1 ? worst.value.words : "\(worst.value.count) of \(counted.count) fail alike: \(worst.value.words)"
  }

  // MARK: Addresses

  /// What is known of an address and what was decided about it: the story of the peer that it is known for, or its own.
  /// O(peers at hand + history).
  public func story(at address: Multiaddr, now: Instant) -> PeerStory {
    let bare = address.withoutPeerID
    let target = address.peerID.map(DialTarget.peer) ?? resident(at: bare) ?? .address(bare)
    let ip = AddressFacts(bare).ip
    let steps = history.events.filter {
      $0.event.address == bare || (target.peer != nil && $0.event.peer == target.peer) || ip != nil && refusedIP($0.event) == ip
    }.map { at, event in
      PeerStory.Step(time: clock.time(at: at), ago: now - at, event: event)
    }
    var lines = target.peer.map { present($0, knownIPs(of: $0), now) } ?? []
    if target.peer == nil {
      if let entry = known[target] {
        lines += explain(entry, target, now)
      } else if book.contains(target) {
        lines += explain(entryFromBook(target, now), target, now)
      } else {
        lines.append("Not remembered: nobody is known at this address.")
      }
    }
    if let fault = AddressFacts(bare).fault(allowsPrivate: true) { lines.append("It cannot be dialled: \(fault.rawValue).") }
    return PeerStory(peer: target.peer, address: bare, present: lines, steps: steps)
  }

  /// Whose address it is, configured peers first.
  private func resident(at address: Multiaddr) -> DialTarget? {
    for role in [KnownPeer.Role.keep, .seed, .heard] {
      if let target = known.targets(role).first(where: { book.find(BookItem($0, address)) != nil }) { return target }
    }
    return book.triedPeer(at: address).map { .peer($0) }
  }
}
