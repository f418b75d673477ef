import Identity
import Wire

/// Whom what a peer stores here is counted on: the neighbours that one operator is likely to hold together. Names cost nothing, addresses
/// little, networks more.
struct Origin: Hashable, Sendable {
  /// Peers that are counted as one.
  enum Holder: Hashable, Comparable, Sendable {
    /// This node itself: what it stores here never makes room.
    case own
    /// The peers of a network.
    case network(IPNetwork)
    /// One peer whose network is not known.
    case peer(PeerID)
  }

  /// A /16 of IPv4 or a /32 of IPv6. On private networks, where neighbours mean nothing, the same as ``site``.
  let group: Holder
  /// What one subscriber has: an IPv4 address, or a /64 of IPv6.
  let site: Holder
  /// Whether its address is one of the Internet, where it costs something.
  let isPublic: Bool

  static let own = Origin(group: .own, site: .own, isPublic: false)

  private init(group: Holder, site: Holder, isPublic: Bool) {
    self.group = group
    self.site = site
    self.isPublic = isPublic
  }

  /// The origin of a peer whose link comes from an IP address.
  init(_ peer: PeerID, at ip: IPAddress?) {
    guard let ip else {
      self.init(group: .peer(peer), site: .peer(peer), isPublic: false)
      return
    }
    let site = Holder.network(ip.home)
    self.init(group: ip.isRoutable ? .network(ip.netgroup) : site, site: site, isPublic: ip.isRoutable)
  }
}

/// The account of a table that strangers fill, in bytes and by ``Origin``. When the table is full, whoever takes most of it makes room: of the
/// largest group the largest site. So a flood of throwaway names from one network drives out itself, and nobody else.
struct FairShares<Item: Hashable & Sendable>: Sendable {
  private struct Entry {
    let origin: Origin
    let bytes: Int
    let distance: Hash256
    var position: Int
  }
  private struct Site {
    var bytes = 0
    var items: [Item] = []
  }
  private struct Group {
    var bytes = 0
    var sites: [Origin.Holder: Site] = [:]
  }

  private var entries: [Item: Entry] = [:]
  private var groups: [Origin.Holder: Group] = [:]
  /// What all entries take.
  private(set) var bytes = 0

  var count: Int { entries.count }

  /// What the group of an origin takes. O(1).
  func bytes(ofGroupOf origin: Origin) -> Int { groups[origin.group]?.bytes ?? 0 }

  func origin(of item: Item) -> Origin? { entries[item]?.origin }

  /// Takes an entry into the account; it must not be in it. O(1).
  mutating func add(_ item: Item, of origin: Origin, bytes: Int, distance: Hash256) {
    precondition(entries[item] == nil, "an entry is counted once")
    let position = groups[origin.group]?.sites[origin.site]?.items.count ?? 0
    entries[item] = Entry(origin: origin, bytes: bytes, distance: distance, position: position)
    groups[origin.group, default: Group()].sites[origin.site, default: Site()].items.append(item)
    change(origin, by: bytes)
  }

  /// Takes an entry out of the account, if it is in it. O(1).
  mutating func remove(_ item: Item) {
    guard let entry = entries.removeValue(forKey: item) else { return }
    let (group, site) = (entry.origin.group, entry.origin.site)
    // The last of the site takes its place.
    if let last = groups[group]?.sites[site]?.items.popLast(), last != item {
      groups[group]?.sites[site]?.items[entry.position] = last
      entries[last]?.position = entry.position
    }
    change(entry.origin, by: -entry.bytes)
    if groups[group]?.sites[site]?.items.isEmpty == true { groups[group]?.sites[site] = nil }
    if groups[group]?.sites.isEmpty == true { groups[group] = nil }
  }

  private mutating func change(_ origin: Origin, by count: Int) {
    bytes += count
    groups[origin.group]?.bytes += count
    groups[origin.group]?.sites[origin.site]?.bytes += count
  }

  /// Which entry makes room for a new one: the farthest of eight random ones of the largest site. Where that is of the newcomer's own group,
  /// the nearer of the two stays. `nil` when the newcomer has to go. O(groups + sites of one).
  func victim(for origin: Origin, distance: Hash256, using generator: inout SeededGenerator) -> Item? {
    let group = groups.lazy.filter { $0.key != .own }.max { ($0.value.bytes, $0.key) < ($1.value.bytes, $1.key) }
    guard let group, let site = group.value.sites.max(by: { ($0.value.bytes, $0.key) < ($1.value.bytes, $1.key) })?.value else {
      return nil
    }
    func place(_ item: Item) -> Hash256 { entries[item]?.distance ?? .zero }
    let sample = site.items.count <= 8 ? site.items : (0..<8).map { _ in site.items[generator.index(below: site.items.count)] }
    guard let farthest = sample.max(by: { place($0) < place($1) }) else { return nil }
    return group.key == origin.group && place(farthest) <= distance ? nil : farthest
  }

  /// Traps when the sums disagree: for tests. O(n).
  func checkInvariants() {
    var counted = 0
    for (name, group) in groups {
      precondition(!group.sites.isEmpty && group.sites.values.reduce(0) { $0 + $1.bytes } == group.bytes, "a group is miscounted")
      for (place, site) in group.sites {
        var sum = 0
        for (position, item) in site.items.enumerated() {
          guard let entry = entries[item] else { preconditionFailure("a site names an absent entry") }
          precondition(entry.position == position && entry.origin.group == name && entry.origin.site == place, "an entry is misplaced")
          sum += entry.bytes
        }
        precondition(sum == site.bytes && !site.items.isEmpty, "a site is miscounted")
        counted += site.items.count
      }
    }
    precondition(counted == entries.count && groups.values.reduce(0) { $0 + $1.bytes } == bytes, "\(bytes) bytes are miscounted")
  }
}

/// One of each list, then the next of each, and so on.
func interleaved<Element>(_ lists: [[Element]]) -> [Element] {
  var result: [Element] = []
  for place in 0..<(lists.lazy.map(\.count).max() ?? 0) { for list in lists where place < list.count { result.append(list[place]) } }
  return result
}
