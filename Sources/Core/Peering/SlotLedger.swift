import Identity
import Wire

/// The one count of links, from the moment before the dial or of the accept on.
struct SlotLedger: Hashable {
  private(set) var outbound = 0
  private(set) var inbound = 0
  private(set) var dialling = 0
  private(set) var unproven = 0
  /// Dials for links that are to stay.
  private(set) var lastingDials = 0
  /// Test links, which count as outbound too.
  private(set) var feelers = 0
  /// Links that gave way to another one of the same peer.
  private(set) var draining = 0
  /// By what one subscriber has: an IPv4 address, or a /64 of IPv6.
  private(set) var byHome: [IPNetwork: Int] = [:]
  private(set) var bySubnet: [IPNetwork: Int] = [:]
  /// Of ``unproven``, likewise and by network.
  private(set) var unprovenByHome: [IPNetwork: Int] = [:]
  private(set) var unprovenBySubnet: [IPNetwork: Int] = [:]

  var total: Int { outbound + inbound + draining }
  /// Outbound links that are to stay.
  var lasting: Int { outbound - feelers }

  mutating func add(_ link: Link) { count(link, 1) }
  mutating func remove(_ link: Link) { count(link, -1) }
  mutating func add(_ round: DialRound) { count(round, 1) }
  mutating func remove(_ round: DialRound) { count(round, -1) }

  /// A round takes one slot, however many of its addresses are under way.
  private mutating func count(_ round: DialRound, _ change: Int) {
    outbound += change
    dialling += change
    if round.isFeeler { feelers += change } else { lastingDials += change }
  }

  /// An attempt has no slot of its own: its round has one.
  private mutating func count(_ link: Link, _ change: Int) {
    switch link.state {
    case .dialling: break
    case .draining: draining += change
    case .accepted, .held, .introducing, .active:
      if link.direction == .outbound { outbound += change } else { inbound += change }
      if link.isFeeler { feelers += change }
    }
    if link.state == .accepted { unproven += change }
    guard let ip = link.ip else { return }
    let home = ip.home
    SlotLedger.count(&byHome, home, change)
    let subnet = AddressFacts.subnet(of: ip)
    SlotLedger.count(&bySubnet, subnet, change)
    guard link.state == .accepted else { return }
    SlotLedger.count(&unprovenByHome, home, change)
    SlotLedger.count(&unprovenBySubnet, subnet, change)
  }

  private static func count<Key>(_ table: inout [Key: Int], _ key: Key, _ change: Int) {
    let value = (table[key] ?? 0) + change
    table[key] = value == 0 ? nil : value
  }
}

/// A link, or an attempt to make one.
struct Link {
  let id: ConnectionID
  let direction: Direction
  var address: Multiaddr
  var ip: IPAddress?
  var state: LinkState
  var since: Instant
  /// When something is due: the end of the state, or the next ping.
  var deadline: Instant
  /// The known entry that this link answers for.
  var target: DialTarget?
  /// Where the dial's address came from; `nil` for an accepted link.
  var origin: DialOrigin?
  /// Why it was chosen.
  var cause = LinkCause.accepted
  /// The limit that it was let in over, because a trusted peer is known at its address.
  var waived: Reason?
  /// The proven peer.
  var peer: PeerID?
  var provenAt = Instant.zero
  /// How long the handshake took: a distance in time that every proven link has, before the first ping.
  var setUpTime = Duration.zero
  /// Unanswered pings, the oldest first; at most ``pingsMaximum``.
  var pings: [(nonce: UInt64, sent: Instant)] = []
  var missed = 0
  /// Of ``missed``, those that were this side's own fault.
  var forgiven = 0
  /// From pings.
  var roundTrip: RoundTripEstimate?
  /// When it last brought a block or a transaction that was wanted.
  var lastBlock: Instant?
  var lastTransaction: Instant?
  /// When it last answered late or broke a promise.
  var lateAt: Instant?
  /// Whether the link only tests an address.
  var isFeeler = false

  static let pingsMaximum = 4
}
