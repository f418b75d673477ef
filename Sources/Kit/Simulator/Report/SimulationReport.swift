/// What a run showed: the figures that the page and `--json` present.
///
/// Times are in the unit that the name ends in. Everything but ``Run/realSeconds`` is equal from run to run.
public struct SimulationReport: Codable, Hashable, Sendable {
  /// What was run.
  public var run: Run
  /// The first property that was broken; `nil` when all held.
  public var violation: String?
  /// Each property.
  public var verdicts: [Verdict]
  /// The chain.
  public var chain: ChainFigures
  /// How blocks spread, from the moment their producer had sealed them.
  public var blocks: Propagation
  /// How transactions spread, from the moment a user gave them to a node.
  public var transactions: Propagation
  /// The course of the run.
  public var moments: [Moment]
  /// What went wrong on purpose.
  public var faults: [FaultSpan]
  /// Links of each node.
  public var degrees: Degrees
  /// Bytes.
  public var bandwidth: Bandwidth
  /// Regions.
  public var places: [Place]
  /// Refusals, failures and bans.
  public var refusals: Refusals
  /// The last steps before a property was broken, as the caller had them traced.
  public var lastSteps: [String] = []

  /// The same without what is drawn over time or as a curve: short enough for one of many runs.
  public var withoutSeries: SimulationReport {
    var short = self
    short.moments = []
    short.faults = []
    short.blocks.distribution = []
    short.transactions.distribution = []
    return short
  }
}

extension SimulationReport {
  /// What was run, and how to run it again.
  public struct Run: Codable, Hashable, Sendable {
    /// The scenario's name.
    public var scenario: String
    /// What it shows.
    public var about: String
    /// Its settings, as a scenario file has them.
    public var settings: String
    /// How many nodes took part.
    public var nodes: Int
    /// How many of them lied.
    public var liars: Int
    /// The seed.
    public var seed: UInt64
    /// The command that repeats the run.
    public var replay: String
    /// Virtual time that passed.
    public var virtualSeconds: Double
    /// What that took on this machine; `nil` when nobody measured it.
    public var realSeconds: Double?
    /// Events that were performed.
    public var steps: UInt64
    /// The hash of all of them, in hexadecimal.
    public var traceHash: String
    /// When propagation was measured, in seconds from the beginning.
    public var measuredFrom: Double
    /// The end of that.
    public var measuredUntil: Double
  }

  /// What became of a property.
  public struct Verdict: Codable, Hashable, Sendable {
    /// How it went.
    public enum Outcome: String, Codable, Hashable, Sendable { case held, broken, unchecked }
    /// Its name.
    public var property: String
    /// What it says.
    public var about: String
    /// How it went; `unchecked` when another one was broken before the end, or the time was too short to start in.
    public var outcome: Outcome
    /// What was seen, when it was broken.
    public var detail: String?
  }

  /// A distribution.
  public struct Quantiles: Codable, Hashable, Sendable {
    /// How many values there are.
    public var count: UInt64
    /// Half of them are at most this.
    public var p50: Double
    /// 90 % are.
    public var p90: Double
    /// 99 % are.
    public var p99: Double
    /// All are.
    public var largest: Double
  }

  /// How things of one kind spread.
  public struct Propagation: Codable, Hashable, Sendable {
    /// What arrived over a number of hops.
    public struct Hops: Codable, Hashable, Sendable {
      /// The number.
      public var hops: Int
      /// The time from birth to arrival.
      public var milliseconds: Quantiles
    }
    /// How long a share of the network takes.
    public struct Reach: Codable, Hashable, Sendable {
      /// The share of the nodes that ran at birth.
      public var share: Double
      /// The time from birth until that share had it, one value for each thing.
      public var milliseconds: Quantiles
    }
    /// A point of the distribution.
    public struct Point: Codable, Hashable, Sendable {
      /// The time since birth.
      public var milliseconds: Double
      /// The share of all deliveries that took no longer.
      public var share: Double
    }
    /// Things that were followed.
    public var followed: Int
    /// Those that reached every node that ran when they were born.
    public var complete: Int
    /// Deliveries that had not happened at the end.
    public var missing: Int
    /// The time from birth to arrival, over all deliveries; `nil` without any.
    public var milliseconds: Quantiles?
    /// The same by the number of hops.
    public var hops: [Hops]
    /// Half, 90 %, 99 % and all of the network.
    public var reach: [Reach]
    /// The distribution to draw; missing deliveries keep it below 1.
    public var distribution: [Point]
  }

