import Identity
import Wire

/// The allowances of peers. All links of a peer share one, and it is kept after the last link until it is full again, so that nobody earns
/// anything by coming back.
///
/// Names are free, addresses are not: a peer that is new here begins with what the last ones left of theirs at its address. It is not blamed for
/// asking too much before that has filled up, for it may be one of many behind one address.
struct RateTable {
  /// What one peer may ask of this side, and this side of it.
  struct Allowance {
    let inbound: InboundRates
    let outbound: OutboundRates
    fileprivate var links = 0

    fileprivate func isFull(_ now: Instant) -> Bool { inbound.isFull(now: now) && outbound.isFull(now: now) }
  }

  private let limits: RateLimits
  private let maximum: Int
  private var peers: [PeerID: Allowance] = [:]
  private var addresses: [IPNetwork: InboundRates] = [:]
  private var departed = 0

  /// Makes an empty table that remembers at most `maximum` peers without a link, and as many addresses.
  init(_ limits: RateLimits, maximum: Int = 4_096) {
    self.limits = limits
    self.maximum = maximum
  }

  /// A peer has a link more; `from` is `nil` where many share one address by design.
  mutating func arrive(_ peer: PeerID, from network: IPNetwork?, now: Instant) -> Allowance {
    var allowance =
      peers[peer]
      ?? Allowance(
        inbound: InboundRates(limits, after: network.flatMap { addresses[$0] }, now: now), outbound: OutboundRates(limits, now: now),
        links: 0)
    if peers[peer]?.links == 0 { departed -= 1 }
    allowance.links += 1
    peers[peer] = allowance
    return allowance
  }

  /// A peer has a link less. What is full is forgotten, for a new one is the same; where too much is left to remember, so is this peer.
  ///
  /// - Complexity: O(1); O(n) when the table is full.
  mutating func leave(_ peer: PeerID, from network: IPNetwork?, now: Instant) {
    guard var allowance = peers[peer] else { return }
    allowance.links -= 1
    peers[peer] = allowance
    guard allowance.links == 0 else { return }
    peers[peer] = nil
    if allowance.isFull(now) { return }
    if departed >= maximum {
      let before = peers.count
      peers = peers.filter { $0.value.links > 0 || !$0.value.isFull(now) }
      departed -= before - peers.count
    }
    if departed < maximum {
      peers[peer] = allowance
      departed += 1
    }
    guard let network else { return }
    if addresses[network] == nil && addresses.count >= maximum { addresses = addresses.filter { !$0.value.isFull(now: now) } }
    guard addresses[network] != nil || addresses.count < maximum else { return }
    let left = InboundRates(limits, after: allowance.inbound, now: now)
    if let former = addresses[network] { left.lower(to: former, now: now) }
    addresses[network] = left
  }

  /// The peers without a link and the addresses that are remembered.
  var remembered: (peers: Int, addresses: Int) { (departed, addresses.count) }
}
