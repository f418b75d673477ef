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

/// One address of a known peer.
struct KnownAddress: Hashable {
  var address: Multiaddr
  var facts: AddressFacts
  /// The last time that a dial there ended in an active link.
  var lastSuccess: Instant?
  /// Failed dials since.
  var failures = 0
  /// Whether the peer itself said that it listens there.
  var isSelfDeclared = false
  /// Whether it was configured without a PeerID, so that it outlives the peer that answered there.
  var isNameless = false

  init(_ address: Multiaddr) {
    self.address = address
    facts = AddressFacts(address)
  }
}

/// What is remembered of a peer, linked or not.
struct KnownPeer {
  /// Which list the peer is dialled from, in the order of precedence.
  enum Role: Int, Comparable {
    case heard, seed, keep
    static func < (left: Role, right: Role) -> Bool { left.rawValue < right.rawValue }
  }

  var role = Role.heard
  var addresses: [KnownAddress] = []
  /// Whose word brought the entry in; counts against that peer's quota.
  var author: PeerID?
  /// Whether the book has a row.
  var isStored = false
  /// Whether any dial was made since the start.
  var isTried = false
  /// Failed dials in a row, each through all addresses: when there are too many the row goes.
  var failures = 0
  /// Failures of any kind in a row: the exponent of the back-off.
  var streak = 0
  /// Links in a row that ended soon after they had become active.
  var shortLives = 0
  /// No dial before.
  var notBefore = Instant.zero
  /// When it was learned of or its link was lost: the passive wait counts from here.
  var waitingSince: Instant
  /// The next address of the round that is under way, as an index into the round's order.
  var round: [Multiaddr] = []
  var score = Score()
  var roundTrip: Duration?
  /// The link or dial that this entry has, so that it is not chosen again.
  var link: ConnectionID?
  /// The place in its list; kept by ``KnownTable``.
  fileprivate(set) var position = 0

  init(waitingSince: Instant) { self.waitingSince = waitingSince }

  /// The latest successful dial of any address.
  var lastSuccess: Instant? { addresses.compactMap(\.lastSuccess).max() }

  /// The addresses in the order in which a round tries them: the last good one first, then those that failed least.
  var dialOrder: [Multiaddr] {
    addresses.enumerated().sorted { left, right in
      let (a, b) = (left.element, right.element)
      if a.lastSuccess != b.lastSuccess {
        return (a.lastSuccess ?? Instant(nanoseconds: .min)) > (b.lastSuccess ?? Instant(nanoseconds: .min))
      }
      return a.failures != b.failures ? a.failures < b.failures : left.offset < right.offset
    }.map(\.element.address)
  }

  func contains(_ address: Multiaddr) -> Bool { addresses.contains { $0.address == address } }
}

/// All that is remembered, in four lists that are dialled from in turn. Bounded; a choice looks at a bounded sample.
struct KnownTable {
  /// The lists. Must-keep and seed entries stand in the order in which they were configured.
  enum List: Int, CaseIterable { case keep, stored, seed, heard }

  private(set) var entries: [DialTarget: KnownPeer] = [:]
  private var lists: [[DialTarget]] = Array(repeating: [], count: List.allCases.count)
  private var authors: [PeerID: Int] = [:]

  var count: Int { entries.count }

  /// The targets of a list, in configured order for must-keep and seed entries.
  func targets(_ list: List) -> [DialTarget] { lists[list.rawValue] }

  /// How many entries came in through a peer's word.
  func quota(of author: PeerID) -> Int { authors[author] ?? 0 }

  /// Reads an entry; changes go through ``update(_:_:)``.
  subscript(_ target: DialTarget) -> KnownPeer? { entries[target] }

  /// Where a dial of the entry would come from.
  func origin(of target: DialTarget) -> DialOrigin? {
    guard let entry = entries[target] else { return nil }
    return switch list(of: entry) {
    case .keep: .configured
    case .stored: .stored
    case .seed: .seed
    case .heard: .heard
    }
  }

