import Wire

/// What a simulation is made of: the network, the load, the faults and the liars. All else follows from the seed.
///
/// Written as small files of `key = value` lines; see ``Scenario/init(text:)``.
public struct Scenario: Hashable, Sendable {
  /// The name.
  public var name: String
  /// One sentence on what it shows.
  public var about = ""

  /// The seed that a file is about: what a run takes when its caller names none.
  public var seed: UInt64?

  // MARK: Network

  /// How many nodes take part. Default 20.
  public var nodes = 20
  /// In how many regions they stand, in the order of ``Region``. Default 8.
  public var regions = 8
  /// Nodes that everybody knows at the start. Default 3.
  public var seeds = 3
  /// Bytes a second that a node can send. Default 12.5 MB (100 Mbit/s).
  public var uploadBytes = 12_500_000.0
  /// Bytes a second that a node can receive. Default 12.5 MB.
  public var downloadBytes = 12_500_000.0
  /// The most that a packet is late beyond the path's latency. Default 5 ms; half of the packets keep below a quarter of it.
  public var jitter = Duration.milliseconds(5)
  /// The share of packets that are lost and sent again after a time-out. Default none.
  public var loss = 0.0
  /// What the cryptography of a handshake costs each side. Default 0.3 ms.
  public var handshakeCost = Duration.microseconds(300)
  /// The share of nodes behind a firewall, which nobody can dial at the address that they name. Default none.
  public var unreachable = 0.0
  /// The share of nodes behind a router: two share its public address, and each listens on a private one. Default none.
  public var nat = 0.0
  /// The share of nodes that read a hundred times slower than others. Default none.
  public var slow = 0.0
  /// How far clocks may be off in either direction. Default none.
  public var clockSkew = Duration.zero
  /// Links that a node opens by itself; `nil` for the default of peering.
  public var outbound: Int?
  /// Links to neighbours that a node opens beyond them; `nil` for the default of peering.
  public var neighbours: Int?
  /// Links that a node takes in all; `nil` for the default of peering.
  public var links: Int?
  /// The same for seeds, whose operators give them more; `nil` for the default of peering.
  public var seedLinks: Int?
  /// Peers that a node remembers; `nil` for the default of peering. Large networks need it for their memory.
  public var known: Int?
  /// The share of nodes that start only after ``lateAfter``. Default none.
  public var late = 0.0
  /// When late nodes start.
  public var lateAfter = Duration.seconds(60)
  /// Over how long the other nodes start. Default 2 s.
  public var startWithin = Duration.seconds(2)

  // MARK: Chain and load

  /// Nodes that make blocks. Default 4.
  public var authorities = 4
  /// The time between two blocks. Default 5 s.
  public var blockTime = Duration.seconds(5)
  /// Transactions a second, over the whole network. Default 2.
  public var transactions = 2.0
  /// Data bytes in each transaction, so that blocks have a size. Default 64.
  public var transactionBytes = 64
  /// Accounts that make transactions. Default 8.
  public var accounts = 8

  // MARK: Course

  /// How long the whole run takes, unless the caller says otherwise. Default 120 s.
  public var duration = Duration.seconds(120)
  /// The quiet time at the end: no faults, no load; by its end all must be well. Default 45 s.
  public var settle = Duration.seconds(45)
  /// What the medians of blocks and of transactions must keep below: deliveries over one hop. Default no bound.
  public var oneHopMaximum: Duration?
  /// The same for deliveries over three hops.
  public var threeHopsMaximum: Duration?
  /// The same for the time until 99 % of the nodes have a thing.
  public var networkMaximum: Duration?
  /// What goes wrong.
  public var faults: [Fault] = []
  /// Who lies, and which share of the nodes does.
  public var liars: [LiarGroup] = []
  /// Whether links carry real bytes through `Connection` at both ends.
  public var isFull = false

  /// Makes a scenario without faults.
  public init(name: String) { self.name = name }
}

/// Something that goes wrong now and again, or once.
public struct Fault: Hashable, Sendable {
  /// What goes wrong.
  public enum Kind: Hashable, Sendable {
    /// A share of the nodes cannot reach the others; with `isOneWay` only what they send is lost.
    case partition(share: Double, isOneWay: Bool)
    /// A node is killed and starts again from its store; `isSilent` when its machine fails, so that nobody is told.
    case crash(share: Double, isSilent: Bool)
    /// A node stops in order and starts again.
    case restart(share: Double)
    /// A share of the links breaks; with `isSilent` nobody is told.
    case cut(share: Double, isSilent: Bool)
    /// Processes stand still.
    case suspend(share: Double)
    /// Clocks jump by up to this.
    case clock(share: Double, by: Duration)
    /// Stores fail to write for the time.
    case diskErrors(share: Double)
    /// Pools are full half of the time: pieces of work and batches for the store are refused by lot.
    case refusals(share: Double)
    /// The seeds are killed.
    case seedsDown
    /// So many times the load, all at one node at a time.
    case flood(times: Double)

    /// Whether it leaves links dead without telling anybody.
    var isSilent: Bool {
      switch self {
      case .crash(_, let isSilent), .cut(_, let isSilent): isSilent
      default: false
      }
    }

    /// The word for it in a scenario's text.
    public var name: String {
      switch self {
      case .partition: "partition"
      case .crash: "crash"
      case .restart: "restart"
      case .cut: "cut"
      case .suspend: "suspend"
      case .clock: "clock"
      case .diskErrors: "disk-errors"
      case .refusals: "refusals"
      case .seedsDown: "seeds-down"
      case .flood: "flood"
      }
    }
  }

  /// What goes wrong.
  public var kind: Kind
  /// When it begins for the first time.
  public var from: Duration
  /// When it happens no more; `nil` for the end of the faults.
  public var until: Duration?
  /// How often it happens; `nil` for once.
  public var every: Duration?
  /// How long it lasts each time, drawn evenly between the two.
  public var lasting: ClosedRange<Duration>

  /// Makes a fault.
  public init(_ kind: Kind, from: Duration, until: Duration? = nil, every: Duration? = nil, lasting: ClosedRange<Duration>) {
    self.kind = kind
    self.from = from
    self.until = until
    self.every = every
    self.lasting = lasting
  }
}

/// A share of the nodes that does not play by the rules.
public struct LiarGroup: Hashable, Sendable {
  /// What they do.
  public var behaviour: Behaviour
  /// Their share of the nodes.
  public var share: Double

  /// Makes a group.
  public init(_ behaviour: Behaviour, share: Double) {
    self.behaviour = behaviour
    self.share = share
  }
}

/// How a byzantine node differs from an honest one. All of them run the same core; what leaves it is changed.
public enum Behaviour: String, Hashable, Sendable, CaseIterable {
  /// Claims a height far beyond its own.
  case height
  /// Claims a height that no chain has, answers no request for blocks, and comes again and again over new links.
  case claims
  /// Publishes blocks that break the rules.
  case blocks
  /// Publishes transactions that can never be valid.
  case transactions
  /// Answers nothing after the introduction.
  case silent
  /// Sends random bytes in place of its messages.
  case garbage
  /// Takes in blocks and passes none on, by gossip or on request.
  case withhold
  /// Answers peer requests with addresses of nobody.
  case addresses
  /// Dials everybody it hears of, again and again.
  case links
  /// Answers requests for blocks with others than were asked for.
  case answers
  /// Sends large blocks on parents that nobody has.
  case orphans
  /// Sends forged blocks together with their forged parents, and copies of good blocks with other bodies.
  case twins
  /// An authority that seals several blocks for each of its slots, and bad ones with good seals.
  case equivocate
}
