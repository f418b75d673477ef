import Identity
import Wire

/// Who leaves a full house for a newcomer or a must-keep peer (after Bitcoin Core's `node/eviction.cpp`).
///
/// An attacker can have many addresses, but hardly all of: a network group that a secret favours, the shortest way to us, the newest blocks
/// and transactions, and the oldest links. Those who are best in one of these are protected; of the rest the youngest of the biggest network
/// group goes, and only for a newcomer of a smaller group: a crowd can't push others out by coming again and again. A link of a peer with a bad
/// score goes before all that, for anybody.
enum EvictionRule {
  struct Candidate: Hashable {
    var id: ConnectionID
    var group: NetworkGroup
    var roundTrip: Duration?
    var lastBlock: Instant?
    var lastTransaction: Instant?
    var since: Instant
    /// The peer's score where it is bad; 0 otherwise.
    var badScore = 0.0
  }

  /// - Parameters:
  ///   - candidates: the links that may go, all of one direction.
  ///   - newcomer: the group of the one who wants in; `nil` for one who gets his slot whatever his group.
  ///   - sizes: how many links of that direction each group has, those that may not go included.
  ///   - favour: the keyed rank of a group; the lowest are protected.
  static func choose(
    _ candidates: [Candidate], newcomer: NetworkGroup?, sizes: [NetworkGroup: Int], favour: (NetworkGroup) -> UInt64
  ) -> ConnectionID? {
    let worst = candidates.max { ($0.badScore, $0.since, $0.id) < ($1.badScore, $1.since, $1.id) }
    if let worst, worst.badScore > 0 { return worst.id }
    var left = candidates.sorted { $0.id < $1.id }
    // In a small house fewer are protected, so that somebody is left.
    let (fourth, eighth) = (min(8, left.count / 4), min(4, left.count / 8))
    func protect(_ number: Int, where isEligible: (Candidate) -> Bool = { _ in true }, by isBetter: (Candidate, Candidate) -> Bool) {
      let kept = Set(left.filter(isEligible).sorted(by: isBetter).prefix(number).map(\.id))
      left.removeAll { kept.contains($0.id) }
    }
    // One of each favoured group.
    var favoured: Set<NetworkGroup> = []
    for candidate in left.sorted(by: { (favour($0.group), $0.since, $0.id) < (favour($1.group), $1.since, $1.id) }) {
      guard favoured.count < eighth else { break }
      if favoured.insert(candidate.group).inserted { left.removeAll { $0.id == candidate.id } }
    }
    protect(fourth, where: { $0.roundTrip != nil }) { ($0.roundTrip ?? .zero, $0.id) < ($1.roundTrip ?? .zero, $1.id) }
    protect(eighth, where: { $0.lastTransaction != nil }) { ($0.lastTransaction ?? .zero, $0.id) > ($1.lastTransaction ?? .zero, $1.id) }
    protect(eighth, where: { $0.lastBlock != nil }) { ($0.lastBlock ?? .zero, $0.id) > ($1.lastBlock ?? .zero, $1.id) }
    protect(left.count / 2) { ($0.since, $0.id) < ($1.since, $1.id) }

    let groups = Dictionary(grouping: left, by: \.group)
    func youngest(_ links: [Candidate]) -> Candidate? { links.max { ($0.since, $0.id) < ($1.since, $1.id) } }
    let crowds = groups.values.compactMap { links in youngest(links).map { (count: links.count, youngest: $0) } }
    let biggest = crowds.max { ($0.count, $0.youngest.since, $0.youngest.id) < ($1.count, $1.youngest.since, $1.youngest.id) }
    guard let leaves = biggest?.youngest else { return nil }
    if let newcomer, sizes[leaves.group] ?? 0 <= sizes[newcomer] ?? 0 { return nil }
    return leaves.id
  }
}
