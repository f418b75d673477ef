import Identity
import Wire

extension PeeringMachine {
  /// What is known of a peer and what was decided about it, in sentences for an operator, the present state first. O(history).
  public func explain(_ peer: PeerID, now: Instant) -> [String] { story(of: peer, now: now).sentences }

  /// What is known of a peer and what was decided about it. O(peers at hand + history).
  public func story(of peer: PeerID, now: Instant) -> PeerStory {
    let ips = knownIPs(of: peer)
    // Who was refused at an address that others are known at too may have been any of them.
    let shared = ips.filter { isKnown($0, for: peer) }
    let own = ips.filter { !shared.contains($0) }
    let steps = history.events.filter { item in
      item.event.peer == peer || isAboutNetwork(item.event, of: ips) || refusedIP(item.event).map(own.contains) ?? false
    }.map { at, event in PeerStory.Step(time: clock.time(at: at), ago: now - at, event: event) }
    return PeerStory(peer: peer, address: nil, present: present(peer, ips, now) + refusals(at: shared), steps: steps)
  }

  /// Whether another peer is known at an IP address.
  private func isKnown(_ ip: IPAddress, for peer: PeerID) -> Bool {
    if links.values.contains(where: { $0.ip == ip && $0.peer.map { $0 != peer } ?? false }) { return true }
    return [KnownPeer.Role.keep, .seed, .heard].contains { role in
      known.targets(role).contains { target in
        target.peer.map { $0 != peer } ?? false && book.ids(of: target).contains { book.endpoint(of: $0).ip == ip }
      }
    }
  }

  /// How many were refused, before they had proven who they are, at addresses that several peers share.
  private func refusals(at ips: [IPAddress]) -> [String] {
    var counts: [String: Int] = [:]
    for (_, event) in history.events {
      guard case .refused(_, _, let reason) = event, let ip = refusedIP(event), ips.contains(ip) else { continue }
      counts[reason.code.description, default: 0] += 1
    }
    guard !counts.isEmpty else { return [] }
    let reasons = counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
    return ["At its IP address, which other peers have too, connections ended before anyone had proven who they are: \(reasons)."]
  }

  /// Where a connection came from that was refused before its peer had proven who it is.
  func refusedIP(_ event: PeeringEvent) -> IPAddress? {
    if case .refused(_, let remote, _) = event { AddressFacts(remote).ip } else { nil }
  }

  /// Whether a network that one of the addresses lies in was banned, or is no longer.
  private func isAboutNetwork(_ event: PeeringEvent, of ips: [IPAddress]) -> Bool {
    switch event {
    case .banned(.network(let network), _, _), .unbanned(.network(let network)): ips.contains { network.contains($0) }
    default: false
    }
  }

  func present(_ peer: PeerID, _ ips: [IPAddress], _ now: Instant) -> [String] {
    var lines: [String] = []
    if peer == localPeer { return ["This is the node itself; it is never dialled."] + warnings(now: now) }
    if let ban = bans.ban(peer: peer, ip: nil, now: now) { lines.append("Banned \(left(ban, now)): \(ban.detail).") }
    for (network, ban) in bans.networks.sorted(by: { $0.key < $1.key }) where ban.end > now && ips.contains(where: network.contains) {
      lines.append("Its network \(network) is banned \(left(ban, now)): \(ban.detail).")
    }
    if isTrusted(peer) { lines.append("Trusted by an operator: never evicted, never closed for its score, let in over the limits.") }
    if let id = linkOfPeer[peer], let link = links[id] {
      lines.append(
        "Linked (\(link.direction.rawValue), \(link.state.rawValue)) at \(link.address) for \((now - link.provenAt).rough), because \(link.cause.words)."
      )
    }
    if let held = heldOfPeer[peer] { lines.append("A second link (\(held)) waits until it is decided which one is kept.") }
    if let entry = known[.peer(peer)] {
      lines.append(contentsOf: explain(entry, .peer(peer), now))
    } else if book.contains(.peer(peer)) {
      lines.append(contentsOf: explain(entryFromBook(.peer(peer), now), .peer(peer), now))
    } else {
      lines.append("Not remembered: never heard of, or forgotten to make room.")
    }
    return lines
  }

  private func left(_ ban: BanList.Ban, _ now: Instant) -> String {
    ban.end == .distantFuture ? "until it is lifted" : "for another \((ban.end - now).rough)"
  }

