import Identity
import Wire

/// Finds out at which addresses others can reach this node, and so which it may tell them.
///
/// Candidates are the public addresses it listens on, what a gateway maps to it (UPnP, NAT-PMP), and what enough peers of different
/// networks say that they see it at. A candidate is told to others only when peers of different networks have dialled it back with
/// success; it is withdrawn when they no longer can. Private addresses it listens on are told as they are: they mean something only
/// to neighbours, and public networks ignore them.
public struct Reachability: Sendable {
  /// The settings.
  public struct Configuration: Sendable {
    /// Whether public addresses have to be confirmed by dial-backs. Default no: everything that is listened on is told.
    public var confirms = false
    /// Whether the gateway is asked to map the port. Default no.
    public var mapsPort = false
    /// Addresses that are told as they are, on the operator's word.
    public var announced: [Multiaddr] = []
    /// Whether private addresses and this machine's may be candidates too. Default no; for networks on one machine.
    public var takesPrivate = false
    /// Groups of peers, by network, that have to see this node at an IP address before it is a candidate. Default 3.
    public var votesMinimum = 3
    /// Groups of peers that have to reach a candidate before it is told, or fail to before it is withdrawn. Default 2: one liar is not enough.
    public var confirmationsMinimum = 2
    /// The least time between two dial-backs for one candidate. Default 10 s.
    public var askInterval = Duration.seconds(10)
    /// How often a confirmed address is dialled back again. Default 30 min.
    public var confirmedInterval = Duration.seconds(1_800)
    /// The least time before one peer is asked for one candidate again. Default 10 min.
    public var peerInterval = Duration.seconds(600)
    /// How long a mapping is asked for; it is renewed after half of what was granted. Default 1 h.
    public var mappingSeconds: UInt32 = 3_600
    /// The time before a failed mapping is tried again: the gateway may only be busy, or starting too. Default 10 s; it doubles with each
    /// failure in a row, up to ``mappingRetryMaximum``.
    public var mappingRetry = Duration.seconds(10)
    /// The longest time before a failed mapping is tried again. Default 5 min.
    public var mappingRetryMaximum = Duration.seconds(300)
    /// Peers whose word on this node's address counts; when there are more, the oldest of the largest network's goes. Default 256.
    public var votersMaximum = 256
    /// The most candidates. Default 16.
    public var candidatesMaximum = 16

    /// The defaults.
    public init() {}
  }

  /// Where a candidate comes from.
  public enum Source: String, Hashable, Sendable {
    /// It is listened on.
    case listening
    /// A gateway maps it here.
    case mapping
    /// Peers see this node there.
    case observation
  }

  /// What happens to the machine.
  public enum Input: Sendable {
    /// The addresses that are listened on.
    case listening([Multiaddr])
    /// A peer that comes from, or was dialled at, an IP address says where it sees this node.
    case observed(Multiaddr, by: PeerID, at: IPAddress)
    /// A peer can be asked for dial-backs.
    case helper(PeerID, at: IPAddress)
    /// A peer is gone.
    case peerGone(PeerID)
    /// The answer to a request for a dial-back; `nil` when there was none, or it cannot be read.
    case answered(PeerID, Multiaddr, [UInt8]?)
    /// The gateway maps an external address to this node for so many seconds.
    case mapped(Multiaddr, seconds: UInt32)
    /// The gateway does not, and why.
    case mappingFailed(String)
    /// The node stops.
    case stop
    /// ``Reachability/nextDeadline`` has come.
    case timerFired
  }

  /// What is to be done, in order.
  public enum Output: Hashable, Sendable {
    /// Ask the gateway to map this port for so many seconds; 0 takes the mapping back.
    case map(port: UInt16, seconds: UInt32)
    /// Ask a peer to dial an address back: send it these bytes by AutoNAT.
    case ask(PeerID, Multiaddr, [UInt8])
    /// From now on these addresses are told to others.
    case advertise([Multiaddr])
    /// An address may be this node's.
    case candidate(Multiaddr, Source)
    /// Others reach this node there.
    case confirmed(Multiaddr)
    /// Others no longer reach this node there.
    case withdrawn(Multiaddr)
    /// The gateway maps an address to this node.
    case mapped(Multiaddr)
    /// The gateway maps nothing, and why; told when it changes.
    case mappingFailed(String)
  }

  /// Whom to count as one: peers of one network, or a peer of its own where networks mean nothing.
  private enum Group: Hashable {
    case network(IPNetwork)
    case peer(PeerID)
  }

  private struct Candidate {
    var sources: Set<Source>
    var reached: Set<Group> = []
    var missed: Set<Group> = []
    var isConfirmed = false
    var asked: [PeerID: Instant] = [:]
    /// Whose answer is awaited.
    var pending: PeerID?
    var nextAsk: Instant
  }

