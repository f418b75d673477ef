import Identity
import Wire

/// Turns configured names into addresses: DNS seeds (`seed.example.com`, optionally with a port) and `/dnsaddr/…` addresses, whose
/// TXT records name further addresses (multiformats/multiaddr `protocols/DNSADDR.md`).
///
/// Names of bootstrap peers are looked up at once. Seeds' names are like seeds: they are looked up only when the node has no
/// link and no stored peer connects, or has had too few links for long. Failed look-ups are repeated after a growing pause.
/// What an answer may cause is bounded: depth, look-ups and addresses of each name.
public struct NameFinder: Sendable {
  /// The settings, usable as they are.
  public struct Configuration: Sendable {
    /// The most names. Default 64.
    public var namesMaximum = 64
    /// How deep `/dnsaddr` records may lead to others. Default 4.
    public var depthMaximum = 4
    /// The most look-ups for one name in one go. Default 32.
    public var lookUpsMaximum = 32
    /// The most addresses taken for one name. Default 64.
    public var addressesMaximum = 64
    /// How long a node without a link tries stored peers before names of seeds are looked up. Default 11 s, as for seeds.
    public var patience = Duration.seconds(11)
    /// How long a node has too few links before names of seeds are looked up. Default 1 min, as for seeds.
    public var fallback = Duration.seconds(60)
    /// The first pause after a failed look-up, or before another one while the node is still alone; it doubles. Default 10 s.
    public var retryBase = Duration.seconds(10)
    /// The longest such pause. Default 10 min.
    public var retryMaximum = Duration.seconds(600)
    /// How often names of bootstrap peers are looked up again: their addresses may change. Default 30 min.
    public var refresh = Duration.seconds(1_800)
    /// How long a look-up may take. Default 15 s.
    public var timeout = Duration.seconds(15)

    /// The defaults.
    public init() {}
  }

  /// What addresses found under a name are taken for.
  public enum Role: String, Hashable, Sendable {
    /// Seeds.
    case seed
    /// Bootstrap peers, dialled for ever.
    case bootstrap
  }

  /// A configured name.
  public enum Name: Hashable, Sendable, CustomStringConvertible {
    /// A host with A and AAAA records, every one of which is a peer that listens on the port.
    case host(String, port: UInt16)
    /// A `/dnsaddr/…` address, with or without a PeerID, which then filters what is found.
    case dnsaddr(Multiaddr)

    /// As an operator writes it.
    public var description: String {
      switch self {
      case .host(let host, let port): "\(host):\(port)"
      case .dnsaddr(let address): address.description
      }
    }
  }

  /// What to look up.
  public enum Question: Hashable, Sendable {
    /// The A and AAAA records of a host.
    case addresses(String)
    /// The TXT records of a name.
    case texts(DNSName)
  }

  /// What a look-up found.
  public enum Answer: Hashable, Sendable {
    /// The host's addresses.
    case addresses([IPAddress])
    /// The texts; each record's strings put together.
    case texts([String])
    /// Nothing, and why.
    case failure(String)
  }

  /// What happens to the machine.
  public enum Input: Sendable {
    /// A name was configured.
    case added(Name, Role)
    /// How the node is linked.
    case links(active: Int, stored: Int, isShort: Bool)
    /// The answer to a look-up.
    case answered(NameQueryID, Answer)
    /// ``NameFinder/nextDeadline`` has come.
    case timerFired
  }

  /// What is to be done, in order.
  public enum Output: Hashable, Sendable {
    /// Look a name up.
    case lookUp(NameQueryID, Question)
    /// Addresses were found.
    case found([PeerAddress], Role)
    /// A name led to so many addresses.
    case resolved(Name, addresses: Int)
    /// A name led nowhere, and why.
    case failed(Name, String)
  }

  private struct Entry {
    let name: Name
    let role: Role
    var due: Instant
    var failures = 0
    var round: Round?
  }

  /// The look-ups for one name that belong together.
  private struct Round {
    var pending: [NameQueryID: (question: Question, depth: Int)] = [:]
    var lookUps = 0
    var seen: Set<Question> = []
    var found: [PeerAddress] = []
    var faults: [String] = []
    var deadline: Instant
  }

  private let configuration: Configuration
  private var entries: [Entry] = []
  private var nextLookUp: UInt64 = 1
  private var active = 0
  private var stored = 0
  private var aloneSince: Instant
  private var shortSince: Instant?

  /// Makes a machine without names.
  public init(configuration: Configuration = .init(), now: Instant) {
    self.configuration = configuration
    aloneSince = now
  }

  /// When `timerFired` is due, or `nil` when nothing is. O(names).
  public var nextDeadline: Instant? {
    var next: Instant?
    for entry in entries {
      guard let due = entry.round?.deadline ?? dueTime(entry) else { continue }
      next = min(next ?? due, due)
    }
    return next
  }

  /// Takes one input and appends what is to be done.
  public mutating func handle(_ input: Input, now: Instant, into outputs: inout [Output]) {
    switch input {
    case .added(let name, let role):
      guard entries.count < configuration.namesMaximum else {
        outputs.append(.failed(name, "more than \(configuration.namesMaximum) names"))
        break
      }
      if !entries.contains(where: { $0.name == name && $0.role == role }) { entries.append(Entry(name: name, role: role, due: now)) }
    case .links(let active, let stored, let isShort):
      if active == 0 && self.active > 0 { aloneSince = now }
      self.active = active
      self.stored = stored
      shortSince = isShort ? shortSince ?? now : nil
    case .answered(let id, let answer):
      for index in entries.indices where entries[index].round?.pending[id] != nil { take(answer, id, index, now, &outputs) }
    case .timerFired: break
    }
    for index in entries.indices {
      if let round = entries[index].round {
        guard round.deadline <= now else { continue }
        entries[index].round?.faults.append("no answer in time")
        finish(index, now, &outputs)
      } else if let due = dueTime(entries[index]), due <= now {
        begin(index, now, &outputs)
      }
    }
  }

