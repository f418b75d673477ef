import Identity
import Wire

/// Whom a dial is for: a peer, or an address whose peer is not known yet.
enum DialTarget: Hashable, Comparable {
  case peer(PeerID)
  case address(Multiaddr)

  var peer: PeerID? { if case .peer(let peer) = self { peer } else { nil } }

  static func < (left: DialTarget, right: DialTarget) -> Bool {
    switch (left, right) {
    case (.peer(let a), .peer(let b)): a < b
    case (.address(let a), .address(let b)): a.bytes.lexicographicallyPrecedes(b.bytes)
    case (.peer, .address): true
    case (.address, .peer): false
    }
  }
}

/// What is remembered of a peer at hand: one that was configured, is linked, was dialled lately or did wrong. Its addresses stand in the
/// ``AddressBook``, where they are pinned meanwhile.
struct KnownPeer {
  /// Which list the peer is dialled from, in the order of precedence.
  enum Role: Int, Comparable {
    case heard, seed, keep
    static func < (left: Role, right: Role) -> Bool { left.rawValue < right.rawValue }
  }

  var role = Role.heard
  /// Failed dials in a row, each through all addresses: when there are too many the row goes.
  var failures = 0
  /// Failures of any kind in a row: the exponent of the back-off.
  var streak = 0
  /// Links in a row that ended soon after they had become active.
  var shortLives = 0
  /// No dial before, but by an explicit word; see ``pause``.
  private(set) var notBefore = Instant.zero
  /// Why there is a wait until ``notBefore``.
  private(set) var pause = DialPause.failures
  /// What went wrong last, until a link is good.
  var trouble: Trouble?
  /// When the peer last said that a newer link of this node's took the place of the one to it, and this node had none.
  var replacedAt: Instant?
  /// Accepted links in a row that took each other's place soon.
  var swaps = 0
  /// When it was learned of or its link was lost: the passive wait counts from here.
  var waitingSince: Instant
  var score = Score()
  var roundTrip: Duration?
  /// The link or the round (by the ID of its first attempt) that this entry has, so that it is not chosen again.
  var link: ConnectionID?
  /// The place in its list; kept by ``KnownTable``.
  fileprivate(set) var position = 0

  /// A dial that failed, or a link that ended for a reason that is no good sign.
  struct Trouble {
    enum Kind {
      case dial(DialFailure)
      case link(Reason, LinkCloser)
    }

    let kind: Kind
    let address: Multiaddr
    let at: Instant

    func status(_ now: Instant) -> DialStatus.Trouble {
      switch kind {
      case .dial(let failure):
        var answered: PeerID?
        if case .wrongPeer(let other) = failure { answered = other }
        return .init(address: address, kind: failure.kind, words: failure.description, answered: answered, ago: now - at)
      case .link(let reason, let closer):
        let words =
          switch closer {
          case .thisSide: "this node closed the link: \(reason)"
          case .remote: "it closed the link: \(reason.quoted)"
          case .nobody: "the link broke: \(reason)"
          }
        return .init(address: address, kind: "\(reason.code)", words: words, answered: nil, ago: now - at)
      }
    }
  }

  /// The address of the last dial, if that failed.
  var failedAddress: Multiaddr? { if let trouble, case .dial = trouble.kind { trouble.address } else { nil } }

  init(waitingSince: Instant) { self.waitingSince = waitingSince }

  /// No dial before `instant`, whatever the wait was.
  mutating func wait(until instant: Instant, _ pause: DialPause) {
    notBefore = instant
    self.pause = pause
  }

  /// No dial before `instant`, and not before an earlier wait is over.
  mutating func waitLonger(until instant: Instant, _ pause: DialPause) { if instant > notBefore { wait(until: instant, pause) } }

  /// The wait ends at `instant` at the latest.
  mutating func waitNoLonger(than instant: Instant) { notBefore = min(notBefore, instant) }
}