  func explain(_ entry: KnownPeer, _ target: DialTarget, _ now: Instant) -> [String] {
    var lines: [String] = []
    let role =
      switch entry.role {
      case .keep: "a must-keep peer, dialled for ever"
      case .seed: "a seed, dialled when no stored peer connects"
      case .heard: isStored(target) ? "a stored peer, dialled before seeds" : "a peer that was heard of"
      }
    let addresses = dialOrder(target)
    let places = addresses.isEmpty ? "without an address" : "at \(addresses.map(\.description).joined(separator: ", "))"
    lines.append("Known as \(role), \(places).")
    if let first = book.ids(of: target).map({ book.records[$0] }).min(by: { $0.since < $1.since }), let since = first.since.instant {
      let source = first.source.isNetwork ? ", from the network \(first.source)" : ""
      lines.append("First heard of \((now - since).rough) ago\(source).")
    }
    let score = entry.score.value(at: now, halfLife: configuration.scoreHalfLife)
    if score >= 1 {
      let rank = score >= configuration.evictFirstScore ? "the first to leave a full house, " : ""
      let (end, ban) = (configuration.disconnectScore.whole, configuration.banScore.whole)
      lines.append("Score \(score.whole): \(rank)disconnected at \(end), banned at \(ban).")
    }
    if let round = rounds[target] {
      let places = round.attempts.compactMap { links[$0]?.address.description }.joined(separator: ", ")
      lines.append("Being dialled at \(places), because \(round.cause.words).")
    }
    guard entry.link == nil else { return lines }
    if let last = entry.trouble?.status(now) {
      lines.append("Last trouble, \(last.ago.rough) ago at \(last.address): \(last.words).")
    }
    let bar = barInWords(target, now)
    if let bar { lines.append("Not dialled: \(bar).") }
    if entry.notBefore > now {
      lines.append("Not dialled for another \((entry.notBefore - now).rough): \(entry.pauseInWords).")
    }
    if entry.role == .heard, leavesDial(to: target), activeCount > 0 {
      let end = entry.waitingSince + configuration.passiveWait
      if end > now {
        lines.append(
          "Not dialled for another \((end - now).rough): it has the lower \(configuration.identity == .ip ? "IP address" : "PeerID"), so it is its turn to dial."
        )
      }
    }
    if entry.role == .keep, bar == nil, entry.notBefore <= now { lines.append("Dialled as soon as a slot is free.") }
    if entry.role != .keep && slots.lasting >= outboundWanted {
      lines.append("Not dialled: this node has \(slots.lasting.counted("outbound link")) and wants \(outboundWanted).")
    }
    return lines
  }

  /// What an operator should look into, in sentences.
  public func warnings(now: Instant) -> [String] {
    guard let twin = sharedIdentity(now: now) else { return [] }
    let place = twin.address.map { ", at \($0)" } ?? ""
    return [
      "\(twin.ago.rough) ago: \(twin.evidence.words)\(place). Give each machine a key of its own: two with one key take each other's links."
    ]
  }
}

extension PeeringEvent {
  /// The event in words, without a full stop.
  public var sentence: String {
    switch self {
    case .peerKnown(_, let source): "heard of through \(source.words)"
    case .dialling(_, _, let address, let cause): "dialled \(address) because \(cause.words)"
    case .dialFailed(_, _, let address, let failure, let wait):
      "dial of \(address) failed: \(failure); \(wait < .milliseconds(1) ? "retrying now" : "next try in \(wait.rough)")"
    case .dialCancelled(_, _, let address, let reason): "dial of \(address) given up: \(reason)"
    case .dialRefused(_, let address, let reason): "not dialled at \(address): \(reason)"
    case .proven(let id, _, let direction): "proved its identity on \(id) (\(direction.rawValue))"
    case .peerActive(let id, _, let direction): "active on \(id) (\(direction.rawValue))"
    case .peerInactive(let id, _, let reason): "no longer active on \(id): \(reason.code)"
    case .linkClosed(let id, _, let reason, .thisSide): "\(id) closed by this side: \(reason)"
    case .linkClosed(let id, _, let reason, .remote): "\(id) closed by the remote: \(reason.quoted)"
    case .linkClosed(let id, _, let reason, .nobody): "\(id) was lost: \(reason)"
    case .refused(let id, let address, let reason): "\(id) from \(address) refused: \(reason)"
    case .selfConnection(let address): "reached itself at \(address)"
    case .offence(_, let offence, let score, let detail): "offence \(offence.words(detail)), score \(score.whole)"
    case .banned(let subject, let duration, let detail):
      "\(subject) banned \(duration.map { "for \($0.rough)" } ?? "until lifted"): \(detail)"
    case .unbanned(let subject): "ban of \(subject) ended"
    case .trusted(_, let isTrusted): isTrusted ? "an operator trusts it" : "an operator trusts it no longer"
    case .mustKeep(_, let address, let isKept):
      "an operator wants it kept\(isKept ? "" : " no longer")\(address.map { " at \($0)" } ?? "")"
    case .ownFault(let silent, let total): "\(silent) of \(total) links are silent or late: taken for this side's own fault"
    case .anotherAnswered(_, let address, let other):
      "\(other) answers at \(address), where the configuration has this peer; dialled on"
    case .identityShared(_, let address, let evidence): "\(evidence.words)\(address.map { ", at \($0)" } ?? "")"
    case .bookRowUnreadable(let key): "a row of the book cannot be read (key of \(key.count) bytes)"
    case .bookRowRemoved: "row removed from the book after too many failed dials"
    case .seedsAsked(let cause): "seeds are asked: \(cause.rawValue)"
    case .stopped: "stopped"
    }
  }
}

extension PeerSource {
  var words: String {
    switch self {
    case .seed: "the seed list"
    case .bootstrap: "the bootstrap list"
    case .manual: "an operator"
    case .exchange: "a peer's list"
    case .identify: "its own word"
    case .discovery: "a look-up"
    case .web: "an HTTP peer"
    case .local: "the local network"
    case .imported: "an import by an operator"
    }
  }
}
