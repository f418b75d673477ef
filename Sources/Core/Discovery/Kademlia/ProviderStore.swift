import Identity
import Wire

/// Who has said to provide what, each for a limited time.
///
/// Whoever may speak to this node may fill the store with throwaway names. So its bytes are shared fairly by network (``FairShares``), a key has
/// a limited number of providers, of whom the largest network gives way, and one public IP address or network may hold only so many places
/// under a key. Answers name providers of as many networks as there are.
struct ProviderStore: Sendable {
  private struct Word: Sendable {
    var addresses: [Multiaddr]
    var given: Instant
    var origin: Origin
  }
  private struct WordID: Hashable, Sendable {
    let peer: PeerID
    let key: [UInt8]
  }

  private let configuration: Kademlia.Configuration
  private var rows: [[UInt8]: [PeerID: Word]] = [:]
  private var shares = FairShares<WordID>()

  init(_ configuration: Kademlia.Configuration) { self.configuration = configuration }

  /// The number of keys, and of the words under all of them.
  var counts: (keys: Int, words: Int) { (rows.count, shares.count) }

  /// What the words take in memory, as far as it is counted.
  var bytes: Int { shares.bytes }

  /// A peer's word that it provides what the key names; it takes the place of an older one. False when there is no room.
  /// O(providers of the key), and O(networks) when the store is full.
  mutating func add(
    _ peer: PeerID, _ addresses: [Multiaddr], key: [UInt8], distance: Hash256, from origin: Origin, now: Instant,
    using generator: inout SeededGenerator
  ) -> Bool {
    let old = rows[key]?[peer]
    remove(peer, key)
    while let crowded = crowded(key, origin) { remove(crowded, key) }
    let word = Word(addresses: addresses, given: now, origin: origin)
    while shares.bytes + Self.bytes(word, key) > configuration.providerBytesMaximum {
      guard let victim = shares.victim(for: origin, distance: distance, using: &generator) else {
        if let old { keep(old, of: peer, key, distance) }
        return false
      }
      remove(victim.peer, victim.key)
    }
    keep(word, of: peer, key, distance)
    return true
  }

  private mutating func keep(_ word: Word, of peer: PeerID, _ key: [UInt8], _ distance: Hash256) {
    rows[key, default: [:]][peer] = word
    shares.add(WordID(peer: peer, key: key), of: word.origin, bytes: Self.bytes(word, key), distance: distance)
  }

  /// What a word costs: beside the key and the addresses, its places in the tables and the heads of the arrays.
  private static func bytes(_ word: Word, _ key: [UInt8]) -> Int {
    word.addresses.reduce(320 + key.count) { $0 + $1.bytes.count + 40 }
  }

  /// Whose word makes room under a key for one of this origin; `nil` while there is room.
  private func crowded(_ key: [UInt8], _ origin: Origin) -> PeerID? {
    guard let words = rows[key] else { return nil }
    if origin.isPublic {
      let site = words.filter { $0.value.origin.site == origin.site }
      if site.count >= configuration.providersPerSiteMaximum { return Self.oldest(site) }
      let group = words.filter { $0.value.origin.group == origin.group }
      if group.count >= configuration.providersPerGroupMaximum { return Self.oldestOfLargestSite(group, origin) }
    }
    guard words.count >= configuration.providersPerKeyMaximum else { return nil }
    let others = words.filter { $0.value.origin != .own }
    let groups = Dictionary(grouping: others, by: \.value.origin.group).mapValues { Dictionary(uniqueKeysWithValues: $0) }
    // The newcomer counts too. Of equal groups the one with the oldest word gives way.
    let largest = groups.max { left, right in
      func size(_ group: (key: Origin.Holder, value: [PeerID: Word])) -> Int { group.value.count + (group.key == origin.group ? 1 : 0) }
      return (size(left), Self.since(right.value), right.key) < (size(right), Self.since(left.value), left.key)
    }
    return largest.flatMap { Self.oldestOfLargestSite($0.value, origin) }
  }