/// The peers at hand, in lists by role.
struct KnownTable {
  private(set) var entries: [DialTarget: KnownPeer] = [:]
  /// Must-keep and seed entries stand in the order in which they were configured.
  private var lists: [[DialTarget]] = Array(repeating: [], count: 3)

  var count: Int { entries.count }

  /// The targets of a role, in configured order for must-keep and seed entries.
  func targets(_ role: KnownPeer.Role) -> [DialTarget] { lists[role.rawValue] }

  /// Reads an entry; changes go through ``update(_:_:)``.
  subscript(_ target: DialTarget) -> KnownPeer? { entries[target] }

  mutating func insert(_ target: DialTarget, _ entry: KnownPeer) {
    precondition(entries[target] == nil, "an entry is inserted once")
    var entry = entry
    place(target, &entry)
    entries[target] = entry
  }

  /// Changes an entry in place and moves it to the list where it now belongs. Nothing happens when it is absent.
  mutating func update(_ target: DialTarget, _ change: (inout KnownPeer) -> Void) {
    guard let index = entries.index(forKey: target) else { return }
    let before = entries.values[index].role
    change(&entries.values[index])
    if before != entries.values[index].role {
      unplace(position: entries.values[index].position, from: before)
      var entry = entries.values[index]
      place(target, &entry)
      entries[target] = entry
    }
  }

  /// The wall clock went forward by `step` beside the machine's: scores decay by it. O(n).
  mutating func moveScores(by step: Duration, now: Instant) {
    for entry in entries.values.indices { entries.values[entry].score.move(by: step, now: now) }
  }

  @discardableResult
  mutating func remove(_ target: DialTarget) -> KnownPeer? {
    guard let entry = entries.removeValue(forKey: target) else { return nil }
    unplace(position: entry.position, from: entry.role)
    return entry
  }

  private mutating func place(_ target: DialTarget, _ entry: inout KnownPeer) {
    entry.position = lists[entry.role.rawValue].count
    lists[entry.role.rawValue].append(target)
  }

  /// Must-keep and seed lists are short and keep their order; the other fills the hole with its last entry.
  private mutating func unplace(position: Int, from role: KnownPeer.Role) {
    let index = role.rawValue
    if role != .heard {
      lists[index].remove(at: position)
      for later in position..<lists[index].count { entries[lists[index][later]]?.position = later }
      return
    }
    let last = lists[index].count - 1
    if position != last {
      lists[index].swapAt(position, last)
      entries[lists[index][position]]?.position = position
    }
    lists[index].removeLast()
  }

  /// Whom to let go of to make room: of eight random entries without a role and a link the one with the least to remember.
  func leastWanted(now: Instant, halfLife: Duration, using generator: inout SeededGenerator) -> DialTarget? {
    let heard = lists[KnownPeer.Role.heard.rawValue]
    var found: (target: DialTarget, worth: (Int, Double, Instant))?
    for _ in 0..<min(8, heard.count) {
      let target = heard[generator.index(below: heard.count)]
      guard let entry = entries[target], entry.link == nil else { continue }
      // Last of all goes whom somebody does not want linked, while that holds.
      let isWord = entry.pause.isWord && entry.notBefore > now ? 1 : 0
      let worth = (isWord, entry.score.value(at: now, halfLife: halfLife).rounded(.down), entry.notBefore)
      if found.map({ worth < $0.worth }) ?? true { found = (target, worth) }
    }
    return found?.target
  }

  /// Traps when lists or positions disagree with the entries. O(n).
  func checkInvariants() {
    for (role, list) in lists.enumerated() {
      for (position, target) in list.enumerated() {
        guard let entry = entries[target] else { preconditionFailure("a list names an absent entry") }
        precondition(entry.position == position && entry.role.rawValue == role, "an entry stands in the wrong place")
      }
    }
    let total = lists.reduce(0) { $0 + $1.count }
    precondition(total == entries.count, "\(total) listed, \(entries.count) entries")
  }
}