  /// Takes one input and returns what is to be done; for tests.
  public mutating func handle(_ input: Input, now: Instant) -> [Output] {
    var outputs: [Output] = []
    handle(input, now: now, into: &outputs)
    return outputs
  }

  /// When an entry is to be looked up, or `nil` as long as nothing asks for it.
  private func dueTime(_ entry: Entry) -> Instant? {
    if entry.role == .bootstrap { return entry.due }
    if active == 0 { return max(entry.due, stored == 0 ? .zero : aloneSince + configuration.patience) }
    return shortSince.map { max(entry.due, $0 + configuration.fallback) }
  }

  private mutating func begin(_ index: Int, _ now: Instant, _ outputs: inout [Output]) {
    entries[index].round = Round(deadline: now + configuration.timeout)
    let question: Question?
    switch entries[index].name {
    case .host(let host, _): question = .addresses(host)
    case .dnsaddr(let address): question = Self.question(address)
    }
    if let question { ask(question, depth: 1, index, &outputs) } else { entries[index].round?.faults.append("not a name") }
    if entries[index].round?.pending.isEmpty == true { finish(index, now, &outputs) }
  }

  private static func question(_ address: Multiaddr) -> Question? {
    address.dnsaddrDomain.flatMap { DNSName("_dnsaddr." + $0) }.map { .texts($0) }
  }

  private mutating func ask(_ question: Question, depth: Int, _ index: Int, _ outputs: inout [Output]) {
    guard var round = entries[index].round, round.seen.insert(question).inserted else { return }
    guard depth <= configuration.depthMaximum, round.lookUps < configuration.lookUpsMaximum else {
      entries[index].round?.faults.append(
        depth > configuration.depthMaximum
          ? "its records point on through more than \(configuration.depthMaximum) names" : "too many look-ups")
      return
    }
    let id = NameQueryID(rawValue: nextLookUp)
    nextLookUp += 1
    round.lookUps += 1
    round.pending[id] = (question, depth)
    entries[index].round = round
    outputs.append(.lookUp(id, question))
  }

  private mutating func take(_ answer: Answer, _ id: NameQueryID, _ index: Int, _ now: Instant, _ outputs: inout [Output]) {
    guard let asked = entries[index].round?.pending.removeValue(forKey: id) else { return }
    switch (entries[index].name, answer) {
    case (.host(_, let port), .addresses(let addresses)):
      for address in addresses { keep(PeerAddress(peer: nil, address: Multiaddr(ip: address, port: port)), index) }
    case (.dnsaddr(let name), .texts(let texts)):
      var unusable = 0
      for text in texts where text.hasPrefix(Self.prefix) {
        guard let address = try? Multiaddr(text.dropFirst(Self.prefix.count)) else {
          unusable += 1
          continue
        }
        // What the configured address ends in, its PeerID, the records have to end in as well.
        if let wanted = name.peerID, address.peerID != wanted, address.peerID != nil || address.dnsaddrDomain == nil { continue }
        if let question = Self.question(address) {
          ask(question, depth: asked.depth + 1, index, &outputs)
        } else if address.isDialable {
          keep(PeerAddress(peer: address.peerID, address: address.withoutPeerID), index)
        } else {
          unusable += 1
        }
      }
      if unusable > 0 {
        entries[index].round?.faults.append("\(unusable == 1 ? "a record" : "\(unusable) records") that this node cannot dial")
      }
    case (_, .failure(let why)): entries[index].round?.faults.append(why)
    default: entries[index].round?.faults.append("the name server answered something else than was asked")
    }
    if entries[index].round?.pending.isEmpty == true { finish(index, now, &outputs) }
  }

  private mutating func keep(_ item: PeerAddress, _ index: Int) {
    guard let round = entries[index].round, round.found.count < configuration.addressesMaximum, !round.found.contains(item) else { return }
    entries[index].round?.found.append(item)
  }

  private mutating func finish(_ index: Int, _ now: Instant, _ outputs: inout [Output]) {
    guard let round = entries[index].round else { return }
    entries[index].round = nil
    let entry = entries[index]
    if round.found.isEmpty {
      outputs.append(.failed(entry.name, round.faults.first ?? "it has no address"))
    } else {
      outputs.append(.resolved(entry.name, addresses: round.found.count))
      outputs.append(.found(round.found, entry.role))
    }
    if entry.role == .bootstrap && !round.found.isEmpty {
      entries[index].failures = 0
      entries[index].due = now + configuration.refresh
    } else {
      // Seeds that were found are there to be tried: only if that leaves the node alone they are looked up again.
      let doublings = min(entry.failures, 16)
      entries[index].failures += 1
      entries[index].due = now + min(configuration.retryMaximum, configuration.retryBase * (1 << doublings))
    }
  }

  private static let prefix = "dnsaddr="
}

/// Numbers a look-up in the DNS; its answer echoes it.
public struct NameQueryID: Hashable, Sendable, Comparable {
  /// The number.
  public let rawValue: UInt64
  /// Makes a name.
  public init(rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (left: NameQueryID, right: NameQueryID) -> Bool { left.rawValue < right.rawValue }
}