  private static func oldestOfLargestSite(_ words: [PeerID: Word], _ origin: Origin) -> PeerID? {
    let sites = Dictionary(grouping: words, by: \.value.origin.site).mapValues { Dictionary(uniqueKeysWithValues: $0) }
    let largest = sites.max { left, right in
      func size(_ site: (key: Origin.Holder, value: [PeerID: Word])) -> Int { site.value.count + (site.key == origin.site ? 1 : 0) }
      return (size(left), since(right.value), right.key) < (size(right), since(left.value), left.key)
    }
    return largest.flatMap { oldest($0.value) }
  }

  private static func oldest(_ words: [PeerID: Word]) -> PeerID? { words.min { ($0.value.given, $0.key) < ($1.value.given, $1.key) }?.key }

  /// When the oldest of these words was given.
  private static func since(_ words: [PeerID: Word]) -> Instant { words.values.lazy.map(\.given).min() ?? .distantFuture }

  /// Who provides what the key names, with addresses as long as they are likely to be right: this node first, then one of each network in
  /// random order, then a second of each, and so on; of a network likewise its sites. Whoever takes only the beginning has a random choice in
  /// which no network stands for another. O(n log n).
  func providers(_ key: [UInt8], now: Instant, using generator: inout SeededGenerator) -> [(peer: PeerID, addresses: [Multiaddr])] {
    guard let words = rows[key] else { return [] }
    var groups: [Origin.Holder: [Origin.Holder: [PeerID]]] = [:]
    for (peer, word) in words.sorted(by: { $0.key < $1.key }) where now - word.given < configuration.providerLifetime {
      groups[word.origin.group, default: [:]][word.origin.site, default: []].append(peer)
    }
    let own = groups.removeValue(forKey: .own)?.values.first ?? []
    var lists: [[PeerID]] = []
    for group in groups.keys.sorted() {
      var sites: [[PeerID]] = []
      for site in (groups[group] ?? [:]).sorted(by: { $0.key < $1.key }) { sites.append(Self.byLot(site.value, &generator)) }
      lists.append(interleaved(Self.byLot(sites, &generator)))
    }
    return (own + interleaved(Self.byLot(lists, &generator))).compactMap { peer in
      guard let word = words[peer] else { return nil }
      return (peer, now - word.given < configuration.providerAddressLifetime ? word.addresses : [])
    }
  }

  /// The items in random order.
  private static func byLot<Element>(_ items: [Element], _ generator: inout SeededGenerator) -> [Element] {
    var items = items
    generator.draw(items.count, toFrontOf: &items)
    return items
  }

  mutating func remove(_ peer: PeerID, _ key: [UInt8]) {
    guard rows[key]?.removeValue(forKey: peer) != nil else { return }
    shares.remove(WordID(peer: peer, key: key))
    if rows[key]?.isEmpty == true { rows[key] = nil }
  }

  /// Forgets what is too old. O(words).
  mutating func expire(_ now: Instant) {
    for (key, words) in rows {
      for (peer, word) in words where now - word.given >= configuration.providerLifetime { remove(peer, key) }
    }
  }

  func checkInvariants() {
    shares.checkInvariants()
    precondition(shares.bytes <= configuration.providerBytesMaximum, "\(shares.bytes) bytes of providers")
    var counted = 0
    for (key, words) in rows {
      precondition(!words.isEmpty && words.count <= configuration.providersPerKeyMaximum, "\(words.count) providers of a key")
      counted += words.count
      for (peer, word) in words {
        precondition(shares.origin(of: WordID(peer: peer, key: key)) == word.origin, "a word is counted on somebody else")
      }
      func check(_ count: (Word) -> Origin.Holder, _ maximum: Int) {
        let sizes = Dictionary(words.values.filter(\.origin.isPublic).map { (count($0), 1) }, uniquingKeysWith: +).values
        precondition(sizes.allSatisfy { $0 <= maximum }, "too many providers of one network under a key")
      }
      check(\.origin.site, configuration.providersPerSiteMaximum)
      check(\.origin.group, configuration.providersPerGroupMaximum)
    }
    precondition(counted == shares.count, "\(counted) words, \(shares.count) counted")
  }
}
