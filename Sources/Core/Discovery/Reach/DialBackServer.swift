import Identity
import Wire

/// Dials peers back on their request, so that they learn whether others can reach them (AutoNAT, version 1).
///
/// Only addresses with the IP address that the request came from are dialled, so that nobody can be attacked through this node; how
/// often one peer and all together are served is bounded.
public struct DialBackServer: Sendable {
  /// The settings.
  public struct Configuration: Sendable {
    /// Whether dial-backs are served. Default yes.
    public var isEnabled = true
    /// Whether addresses of private networks and this machine are dialled. Default no.
    public var dialsPrivate = false
    /// Dial-backs of one peer within ``window``. Default 3, as in go-libp2p.
    public var perPeerMaximum = 3
    /// Dial-backs of the peers of one netgroup (/16 of IPv4, /32 of IPv6; public addresses only) within ``window``. Default 10: throwaway names
    /// of one network leave some for others.
    public var perGroupMaximum = 10
    /// Dial-backs of all peers within ``window``. Default 30, as in go-libp2p.
    public var maximum = 30
    /// The time in which they are counted. Default 60 s.
    public var window = Duration.seconds(60)
    /// The most addresses that are tried for one request. Default 3.
    public var addressesMaximum = 3
    /// How long one address may take. Default 8 s: all of them within the time of a request.
    public var timeout = Duration.seconds(8)

    /// The defaults.
    public init() {}
  }

  /// What a request leads to.
  public enum Outcome: Hashable, Sendable {
    /// This answer, now.
    case answer([UInt8])
    /// A dial; its end leads on.
    case probe(ProbeID, Multiaddr, PeerID, timeout: Duration)
  }

  private struct Job {
    let peer: PeerID
    var rest: [Multiaddr]
    let current: Multiaddr
  }

  private let configuration: Configuration
  private var jobs: [ProbeID: Job] = [:]
  private var nextProbe: UInt64 = 1
  /// Who was served when, the oldest first; at most ``Configuration/maximum``.
  private var served: [(peer: PeerID, group: IPNetwork?, at: Instant)] = []

  /// Makes a server.
  public init(configuration: Configuration = .init()) { self.configuration = configuration }

  /// Takes the request of a proven peer that comes from `ip`. `nil` when the request cannot be read.
  public mutating func serve(_ peer: PeerID, from ip: IPAddress?, _ request: RawSpan, now: Instant) -> Outcome? {
    guard let (named, addresses) = try? AutoNAT.decodeRequest(request) else { return nil }
    guard named == peer else { return .answer(AutoNAT.response(.badRequest, "another peer's ID")) }
    guard let ip, configuration.dialsPrivate || ip.isRoutable else {
      return .answer(AutoNAT.response(.dialRefused, "not a public address"))
    }
    let usable = addresses.map(\.withoutPeerID).filter { $0.isDialable && $0.ipAddress == ip }.prefix(configuration.addressesMaximum)
    guard let first = usable.first else {
      return .answer(AutoNAT.response(.dialRefused, "no TCP address with the IP address that the request comes from"))
    }
    served.removeAll { now - $0.at >= configuration.window }
    let own = served.reduce(0) { $0 + ($1.peer == peer ? 1 : 0) }
    let group = ip.isRoutable ? ip.netgroup : nil
    let neighbours = group.map { group in served.count { $0.group == group } } ?? 0
    guard served.count < configuration.maximum, own < configuration.perPeerMaximum, neighbours < configuration.perGroupMaximum else {
      return .answer(AutoNAT.response(.dialRefused, "too many requests"))
    }
    served.append((peer, group, now))
    return probe(Job(peer: peer, rest: Array(usable.dropFirst()), current: first))
  }

  /// A dial ended. `nil` for a probe that is not known.
  public mutating func ended(_ id: ProbeID, _ isReached: Bool) -> Outcome? {
    guard let job = jobs.removeValue(forKey: id) else { return nil }
    if isReached { return .answer(AutoNAT.response(.ok, "", job.current)) }
    guard let next = job.rest.first else { return .answer(AutoNAT.response(.dialError, "not reached")) }
    return probe(Job(peer: job.peer, rest: Array(job.rest.dropFirst()), current: next))
  }

  private mutating func probe(_ job: Job) -> Outcome {
    let id = ProbeID(rawValue: nextProbe)
    nextProbe += 1
    jobs[id] = job
    return .probe(id, job.current, job.peer, timeout: configuration.timeout)
  }
}

/// Names a dial-back.
public struct ProbeID: Hashable, Sendable, Comparable {
  /// The number.
  public let rawValue: UInt64
  /// Makes a name.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (left: ProbeID, right: ProbeID) -> Bool { left.rawValue < right.rawValue }
}
