import Identity
import Wire

/// Finds peers that speak HTTP (seed S1): configured ones, those on well-known ports of this machine, and those that HTTP peers tell of.
///
/// A URL is added only after it has answered `GET /status` in time; then it is asked for `/peers`, now and at every turn. One that fails
/// is no longer *active*, stays *known*, and comes back by itself. Of what a peer tells, URLs are verified in their turn and libp2p
/// addresses are merely passed on. Requests at a time, URLs known and URLs that wait are bounded.
public struct WebFinder: Sendable {
  /// The settings.
  public struct Configuration: Sendable {
    /// URLs to begin with; they are never forgotten.
    public var peers: [WebAddress] = []
    /// Ports of this machine that are probed at every turn; none by default. S1 has 5000 to 5011.
    public var ports: [UInt16] = []
    /// The port of this node's own API, which is not probed; 0 when it has none.
    public var ownPort: UInt16 = 0
    /// Whether addresses of private networks and this machine that peers tell of are taken. Default no: a stranger could otherwise
    /// make this node call what is not reachable from outside.
    public var takesPrivate = false
    /// How long a request may take. Default 2 s (S1).
    public var timeout = Duration.seconds(2)
    /// The time between two turns of a URL, and of the probe. Default 30 s.
    public var interval = Duration.seconds(30)
    /// The longest pause before a URL that fails is tried again; it doubles from ``interval``. Default 10 min.
    public var retryMaximum = Duration.seconds(600)
    /// URLs that are known at most; one that failed longest makes room. Default 64.
    public var peersMaximum = 64
    /// URLs of one netgroup (/16 of IPv4, /32 of IPv6; public addresses only) that are known or wait, at most; configured ones don't count.
    /// Default 8, so that whoever has many names or ports in one place leaves room for others.
    public var perGroupMaximum = 8
    /// URLs that wait to be verified, at most; further ones are passed over. Default 128.
    public var candidatesMaximum = 128
    /// Requests at a time. Default 4.
    public var requestsMaximum = 4
    /// Entries that are read of one peer's list. Default 250.
    public var entriesMaximum = 250

    /// The defaults.
    public init() {}
  }

  /// What is asked of an HTTP peer.
  public enum Question: String, Hashable, Sendable {
    /// `GET /status`.
    case status
    /// `GET /peers`.
    case peers
  }

  /// What an HTTP peer answered.
  public enum Answer: Hashable, Sendable {
    /// To `/status`: 200. A Starling node tells its PeerID and libp2p addresses too.
    case status(peer: String?, addresses: [String])
    /// To `/peers`: 200, and the URLs and addresses in it.
    case peers([String])
    /// No answer in time, another status, or a body that cannot be read.
    case failure(WebFault)
  }

  /// A URL that has answered.
  public struct Peer: Hashable, Sendable {
    /// The URL.
    public let address: WebAddress
    /// Whether it answered last time.
    public let isActive: Bool
  }

  /// What happens to the machine.
  public enum Input: Sendable {
    /// The answer to a request.
    case answered(WebRequestID, Answer)
    /// ``WebFinder/nextDeadline`` has come.
    case timerFired
  }

  /// What is to be done, in order.
  public enum Output: Hashable, Sendable {
    /// Send a request.
    case fetch(WebRequestID, WebAddress, Question, timeout: Duration)
    /// Addresses of libp2p peers were told.
    case found([PeerAddress])
    /// A URL was verified for the first time, or is back.
    case active(WebAddress)
    /// A URL that had answered does not any more, and why.
    case inactive(WebAddress, WebFault)
    /// A URL was not added, and why.
    case refused(WebAddress, WebFault)
  }

  private struct Entry {
    var isConfigured = false
    /// Its netgroup, where that counts.
    var group: IPNetwork?
    /// Whether it has ever answered.
    var isKnown = false
    var isActive = false
    var failures = 0
    var due: Instant
    var request: WebRequestID?
  }

  private let localPeer: PeerID
  private let configuration: Configuration
  private var entries: [WebAddress: Entry] = [:]
  /// Who is asked next: what is due, in the order of its time.
  private var queue = DeadlineQueue<WebAddress>()
  private var requests: [WebRequestID: (address: WebAddress, question: Question, deadline: Instant)] = [:]
  private var nextRequest: UInt64 = 1
  private var nextProbe: Instant?
  /// How often a URL was not added or lost, or something told was of no use, by kind; only grows.
  public private(set) var faults: [WebFault.Code: UInt64] = [:]