  /// The network at one moment.
  public struct Moment: Codable, Hashable, Sendable {
    /// When.
    public var seconds: Double
    /// Honest nodes that run.
    public var up: Int
    /// Honest nodes without a peer.
    public var isolated: Int
    /// Heights of honest nodes.
    public var lowest: UInt64
    /// The middle one.
    public var median: UInt64
    /// The highest.
    public var highest: UInt64
    /// Active links of honest nodes, each end counted.
    public var linkEnds: Int
    /// Bytes a second that all nodes sent since the moment before.
    public var bytesPerSecond: Double
  }

  /// A fault from its beginning to its end.
  public struct FaultSpan: Codable, Hashable, Sendable {
    /// What went wrong.
    public var name: String
    /// When it began, in seconds.
    public var from: Double
    /// When it ended.
    public var until: Double
  }

  /// How many links nodes have at the end: at index i the number of honest nodes with i links.
  public struct Degrees: Codable, Hashable, Sendable {
    /// Links that others opened.
    public var inbound: [Int]
    /// Links that the node opened.
    public var outbound: [Int]
    /// Both.
    public var all: [Int]
  }

  /// What went over the lines.
  public struct Bandwidth: Codable, Hashable, Sendable {
    /// What streams of one protocol carried.
    public struct Row: Codable, Hashable, Sendable {
      /// The protocol.
      public var name: String
      /// Messages sent.
      public var messages: UInt64
      /// Their bytes, without what wraps them.
      public var bytes: UInt64
    }
    /// Bytes a second that a node sent, on average over the run; one value for each node.
    public var sent: Quantiles
    /// The same received.
    public var received: Quantiles
    /// How many nodes sent so much; the bounds are powers of two of bytes a second.
    public var sentBuckets: [Bucket]
    /// All bytes sent, with what wraps messages.
    public var totalBytes: UInt64
    /// By protocol, the largest first.
    public var protocols: [Row]
    /// Gossip messages that came in, first copies and further ones, at nodes that run at the end.
    public var gossipMessages: Int
    /// Further copies among them.
    public var gossipDuplicates: Int

    /// One bar.
    public struct Bucket: Codable, Hashable, Sendable {
      /// At least so many bytes a second, and less than twice that.
      public var bytesPerSecond: UInt64
      /// How many nodes.
      public var nodes: Int
    }
  }

  /// A region with its links.
  public struct Place: Codable, Hashable, Sendable {
    /// Its name.
    public var name: String
    /// Degrees east.
    public var longitude: Double
    /// Degrees north.
    public var latitude: Double
    /// Nodes there.
    public var nodes: Int
    /// Active links to each place, in the order of the places; those inside count once.
    public var links: [Int]
  }

  /// A ban.
  public struct Ban: Codable, Hashable, Sendable {
    /// When, in seconds.
    public var seconds: Double
    /// Who banned.
    public var by: String
    /// Whom.
    public var of: String
    /// Why.
    public var reason: String
  }

  /// A thing that was counted.
  public struct Count: Codable, Hashable, Sendable {
    /// What.
    public var name: String
    /// How often.
    public var count: Int
  }

  /// What ended badly or was refused, by reason; the most frequent first.
  public struct Refusals: Codable, Hashable, Sendable {
    /// Links in use that ended.
    public var ended: [Count]
    /// Links that were refused when they arrived.
    public var refused: [Count]
    /// Dials that failed.
    public var dials: [Count]
    /// Offences that count against peers.
    public var offences: [Count]
    /// How many bans there were.
    public var banCount: Int
    /// The first of them.
    public var bans: [Ban]
  }

  /// The chain and its users.
  public struct ChainFigures: Codable, Hashable, Sendable {
    /// The lowest and the highest honest head at the end.
    public var lowest: UInt64
    /// See ``lowest``.
    public var highest: UInt64
    /// Blocks that were made, those on abandoned branches too.
    public var blocksMade: Int
    /// Times that an honest node left a branch.
    public var reorganisations: Int
    /// The most blocks that one of them took back.
    public var deepestReorganisation: Int
    /// Transactions that nodes accepted from users.
    public var accepted: Int
    /// Transactions that nodes refused or could not take at the time.
    public var refused: Int
  }
}
