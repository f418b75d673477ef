import Identity
import Wire

/// What makes two links lead to one peer.
public enum IdentityMode: String, Hashable, Sendable, CaseIterable {
  /// The proven PeerID.
  case key
  /// The IP address (seed S3): one link for each, the lower one dials, and a peer that came in is dialled at the default port. PeerIDs
  /// are proven none the less.
  case ip
}

/// The settings of ``PeeringMachine``, usable as they are.
public struct PeeringConfiguration: Sendable {
  /// What makes two links lead to one peer. Default the key.
  public var identity = IdentityMode.key
  /// With ``IdentityMode/ip`` the port at which a peer listens that has not said otherwise. Default 24,100 (S3).
  public var defaultPort: UInt16 = 24_100
  /// Links that this side opens by itself until there are so many. Default 8.
  public var outboundMinimum = 8
  /// The most links and dials in flight that this side opened. Default 16: what is above the minimum is left to must-keep peers
  /// and operators. A must-keep peer without a link has a slot kept free, and when there is none another link ends for it.
  public var outboundMaximum = 16
  /// The most links in all (`max_peers`), dials in flight and links before their handshake included. Default 50.
  public var totalMaximum = 50
  /// The most links with one IP address (of public IPv6 with one /64, of which anybody gets all addresses), whoever opens them; must-keep peers
  /// are dialled beyond that. Default 3.
  public var perIPMaximum = 3
  /// The same with one /24 (IPv4) or /48 (IPv6) of the public Internet; private networks are one site anyway. Default 24.
  public var perSubnetMaximum = 24
  /// Whether loopback is exempt from ``perIPMaximum``, so that a cluster runs on one machine. Default yes.
  public var exemptsLoopback = true
  /// The most accepted links that have not proven who they are. Default 32; each costs a socket and a handshake's memory.
  public var handshakesMaximum = 32
  /// The same from one IP address, or public IPv6 /64. Default 4; ``exemptsLoopback`` holds here too.
  public var handshakesPerIPMaximum = 4
  /// The same from one /24 or /48 of the public Internet, so that nobody takes all of them. Default 8.
  public var handshakesPerSubnetMaximum = 8
  /// How long a handshake is left alone when all of ``handshakesMaximum`` are taken; after that it may have to make room for somebody
  /// from a network with fewer. Default 2 s: an honest one takes three round trips.
  public var handshakePatience = Duration.seconds(2)
  /// Accepted links a second in the long run, and at once. Defaults 20 and 64: X25519 for 20 handshakes costs about 1 % of a core.
  public var acceptsPerSecond = 20.0
  /// See ``acceptsPerSecond``.
  public var acceptBurst = 64.0
  /// The shortest time between two evictions for a newcomer to a full house. Default 1 s.
  public var evictionPause = Duration.seconds(1)
  /// The most peers that are being dialled. Default 16.
  public var parallelDialsMaximum = 16

  /// How long the transport may take to connect, over all addresses of a peer. Default 10 s.
  public var connectTimeout = Duration.seconds(10)
  /// How long it may take for one address of several, except for the last, which has what is left of ``connectTimeout``. Default 3 s.
  public var raceTimeout = Duration.seconds(3)
  /// How long an address is alone in the race before the next one is dialled as well (RFC 8305, section 5); when an attempt fails the next
  /// begins at once. Default 250 ms. A peer has at most ``AddressBook/Configuration/addressesPerPeerMaximum`` attempts, each a socket.
  public var raceStagger = Duration.milliseconds(250)
  /// How long the secure channel may take. Default 10 s.
  public var handshakeTimeout = Duration.seconds(10)
  /// How long the chain's handshake may take on an admitted link. Default 10 s.
  public var introductionTimeout = Duration.seconds(10)
  /// Whether an admitted link waits for `introduced` (a host with a chain) or is active at once. Default at once.
  public var introductionRequired = false

  /// A second link that is proven within this time of the first is a simultaneous dial. Default 25 s: both timeouts and slack.
  public var simultaneousWindow = Duration.seconds(25)
  /// How long a proven link may wait for the decision which of two is kept. Default 5 s.
  public var holdMaximum = Duration.seconds(5)
  /// How long a link goes on that gave way to another one of the same peer. Default 10 s: by then a peer that had begun to use it has opened
  /// its streams, so that their end is no failure to it. Starling closes it at the other end's word, much earlier.
  public var drainTime = Duration.seconds(10)
  /// How long the side with the higher PeerID waits to be dialled by a heard-of peer before it dials itself. Default 180 s (S3).
  public var passiveWait = Duration.seconds(180)
  /// A node with fewer active peers dials without that wait. Default 4; 0 gives S3's rule literally.
  ///
  /// Two links to one peer are sorted out anyway; a node that nobody can dial must not sit among a few for three minutes.
  public var patientFrom = 4

  /// When a link is pinged for the first time: its round trip is known early. Default 1 s after it came up.
  public var firstPingDelay = Duration.seconds(1)
  /// Time between two pings on a link. Default 30 s.
  public var pingInterval = Duration.seconds(30)
  /// Unanswered pings after which a link is closed. Default 3.
  public var missedPongsMaximum = 3
  /// With at least so many active links of which more than half are silent, or late within a minute, the fault is this side's own. Default 4.
  public var ownFaultLinksMinimum = 4
  /// Unanswered pings after which a link is closed even if most are silent. Default 10: five minutes.
  public var missedPongsOwnFaultMaximum = 10