  /// Makes a machine that begins at once.
  public init(localPeer: PeerID, configuration: Configuration = .init(), now: Instant) {
    self.localPeer = localPeer
    self.configuration = configuration
    nextProbe = configuration.ports.isEmpty ? nil : now
    for address in configuration.peers.prefix(configuration.peersMaximum) {
      entries[address] = Entry(isConfigured: true, due: now)
      queue.set(address, now)
    }
  }

  /// When `timerFired` is due, or `nil` when nothing is. O(requests).
  public var nextDeadline: Instant? {
    var next = nextProbe
    func consider(_ other: Instant?) { if let other { next = min(next ?? other, other) } }
    if requests.count < configuration.requestsMaximum { consider(queue.next) }
    for request in requests.values { consider(request.deadline) }
    return next
  }

  /// The URLs that have answered, in order. O(n log n).
  public var peers: [Peer] {
    entries.filter(\.value.isKnown).sorted { $0.key < $1.key }.map { Peer(address: $0.key, isActive: $0.value.isActive) }
  }

  /// Takes one input and appends what is to be done.
  public mutating func handle(_ input: Input, now: Instant, into outputs: inout [Output]) {
    if case .answered(let id, let answer) = input { take(answer, id, now, &outputs) }
    for id in requests.filter({ $0.value.deadline <= now }).keys.sorted() {
      take(.failure(WebFault(.silent, "no answer in time")), id, now, &outputs)
    }
    if let due = nextProbe, due <= now {
      nextProbe = now + configuration.interval
      for port in configuration.ports where port != configuration.ownPort { consider(WebAddress(localPort: port), now) }
    }
    while requests.count < configuration.requestsMaximum, let address = queue.popExpired(now) { ask(address, .status, now, &outputs) }
  }

  /// Takes one input and returns what is to be done; for tests.
  public mutating func handle(_ input: Input, now: Instant) -> [Output] {
    var outputs: [Output] = []
    handle(input, now: now, into: &outputs)
    return outputs
  }

  /// Puts an unknown URL among those that wait to be verified.
  private mutating func consider(_ address: WebAddress, _ now: Instant) {
    guard entries[address] == nil else { return }
    let waiting = entries.values.reduce(0) { $0 + ($1.isKnown || $1.isConfigured ? 0 : 1) }
    guard waiting < configuration.candidatesMaximum else { return count(.full) }
    let group = address.ip.flatMap { $0.isRoutable ? $0.netgroup : nil }
    if let group {
      guard entries.values.count(where: { $0.group == group }) < configuration.perGroupMaximum else { return count(.full) }
    }
    entries[address] = Entry(group: group, due: now)
    queue.set(address, now)
  }

  private mutating func ask(_ address: WebAddress, _ question: Question, _ now: Instant, _ outputs: inout [Output]) {
    let id = WebRequestID(rawValue: nextRequest)
    nextRequest += 1
    entries[address]?.request = id
    // The shell's own time limit comes first.
    requests[id] = (address, question, now + configuration.timeout + .seconds(1))
    outputs.append(.fetch(id, address, question, timeout: configuration.timeout))
  }

  private mutating func take(_ answer: Answer, _ id: WebRequestID, _ now: Instant, _ outputs: inout [Output]) {
    guard let (address, question, _) = requests.removeValue(forKey: id), entries[address]?.request == id else { return }
    entries[address]?.request = nil
    switch (question, answer) {
    case (.status, .status(let peer, let texts)):
      if peer == localPeer.description {
        entries[address] = nil
        return refuse(address, WebFault(.own, "it is this node itself"), &outputs)
      }
      guard makeRoom(for: address) else {
        entries[address] = nil
        return refuse(address, WebFault(.full, "\(configuration.peersMaximum) HTTP peers are known already"), &outputs)
      }
      if entries[address]?.isActive == false { outputs.append(.active(address)) }
      entries[address]?.isKnown = true
      entries[address]?.isActive = true
      entries[address]?.failures = 0
      tell(texts, now, &outputs)
      ask(address, .peers, now, &outputs)
    case (.peers, .peers(let texts)):
      schedule(address, now + configuration.interval)
      for text in texts.prefix(configuration.entriesMaximum) where !text.hasPrefix("/") {
        guard let other = WebAddress(text), let ip = other.ip, takes(ip) else {
          count(.unusable)
          continue
        }
        // What names no scheme may be either: S1 tells URLs, S2 and S4 host and port of their links.
        if text.lowercased().hasPrefix("http://") {
          if !(ip.isLoopback && other.port == configuration.ownPort) { consider(other, now) }
        } else {
          outputs.append(.found([PeerAddress(peer: nil, address: Multiaddr(ip: ip, port: other.port))]))
        }
      }
      tell(texts, now, &outputs)
    case (.peers, _):
      // It lives, as its status has shown, and has no list to offer.
      schedule(address, now + configuration.interval)
    case (.status, .failure(let fault)): failed(address, fault, now, &outputs)
    case (.status, .peers): failed(address, WebFault(.unreadable, "an answer of another kind"), now, &outputs)
    }
  }