  private let localPeer: PeerID
  private let configuration: Configuration
  private var listening: [Multiaddr] = []
  private var advertised: [Multiaddr] = []
  private var votes: [(peer: PeerID, ip: IPAddress, group: Group)] = []
  private var helpers: [PeerID: Group] = [:]
  private var candidates: [Multiaddr: Candidate] = [:]
  private var mapping: Multiaddr?
  private var mappingEnd = Instant.distantFuture
  private var nextMapping: Instant?
  private var mappingFault: String?
  private var mappingFailures = 0
  private var isStopped = false

  /// Makes a machine.
  public init(localPeer: PeerID, configuration: Configuration = .init()) {
    self.localPeer = localPeer
    self.configuration = configuration
  }

  /// When `timerFired` is due, or `nil` when nothing is. O(candidates).
  public var nextDeadline: Instant? {
    var next = nextMapping
    func consider(_ other: Instant) { next = min(next ?? other, other) }
    if mapping != nil { consider(mappingEnd) }
    if !helpers.isEmpty { for candidate in candidates.values where candidate.pending == nil { consider(candidate.nextAsk) } }
    return next
  }

  /// Takes one input and appends what is to be done.
  public mutating func handle(_ input: Input, now: Instant, into outputs: inout [Output]) {
    guard !isStopped else { return }
    switch input {
    case .listening(let addresses):
      listening = addresses
      if configuration.confirms { refresh(.listening, addresses.filter { $0.ipAddress?.isRoutable == true }, now, &outputs) }
      if configuration.mapsPort && nextMapping == nil && mappingPort != nil { nextMapping = now }
      tell(&outputs)
    case .observed(let address, let peer, let ip): vote(address, peer, ip, now, &outputs)
    case .helper(let peer, let ip): if configuration.confirms { helpers[peer] = group(peer, ip) }
    case .peerGone(let peer):
      helpers[peer] = nil
      for address in candidates.keys.sorted() where candidates[address]?.pending == peer { candidates[address]?.pending = nil }
    case .answered(let peer, let address, let bytes): take(bytes, of: peer, address, now, &outputs)
    case .mapped(let address, let seconds): mapped(address, seconds, now, &outputs)
    case .mappingFailed(let why):
      if why != mappingFault { outputs.append(.mappingFailed(why)) }
      mappingFault = why
      nextMapping = now + min(configuration.mappingRetryMaximum, configuration.mappingRetry * (1 << min(mappingFailures, 16)))
      mappingFailures += 1
    case .stop:
      isStopped = true
      if mapping != nil, let port = mappingPort { outputs.append(.map(port: port, seconds: 0)) }
      (nextMapping, mapping, candidates, helpers) = (nil, nil, [:], [:])
      return
    case .timerFired: break
    }
    runDeadlines(now, &outputs)
  }

  /// Takes one input and returns what is to be done; for tests.
  public mutating func handle(_ input: Input, now: Instant) -> [Output] {
    var outputs: [Output] = []
    handle(input, now: now, into: &outputs)
    return outputs
  }

  // MARK: Candidates

  private func group(_ peer: PeerID, _ ip: IPAddress) -> Group { ip.isRoutable ? .network(ip.netgroup) : .peer(peer) }

  private func isCandidate(_ ip: IPAddress) -> Bool {
    ip.isRoutable || configuration.takesPrivate && !ip.isUnspecified && !ip.isMulticast
  }

  /// Makes exactly these addresses the candidates of a source.
  private mutating func refresh(_ source: Source, _ addresses: [Multiaddr], _ now: Instant, _ outputs: inout [Output]) {
    for address in candidates.keys.sorted() where candidates[address]?.sources.contains(source) == true && !addresses.contains(address) {
      candidates[address]?.sources.remove(source)
      if candidates[address]?.sources.isEmpty == true { candidates[address] = nil }
    }
    for address in addresses where candidates[address]?.sources.insert(source).inserted == nil {
      guard candidates.count < configuration.candidatesMaximum else { break }
      candidates[address] = Candidate(sources: [source], nextAsk: now)
      outputs.append(.candidate(address, source))
    }
  }

  private mutating func vote(_ address: Multiaddr, _ peer: PeerID, _ ip: IPAddress, _ now: Instant, _ outputs: inout [Output]) {
    guard configuration.confirms, let seen = address.ipAddress, isCandidate(seen) else { return }
    votes.removeAll { $0.peer == peer }
    if votes.count >= configuration.votersMaximum { dropVote() }
    votes.append((peer, seen, group(peer, ip)))
    var groups: [IPAddress: Set<Group>] = [:]
    for vote in votes { groups[vote.ip, default: []].insert(vote.group) }
    var agreed: [Multiaddr] = []
    for (ip, voters) in groups where voters.count >= configuration.votesMinimum {
      // The port that a peer sees is that of one link; others have to dial the one that is listened on.
      guard let port = listening.first(where: { $0.ipAddress?.isV6 == ip.isV6 })?.tcpPort else { continue }
      let address = Multiaddr(ip: ip, port: port)
      if !listening.contains(address) { agreed.append(address) }
    }
    refresh(.observation, agreed.sorted(), now, &outputs)
    tell(&outputs)
  }