  /// Whether an entry has an address, and when `isSelfDeclared` has it from the peer itself.
  func holds(_ address: Multiaddr, of target: DialTarget, isSelfDeclared: Bool) -> Bool {
    guard let index = entries.index(forKey: target) else { return false }
    return entries.values[index].addresses.contains { $0.address == address && ($0.isSelfDeclared || !isSelfDeclared) }
  }

  private func list(of entry: KnownPeer) -> List {
    if entry.role == .keep { return .keep }
    if entry.isStored { return .stored }
    return entry.role == .seed ? .seed : .heard
  }

  mutating func insert(_ target: DialTarget, _ entry: KnownPeer) {
    precondition(entries[target] == nil, "an entry is inserted once")
    var entry = entry
    place(target, &entry)
    if let author = entry.author { authors[author, default: 0] += 1 }
    entries[target] = entry
  }

  /// Changes an entry in place and moves it to the list where it now belongs. Nothing happens when it is absent.
  mutating func update(_ target: DialTarget, _ change: (inout KnownPeer) -> Void) {
    guard let index = entries.index(forKey: target) else { return }
    let before = list(of: entries.values[index])
    change(&entries.values[index])
    let after = list(of: entries.values[index])
    if before != after {
      unplace(position: entries.values[index].position, from: before)
      var entry = entries.values[index]
      place(target, &entry)
      entries[target] = entry
    }
  }

  @discardableResult
  mutating func remove(_ target: DialTarget) -> KnownPeer? {
    guard let entry = entries.removeValue(forKey: target) else { return nil }
    unplace(position: entry.position, from: list(of: entry))
    if let author = entry.author {
      let left = (authors[author] ?? 1) - 1
      authors[author] = left == 0 ? nil : left
    }
    return entry
  }

  private mutating func place(_ target: DialTarget, _ entry: inout KnownPeer) {
    let list = list(of: entry).rawValue
    entry.position = lists[list].count
    lists[list].append(target)
  }

  /// Must-keep and seed lists are short and keep their order; the others fill the hole with their last entry.
  private mutating func unplace(position: Int, from list: List) {
    let index = list.rawValue
    if list == .keep || list == .seed {
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

  /// A run of at most `maximum` neighbours in a list, from a random place on; the whole list when it is no longer than that.
  func sample(_ list: List, maximum: Int, using generator: inout SeededGenerator) -> [DialTarget] {
    let all = lists[list.rawValue]
    guard all.count > maximum else { return all }
    let start = generator.index(below: all.count)
    return (0..<maximum).map { all[(start + $0) % all.count] }
  }

  /// Makes room by forgetting a random entry that was only heard of and has no link: of eight tries the one that failed most.
  mutating func evict(using generator: inout SeededGenerator) -> DialTarget? {
    let heard = lists[List.heard.rawValue]
    var worst: (target: DialTarget, streak: Int)?
    for _ in 0..<min(8, heard.count) {
      let target = heard[generator.index(below: heard.count)]
      guard let entry = entries[target], entry.link == nil, entry.lastSuccess == nil else { continue }
      if worst.map({ entry.streak > $0.streak }) ?? true { worst = (target, entry.streak) }
    }
    guard let worst else { return nil }
    remove(worst.target)
    return worst.target
  }

  /// Traps when lists, positions or quotas disagree with the entries. O(n).
  func checkInvariants() {
    var total = 0
    for list in List.allCases {
      for (position, target) in lists[list.rawValue].enumerated() {
        guard let entry = entries[target] else { preconditionFailure("a list names an absent entry") }
        precondition(entry.position == position && self.list(of: entry) == list, "an entry stands in the wrong place")
      }
      total += lists[list.rawValue].count
    }
    precondition(total == entries.count, "\(total) listed, \(entries.count) entries")
    var counted: [PeerID: Int] = [:]
    for entry in entries.values { if let author = entry.author { counted[author, default: 0] += 1 } }
    precondition(counted == authors, "quotas disagree with the entries")
  }
}