  /// The first back-off. Default 5 s; it doubles with each failure, and the wait is drawn evenly below it.
  public var backOffBase = Duration.seconds(5)
  /// The longest back-off. Default 15 min.
  public var backOffMaximum = Duration.seconds(900)
  /// The longest back-off of must-keep peers and, while the node has no link, of seeds and stored peers. Default 60 s.
  public var backOffKeepMaximum = Duration.seconds(60)
  /// The shortest wait between two dials of a peer. Default 1 s.
  public var backOffMinimum = Duration.seconds(1)
  /// A link that lived so long forgives earlier short ones. Default 60 s.
  public var settledAfter = Duration.seconds(60)
  /// Failed dials in a row after which a peer's row leaves the book. Default 5; above 200 it may never, since an address counts to 255.
  public var failuresMaximum = 5
  /// The most seeds that a node without links dials at a time. Default 3: seeds introduce; if every node of a new network held all of
  /// them, the first ones would take all their slots and the others find nobody.
  public var seedLinksMaximum = 3
  /// How long a node without a link tries stored peers before it asks seeds. Default 11 s.
  public var seedPatience = Duration.seconds(11)
  /// How long a node stays below its outbound minimum before it asks seeds, so that islands meet. Default 1 min.
  public var seedFallback = Duration.seconds(60)

  /// The tables of addresses. Defaults as in ``AddressBook/Configuration``: at most 81,920 addresses, about 12 MiB.
  public var book = AddressBook.Configuration()
  /// Which addresses count as one operator's, for the tables and for outbound links.
  public var groups = NetworkGroups()
  /// The most peers at hand: those whose back-off, score and round trip are remembered beside their addresses. Default 1,024, about
  /// 0.5 KiB each; links and configured peers come on top when nobody can be let go.
  public var atHandMaximum = 1_024
  /// The most seeds, bootstrap and manual entries. Default 1,024.
  public var configuredMaximum = 1_024
  /// The most peers that an operator trusts. Default 256.
  public var trustedMaximum = 256
  /// Addresses a second that one group of peers may tell of in the long run. Default 0.1.
  public var toldPerSecond = 0.1
  /// Addresses that one group of peers may tell of at once. Default 1,000: four full lists.
  public var toldBurst = 1_000.0
  /// The most groups of tellers whose budgets are remembered; further ones are not listened to. Default 4,096.
  public var tellersMaximum = 4_096
  /// How many addresses one choice looks at. Default 128, which bounds its time.
  public var sampleMaximum = 128
  /// Whether loopback, private and link-local addresses may be dialled and passed on. Default public only.
  public var allowsPrivateAddresses = false
  /// How long after a successful dial an address is passed on to others. Default 24 h.
  public var shareAge = Duration.seconds(86_400)
  /// The most addresses that are passed on at once. Default 250.
  public var shareMaximum = 250

  /// The most peers of the last good outbound set, which are dialled first after a restart. Default 8.
  public var anchorsMaximum = 8
  /// How often the whole table of addresses that were only heard of is persisted, in 32 parts. Default 15 min.
  public var snapshotInterval = Duration.seconds(900)
  /// Average time between two feelers: short test links to addresses that were only heard of, or whose place another waits for, as long
  /// as there are enough outbound links. `nil` makes none. Default 2 min.
  public var feelerInterval: Duration? = .seconds(120)

  /// Accepted links from one IP address (public IPv6: /64) that may end for their score before further ones are refused for ``misdeedPause``:
  /// names are free, addresses are not. Default 3; ``exemptsLoopback`` holds here too.
  public var misdeedsPerIPMaximum = 3
  /// The same for a public network (/24, of IPv6 /48): its owner has all its addresses. It earns links again in the same proportion.
  /// Default 12.
  public var misdeedsPerSubnetMaximum = 12
  /// The time in which such an address earns one more link. Default 60 s: behind one address may be many.
  public var misdeedPause = Duration.seconds(60)
  /// The most addresses, and as many networks, whose misdeeds are remembered. Default 4,096.
  public var misdeedAddressesMaximum = 4_096
  /// The most outbound links to neighbours beyond the minimum, within ``outboundMaximum``: a feeler that finds a peer at less than half the
  /// usual distance stays. The minimum itself is chosen by chance, so that the far parts of a network stay close too. Default 4.
  public var neighboursMaximum = 4
  /// The time in which a score halves. Default 10 min.
  public var scoreHalfLife = Duration.seconds(600)
  /// The score from which a peer is the first to leave a full house, whatever else speaks for it, and is dialled only when nobody else can
  /// be. Default 9, half of ``disconnectScore``: nine late answers within some minutes, or one broken rule.
  public var evictFirstScore = 9.0
  /// The score at which a peer is disconnected. Default 18: two offences of weight 10 within a minute and a half, less what has decayed.
  public var disconnectScore = 18.0
  /// The score at which a peer is banned. Default 45: two of weight 25 within a minute and a half.
  public var banScore = 45.0
  /// How long such a ban lasts. Default 12 h.
  public var banDuration = Duration.seconds(43_200)
  /// The most bans. Default 4,096; when full the automatic one that ends first makes room.
  public var bansMaximum = 4_096
  /// The events that are kept to explain decisions. Default 4,096, about 1 MiB at most.
  public var historyMaximum = 4_096

  /// When not `nil`, a private network: only these peers, or peers from these networks, are admitted.
  public var allowed: AllowList?
  /// Whether nothing is dialled by itself before the input `start`, so that the embedding program can set up what peers will find.
  /// Default no.
  public var waitsForStart = false

  /// Makes the default settings.
  public init() {}
}

/// Who may take part in a private network.
public struct AllowList: Sendable {
  /// The peers, by identity.
  public var peers: Set<PeerID>
  /// The networks that any peer may come from.
  public var networks: [IPNetwork]

  /// Makes a list.
  public init(peers: Set<PeerID> = [], networks: [IPNetwork] = []) {
    self.peers = peers
    self.networks = networks
  }
}
