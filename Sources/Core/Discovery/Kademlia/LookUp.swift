import Identity
import Wire

/// The walk towards a key: who is known to be near it, who was asked, and who is next.
///
/// It is over when the `width` nearest that have not failed have all answered (libp2p/specs `kad-dht`, "Peer routing"), or when
/// nobody is left to ask.
struct LookUp: Sendable {
  enum State: Hashable, Sendable { case heard, asked, answered, failed }

  struct Candidate: Sendable {
    let peer: PeerID
    let distance: Hash256
    var addresses: [Multiaddr]
    var state = State.heard
  }

  let target: Hash256
  private let local: PeerID
  private let width: Int
  private let maximum: Int
  /// Nearest first.
  private(set) var candidates: [Candidate] = []
  private var positions: [PeerID: Hash256] = [:]
  private(set) var inFlight = 0

  /// Makes a walk that ends when the `width` nearest have answered and that remembers at most `maximum` candidates.
  init(target: Hash256, local: PeerID, width: Int, maximum: Int) {
    self.target = target
    self.local = local
    self.width = width
    self.maximum = max(width, maximum)
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
    let index = insertionIndex(distance)
    if candidates.count >= maximum {
      // The farthest that nobody waits for makes room, unless the newcomer is farther still.
      guard let last = candidates.lastIndex(where: { $0.state != .asked }), index <= last else { return }
      positions[candidates[last].peer] = nil
      candidates.remove(at: last)
    }
    candidates.insert(
      Candidate(peer: peer, distance: distance, addresses: Array(addresses.prefix(KademliaMessage.addressesMaximum))), at: index)
    positions[peer] = distance
  }

  /// The nearest that is to be asked next, or `nil` when `parallel` are asked already or nobody within the width is left.
  mutating func next(parallel: Int) -> Candidate? {
    guard inFlight < parallel else { return nil }
    var alive = 0
    for index in candidates.indices where candidates[index].state != .failed {
      alive += 1
      if alive > width { return nil }
      if candidates[index].state == .heard {
        candidates[index].state = .asked
        inFlight += 1
        return candidates[index]
      }
    }
    return nil
  }

  /// Whether the `width` nearest have answered, or nobody is left.
  var isOver: Bool {
    for candidate in candidates.lazy.filter({ $0.state != .failed }).prefix(width) where candidate.state != .answered { return false }
    return true
  }

  /// Books the answer or failure of one that was asked; false when it was not.
  mutating func settle(_ peer: PeerID, answered: Bool) -> Bool {
    guard let index = index(of: peer), candidates[index].state == .asked else { return false }
    candidates[index].state = answered ? .answered : .failed
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
  var answered: [Candidate] { Array(candidates.lazy.filter { $0.state == .answered }.prefix(width)) }

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