  private mutating func refuse(_ address: WebAddress, _ fault: WebFault, _ outputs: inout [Output]) {
    count(fault.code)
    outputs.append(.refused(address, fault))
  }

  private mutating func count(_ code: WebFault.Code) { faults[code, default: 0] &+= 1 }

  private mutating func failed(_ address: WebAddress, _ fault: WebFault, _ now: Instant, _ outputs: inout [Output]) {
    guard let entry = entries[address] else { return }
    guard entry.isKnown || entry.isConfigured else {
      entries[address] = nil
      return refuse(address, fault, &outputs)
    }
    count(fault.code)
    if entry.isActive { outputs.append(.inactive(address, fault)) }
    entries[address]?.isActive = false
    entries[address]?.failures += 1
    schedule(address, now + min(configuration.retryMaximum, configuration.interval * (1 << min(entry.failures, 8))))
  }

  private mutating func schedule(_ address: WebAddress, _ due: Instant) {
    entries[address]?.due = due
    queue.set(address, due)
  }

  /// Libp2p addresses with a PeerID go to the book as heard of.
  private mutating func tell(_ texts: [String], _ now: Instant, _ outputs: inout [Output]) {
    var found: [PeerAddress] = []
    for text in texts.prefix(configuration.entriesMaximum) where text.hasPrefix("/") {
      guard let address = try? Multiaddr(text), address.isDialable, let ip = address.ipAddress, takes(ip), let peer = address.peerID else {
        count(.unusable)
        continue
      }
      if peer != localPeer { found.append(PeerAddress(peer: peer, address: address.withoutPeerID)) }
    }
    if !found.isEmpty { outputs.append(.found(found)) }
  }

  private func takes(_ ip: IPAddress) -> Bool {
    ip.isRoutable || configuration.takesPrivate && !ip.isUnspecified && !ip.isMulticast
  }

  /// Room among the known for one that has just answered.
  private mutating func makeRoom(for address: WebAddress) -> Bool {
    if entries[address]?.isKnown == true { return true }
    let known = entries.filter { $0.value.isKnown }
    guard known.count >= configuration.peersMaximum else { return true }
    let idle = known.filter { !$0.value.isActive && !$0.value.isConfigured && $0.value.request == nil }
    guard let worst = idle.min(by: { ($1.value.failures, $0.key) < ($0.value.failures, $1.key) })?.key else { return false }
    entries[worst] = nil
    queue.remove(worst)
    return true
  }

  /// Traps when the tables disagree: for tests. O(n).
  public func checkInvariants() {
    precondition(requests.count <= configuration.requestsMaximum, "\(requests.count) requests at a time")
    for (address, entry) in entries {
      precondition((entry.request == nil) != (queue[address] == nil), "\(address) must be asked or wait, not both")
      if let id = entry.request { precondition(requests[id]?.address == address, "a request of \(address) is lost") }
      precondition(!entry.isActive || entry.isKnown, "\(address) is active and not known")
    }
    let known = entries.values.filter(\.isKnown).count
    precondition(known <= configuration.peersMaximum, "\(known) known")
    precondition(entries.count - known <= configuration.candidatesMaximum + configuration.peersMaximum, "\(entries.count) entries")
  }
}

/// Names a request; its answer echoes it.
public struct WebRequestID: Hashable, Sendable, Comparable {
  /// The number.
  public let rawValue: UInt64
  /// Makes a name.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (left: WebRequestID, right: WebRequestID) -> Bool { left.rawValue < right.rawValue }
}
