import Identity
import Wire

/// Why a peer is not dialled before its time (``KnownPeer/notBefore``).
enum DialPause: Hashable {
  /// Its last link was not needed any more. The wait only avoids a circle; a look-up that needs the peer need not heed it.
  case courtesy
  /// A link in use was lost, and the ones before had lived long: no failure yet, so that a look-up that waits for an answer may dial again.
  case loss
  /// Dials failed, or links ended soon.
  case failures
  /// One end refused the other for a reason that lasts.
  case refusal(Reason.Code, byRemote: Bool)
  /// An operator dropped it.
  case dropped
  /// This node is often told that a newer link of its own took the place of the one to this peer, and has made none.
  case replaced

  /// Whether the wait was for this side's own word alone, which it has taken back.
  func isEnded(by code: Reason.Code) -> Bool { self == .refusal(code, byRemote: false) }

  /// Whether the other end, or an operator, has said that there is to be no link: that outlives the entry's other reasons to be kept.
  var isWord: Bool {
    switch self {
    case .refusal, .dropped: true
    case .courtesy, .loss, .failures, .replaced: false
    }
  }

  /// Whether a look-up has to heed it.
  var bindsLookUps: Bool { self != .courtesy && self != .loss }
}

extension KnownPeer {
  /// Why there is a wait until ``notBefore``.
  var pauseInWords: String {
    switch pause {
    case .dropped: return "dropped by an operator"
    case .refusal(let code, byRemote: true): return "it refused this node (\(code))"
    case .refusal(let code, byRemote: false): return "this node refused it (\(code))"
    case .replaced: return "it says that a newer link of this node's took the place of the last one"
    case .courtesy: return "its last link ended because it was not needed"
    case .loss: return "its last link was lost a moment ago"
    case .failures:
      let count = max(streak, shortLives)
      return count == 1 ? "back-off after a failure" : "back-off after \(count) failures"
    }
  }
}

// The one gate of all dials. Bans, the list of a private network, crowds and waits bind whoever wants a dial: the node's own choice, a
// feeler, a look-up, a service. Only an explicit word (an operator's `peer add`, the application's `connect`) passes over a wait, and nothing
// passes over a ban.
extension PeeringMachine {
  /// Until when a wait stands against a dial; `nil` when none does.
  func pause(of target: DialTarget, for cause: LinkCause, _ now: Instant) -> Instant? {
    let entry = known[target] ?? entryFromBook(target, now)
    guard entry.notBefore > now, cause != .request else { return nil }
    if cause == .lookUp, !entry.pause.bindsLookUps { return nil }
    return entry.notBefore
  }

  /// Whether a target may be dialled now for this cause: it has no link, one of its addresses is not barred, and its wait is over.
  func mayDial(_ target: DialTarget, for cause: LinkCause, _ now: Instant) -> Bool {
    isFree(target, now) && pause(of: target, for: cause, now) == nil
  }

  /// Whether nothing is in the way of a link of the target's own, and one of its addresses may be dialled.
  func isFree(_ target: DialTarget, _ now: Instant) -> Bool {
    if known[target]?.link != nil || isAddressLinked(target) { return false }
    if let peer = target.peer, linkOfPeer[peer] != nil || heldOfPeer[peer] != nil { return false }
    return book.ids(of: target).contains { !isBarred(target, book.endpoint(of: $0), now) }
  }

  /// Whether an address must not be dialled: it is this node's own, or by a ban, because a private network would refuse who is expected
  /// there, or because there are enough links with it. Must-keep peers are dialled however many there are.
  func isBarred(_ target: DialTarget, _ address: Multiaddr, _ now: Instant) -> Bool { isBarred(target, BookEndpoint(address), now) }

  func isBarred(_ target: DialTarget, _ endpoint: BookEndpoint, _ now: Instant) -> Bool {
    let ip = endpoint.ip
    if let peer = target.peer, !mayBeAllowed(peer, ip) { return true }
    if let ip, known[target]?.role != .keep, crowdFault(ip, besides: rounds[target]?.attempts ?? []) != nil { return true }
    // What is merely heard is compared when it comes in.
    if known[target].map({ $0.role != .heard }) ?? false, isOwn(endpoint.multiaddr) { return true }
    return bans.ban(peer: target.peer, ip: ip, now: now) != nil
  }

  /// Whether a private network may take this peer from this address: where a name leads shows when the link is proven, and is judged then.
  func mayBeAllowed(_ peer: PeerID, _ ip: IPAddress?) -> Bool {
    isAllowed(peer, ip) || (ip == nil && configuration.allowed?.networks.isEmpty == false)
  }

  /// Whether this node itself listens at an address, or has reached itself there.
  func isOwn(_ address: Multiaddr) -> Bool { ownAddresses.contains(address) || selfAddresses.contains(address) }

  /// What an operator or a peer has said against a peer that a dial without a name has led to; `nil` when the link may be used.
  func pausedFault(_ link: Link, _ peer: PeerID, _ now: Instant) -> Reason? {
    guard link.direction == .outbound, link.cause != .request, link.cause != .mustKeep, let entry = known[.peer(peer)],
      entry.notBefore > now,
      entry.pause == .dropped
    else { return nil }
    return Reason(.operatorRequest, "dropped by an operator")
  }
}