  /// The oldest vote of the group that has most makes room, so that throwaway names of one network take no other's voice. O(votes).
  private mutating func dropVote() {
    var sizes: [Group: Int] = [:]
    for vote in votes { sizes[vote.group, default: 0] += 1 }
    let largest = sizes.values.max() ?? 0
    if let index = votes.firstIndex(where: { sizes[$0.group] == largest }) { votes.remove(at: index) }
  }

  // MARK: Dial-backs

  private mutating func take(_ bytes: [UInt8]?, of peer: PeerID, _ address: Multiaddr, _ now: Instant, _ outputs: inout [Output]) {
    guard var candidate = candidates[address], candidate.pending == peer else { return }
    candidate.pending = nil
    let answer = bytes.flatMap { try? AutoNAT.decodeResponse($0.rawSpan) }
    if let group = helpers[peer], let answer {
      switch answer.status {
      case .ok where answer.address.map({ $0.withoutPeerID == address }) ?? true:
        candidate.reached.insert(group)
        candidate.missed = []
      case .dialError:
        candidate.missed.insert(group)
        candidate.reached.remove(group)
      default: break
      }
    }
    if !candidate.isConfirmed && candidate.reached.count >= configuration.confirmationsMinimum {
      candidate.isConfirmed = true
      outputs.append(.confirmed(address))
    } else if candidate.isConfirmed && candidate.missed.count >= configuration.confirmationsMinimum {
      candidate.isConfirmed = false
      candidate.reached = []
      outputs.append(.withdrawn(address))
    }
    let isSettled = candidate.isConfirmed && candidate.missed.isEmpty
    candidate.nextAsk = now + (isSettled ? configuration.confirmedInterval : configuration.askInterval)
    candidates[address] = candidate
    tell(&outputs)
  }

  private mutating func runDeadlines(_ now: Instant, _ outputs: inout [Output]) {
    if mapping != nil, mappingEnd <= now {
      mapping = nil
      refresh(.mapping, [], now, &outputs)
      tell(&outputs)
    }
    if let due = nextMapping, due <= now, let port = mappingPort {
      // Should the answer never come.
      nextMapping = now + configuration.mappingRetryMaximum
      outputs.append(.map(port: port, seconds: configuration.mappingSeconds))
    }
    guard !helpers.isEmpty else { return }
    for address in candidates.keys.sorted() {
      guard let candidate = candidates[address], candidate.pending == nil, candidate.nextAsk <= now else { continue }
      candidates[address]?.nextAsk = now + configuration.askInterval
      guard let peer = nextHelper(for: candidate, now) else { continue }
      candidates[address]?.pending = peer
      candidates[address]?.asked = candidate.asked.filter { now - $0.value < configuration.peerInterval }
      candidates[address]?.asked[peer] = now
      outputs.append(.ask(peer, address, AutoNAT.request(localPeer, [address])))
    }
  }

  /// The next peer to ask: one that was not asked lately, of a network that has not yet spoken if there is one.
  private func nextHelper(for candidate: Candidate, _ now: Instant) -> PeerID? {
    let free = helpers.filter { peer, _ in candidate.asked[peer].map { now - $0 >= configuration.peerInterval } ?? true }
    let spoken = candidate.isConfirmed ? candidate.missed : candidate.reached
    return free.min { left, right in
      (spoken.contains(left.value) ? 1 : 0, left.key) < (spoken.contains(right.value) ? 1 : 0, right.key)
    }?.key
  }

  // MARK: The mapping

  private var mappingPort: UInt16? {
    listening.first { address in
      guard let ip = address.ipAddress, !ip.isV6, address.tcpPort ?? 0 != 0 else { return false }
      return configuration.takesPrivate || !ip.isLoopback
    }?.tcpPort
  }

  private mutating func mapped(_ address: Multiaddr, _ seconds: UInt32, _ now: Instant, _ outputs: inout [Output]) {
    mappingFault = nil
    mappingFailures = 0
    let lease = Duration.seconds(Int64(max(2, seconds)))
    nextMapping = now + lease / 2
    mappingEnd = now + lease
    if mapping != address { outputs.append(.mapped(address)) }
    mapping = address
    // Behind a second gateway the first one's external address is private, and nobody can dial it.
    let usable = address.ipAddress.map(isCandidate) ?? false
    refresh(.mapping, usable ? [address] : [], now, &outputs)
    tell(&outputs)
  }

  // MARK: What is told

  private mutating func tell(_ outputs: inout [Output]) {
    var result: [Multiaddr] = []
    func add(_ address: Multiaddr) { if !result.contains(address) { result.append(address) } }
    for address in configuration.announced { add(address) }
    for (address, candidate) in candidates.sorted(by: { $0.key < $1.key }) where candidate.isConfirmed || !configuration.confirms {
      add(address)
    }
    for address in listening where !configuration.confirms || address.ipAddress?.isRoutable != true { add(address) }
    guard result != advertised else { return }
    advertised = result
    outputs.append(.advertise(result))
  }
}
