import Identity
import Wire

/// The walk towards a key: who is known to be near it, who was asked, and who is next.
///
/// It is over when the `width` nearest that have not failed have all answered (libp2p/specs `kad-dht`, "Peer routing"), or when
/// nobody is left to ask. Of one network only the nearest few count: otherwise anyone could make any number of names near a key, have one server
/// tell them, and stand in front of everybody else.
struct LookUp: Sendable {
  enum State: Hashable, Sendable { case heard, asked, answered, failed }

  struct Candidate: Sendable {
    let peer: PeerID
    let distance: Hash256
    var addresses: [Multiaddr]
    /// Its netgroup, where that counts: by its first public address as told, and once it has answered by its link.
    var group: IPNetwork?
    var state = State.heard
  }

  let target: Hash256
  private let local: PeerID
  private let width: Int
  private let maximum: Int
  private let groupMaximum: Int
  /// Whom the walk is for; counts whatever its network.
  private let sought: PeerID?
  /// Nearest first.
  private(set) var candidates: [Candidate] = []
  private var positions: [PeerID: Hash256] = [:]
  private(set) var inFlight = 0

  /// Makes a walk that ends when the `width` nearest have answered, at most `groupMaximum` of one netgroup, and that remembers at most
  /// `maximum` candidates.
  init(target: Hash256, local: PeerID, sought: PeerID? = nil, width: Int, maximum: Int, groupMaximum: Int) {
    self.target = target
    self.local = local
    self.width = width
    self.maximum = max(width, maximum)
    self.groupMaximum = max(1, groupMaximum)
    self.sought = sought
  }

  /// Takes in a candidate. Addresses of one already known are added. O(candidates).
  mutating func hear(_ peer: PeerID, place: Hash256, _ addresses: [Multiaddr]) {
    guard peer != local else { return }
    let distance = place ^ target
    if positions[peer] != nil {
      guard let index = index(of: peer), candidates[index].state == .heard else { return }
      for address in addresses where candidates[index].addresses.count < KademliaMessage.addressesMaximum {
        if !candidates[index].addresses.contains(address) { candidates[index].addresses.append(address) }
      }
      return
    }
    let group = addresses.lazy.compactMap(\.ipAddress).first { $0.isRoutable }?.netgroup
    guard makeRoom(for: distance, group) else { return }
    candidates.insert(
      Candidate(peer: peer, distance: distance, addresses: Array(addresses.prefix(KademliaMessage.addressesMaximum)), group: group),
      at: insertionIndex(distance))
    positions[peer] = distance
  }

  /// Makes room for a newcomer when the list is full; false when it has to stay outside. The farthest that nobody waits for goes, of the largest
  /// network if more of that are known than count.
  private mutating func makeRoom(for distance: Hash256, _ group: IPNetwork?) -> Bool {
    guard candidates.count >= maximum else { return true }
    var sizes: [IPNetwork: Int] = [:]
    for candidate in candidates { if let group = candidate.group { sizes[group, default: 0] += 1 } }
    if let group { sizes[group, default: 0] += 1 }
    let largest = sizes.max { ($0.value, $0.key) < ($1.value, $1.key) }
    let crowd = largest.flatMap { $0.value > groupMaximum ? $0.key : nil }
    guard let last = candidates.lastIndex(where: { $0.state != .asked && (crowd == nil || $0.group == crowd) }),
      candidates[last].distance > distance || crowd != nil && crowd != group
    else { return false }
    positions[candidates[last].peer] = nil
    candidates.remove(at: last)
    return true
  }

  /// The `width` nearest of those that count, nearest first: at most ``groupMaximum`` of one network.
  private func nearest(where counts: (State) -> Bool) -> [Int] {
    var sizes: [IPNetwork: Int] = [:]
    var found: [Int] = []
    for index in candidates.indices where counts(candidates[index].state) {
      if let group = candidates[index].group, candidates[index].peer != sought {
        if sizes[group, default: 0] == groupMaximum { continue }
        sizes[group, default: 0] += 1
      }
      found.append(index)
      if found.count == width { break }
    }
    return found
  }

  /// The nearest that is to be asked next, or `nil` when `parallel` are asked already or nobody within the width is left. O(candidates).
  mutating func next(parallel: Int) -> Candidate? {
    guard inFlight < parallel, let index = nearest(where: { $0 != .failed }).first(where: { candidates[$0].state == .heard }) else {
      return nil
    }
    candidates[index].state = .asked
    inFlight += 1
    return candidates[index]
  }

  /// Whether the `width` nearest have answered, or nobody is left. O(candidates).
  var isOver: Bool { nearest(where: { $0 != .failed }).allSatisfy { candidates[$0].state == .answered } }

  /// Books the answer or failure of one that was asked; false when it was not. The link that an answer came over shows whose network it is of.
  mutating func settle(_ peer: PeerID, answered: Bool, at remote: IPAddress? = nil) -> Bool {
    guard let index = index(of: peer), candidates[index].state == .asked else { return false }
    candidates[index].state = answered ? .answered : .failed
    if answered, let remote { candidates[index].group = remote.isRoutable ? remote.netgroup : nil }
    inFlight -= 1
    return true
  }

  /// One that failed has turned out to have other addresses: it may be asked again.
  mutating func revive(_ peer: PeerID, _ addresses: [Multiaddr]) {
    guard let index = index(of: peer), candidates[index].state == .failed else { return }
    candidates[index].state = .heard
    candidates[index].addresses = addresses
  }

  /// The nearest that answered, nearest first, at most the width.
  var answered: [Candidate] { nearest(where: { $0 == .answered }).map { candidates[$0] } }

  func state(of peer: PeerID) -> State? { index(of: peer).map { candidates[$0].state } }

  private func insertionIndex(_ distance: Hash256) -> Int {
    var low = 0
    var high = candidates.count
    while low < high {
      let middle = (low + high) / 2
      if candidates[middle].distance < distance { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private func index(of peer: PeerID) -> Int? {
    guard let distance = positions[peer] else { return nil }
    let index = insertionIndex(distance)
    return index < candidates.count && candidates[index].peer == peer ? index : nil
  }

  func checkInvariants() {
    precondition(candidates.count == positions.count && candidates.count <= maximum, "\(candidates.count) candidates")
    precondition(candidates.count(where: { $0.state == .asked }) == inFlight, "those asked are miscounted")
    for pair in zip(candidates, candidates.dropFirst()) { precondition(pair.0.distance < pair.1.distance, "candidates are out of order") }
  }
}
