import Identity
import Wire

/// The number of a look-up that a caller began; its results echo it.
public struct LookUpID: Hashable, Sendable, Comparable {
  /// The number.
  public let rawValue: UInt64
  /// Makes an ID.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (left: LookUpID, right: LookUpID) -> Bool { left.rawValue < right.rawValue }
}

/// The number of one request of the machine; its answer echoes it.
public struct KademliaRequestID: Hashable, Sendable, Comparable {
  /// The number.
  public let rawValue: UInt64
  /// Makes an ID.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (left: KademliaRequestID, right: KademliaRequestID) -> Bool { left.rawValue < right.rawValue }
}

/// A peer with its addresses, without `/p2p/…`.
public struct FoundPeer: Hashable, Sendable {
  /// Its name.
  public var peer: PeerID
  /// Where it is said to listen; may be empty.
  public var addresses: [Multiaddr]

  /// Makes a peer.
  public init(_ peer: PeerID, _ addresses: [Multiaddr]) {
    self.peer = peer
    self.addresses = addresses
  }
}

extension Kademlia {
  /// What can be looked up or stored.
  public enum Query: Hashable, Sendable {
    /// Where a peer is.
    case findPeer(PeerID)
    /// The servers nearest to a key.
    case closestPeers([UInt8])
    /// Store a value under a key at the servers nearest to it, and keep it alive.
    case putValue([UInt8], [UInt8])
    /// The best value under a key. It ends after `quorum` valid answers, or with 0 when the nearest servers have all answered.
    case getValue([UInt8], quorum: Int)
    /// Tell the servers nearest to a key that this node provides what it names, and keep that alive.
    case provide([UInt8])
    /// Who provides what a key names. It ends with `maximum` providers, or when the nearest servers have all answered.
    case findProviders([UInt8], maximum: Int)
  }

  /// What a look-up has found while it goes on.
  public enum Progress: Hashable, Sendable {
    /// One more provider.
    case provider(FoundPeer)
    /// A value that is better than those before.
    case value([UInt8])
  }

  /// What a look-up has led to.
  public enum Outcome: Hashable, Sendable {
    /// The peer sought. `isReached` tells that it is linked: it has proven that it is there; otherwise the addresses are hearsay.
    case peer(FoundPeer, isReached: Bool)
    /// The servers nearest to the key that answered, nearest first.
    case peers([FoundPeer])
    /// The best value, and how many servers returned a valid one.
    case value([UInt8], answers: Int)
    /// At how many servers the entry was stored; at least one.
    case stored(Int)
    /// The providers, in the order in which they were found; may be none.
    case providers([FoundPeer])
    /// Nothing.
    case failure(Failure)
  }

  /// Why a look-up has led to nothing.
  public enum Failure: Error, Hashable, Sendable, CustomStringConvertible {
    /// No server is known yet: connect to one.
    case noServers
    /// Nobody who answered knows it.
    case notFound
    /// No server took the entry.
    case notStored
    /// The time was over.
    case timedOut
    /// The key or value may not be; the text says why.
    case invalid(String)
    /// Too many look-ups are under way, or too many own entries kept.
    case limit
    /// The caller gave it up.
    case cancelled

    /// What happened, in words.
    public var description: String {
      switch self {
      case .noServers: "no Kademlia server is known"
      case .notFound: "no peer that answered knows it"
      case .notStored: "no server took the entry"
      case .timedOut: "it ran out of time"
      case .invalid(let why): why
      case .limit: "too many look-ups at a time, or too many own entries"
      case .cancelled: "given up"
      }
    }
  }

  /// How a request ended without an answer.
  public enum RequestFailure: Hashable, Sendable {
    /// There is no link, and none can be had.
    case unreachable
    /// This node has no room for a link: nobody's fault but its own.
    case noRoom
    /// The peer is linked and does not serve.
    case unsupported
    /// The peer reset the stream, or the link was lost.
    case broken
    /// The peer finished the stream in order without a word: what is right for `addProvider` and wrong for all else.
    case noAnswer
  }

  /// What a peer did wrong. A record that its validator refuses is none: validators differ between programs and releases, and its holder took it in
  /// good faith.
  public enum Fault: Hashable, Sendable {
    /// A message cannot be read.
    case malformed
    /// An answer does not fit its request, or a request breaks the rules.
    case violation(String)
  }

  /// What happens to the machine.
  public enum Input: Sendable {
    /// A linked peer says that it serves: its own word on its addresses, and where its link comes from.
    case server(PeerID, addresses: [Multiaddr], remote: IPAddress?)
    /// A linked peer says that it does not serve.
    case notServer(PeerID)
    /// The addresses that this node tells others. Entries of those that it provides are stored anew when they change.
    case advertising([Multiaddr])
    /// Begin a look-up.
    case start(LookUpID, Query)
    /// Give up a look-up: it ends with `cancelled`.
    case cancel(LookUpID)
    /// Store own provider entries under this key no more. What servers hold ends with time.
    case stopProviding([UInt8])
    /// The answer to a request, and the IP address at the link's other end.
    case answer(KademliaRequestID, [UInt8], from: IPAddress? = nil)
    /// A request ended without one.
    case failed(KademliaRequestID, RequestFailure)
    /// ``Kademlia/nextDeadline`` has come.
    case timerFired
  }

  /// What is to be done, in order.
  public enum Output: Hashable, Sendable {
    /// Send a request to a peer on a stream of its own, over a link that is made if there is none; answer with `answer` or `failed`.
    case request(KademliaRequestID, PeerID, addresses: [Multiaddr], [UInt8])
    /// Give up a request: news of it are ignored.
    case cancel(KademliaRequestID)
    /// A peer told of others; the addresses are hearsay.
    case learned([PeerAddress], from: PeerID)
    /// A look-up has found something and goes on.
    case progress(LookUpID, Progress)
    /// A look-up has ended. Comes once for each that was begun.
    case finished(LookUpID, Outcome)
    /// A peer did wrong.
    case report(PeerID, Fault)
  }

  /// How a peer's request is met.
  public enum Service: Hashable, Sendable {
    /// Send this message; further requests may follow on the stream.
    case answer([UInt8])
    /// The request was taken and has no answer; further ones may follow.
    case silence
    /// Reset the stream (libp2p/specs `kad-dht`: "On any error, the stream is reset").
    case refuse
    /// Reset the stream: what it asks to hold finds no room here.
    case noRoom
  }

  /// Figures for metrics and tests.
  public struct Statistics: Hashable, Sendable {
    /// Servers in the table.
    public var servers = 0
    /// Look-ups under way, those of the machine's own included.
    public var lookUps = 0
    /// Requests that wait for an answer.
    public var requests = 0
    /// Records held for others.
    public var records = 0
    /// Keys with providers, this node's own among them.
    public var providerKeys = 0
    /// Providers of all keys together, counted once for each key.
    public var providers = 0
    /// What those take in memory, as far as it is counted.
    public var providerBytes = 0
    /// Entries that this node keeps alive.
    public var own = 0

    /// All 0.
    public init() {}
  }
}
