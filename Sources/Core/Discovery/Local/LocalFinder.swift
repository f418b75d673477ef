import Identity
import Wire

/// Finds peers on the local network by multicast DNS, and answers those who look (libp2p/specs `discovery/mdns.md`, RFC 6762).
///
/// It asks when it starts, soon again, then regularly, and says by itself when its addresses change. An answer goes out at most once
/// a second, after a short random wait, so that a flood of questions costs the network little. Off unless it is configured on.
public struct LocalFinder: Sendable {
  /// The settings.
  public struct Configuration: Sendable {
    /// Whether it takes part at all. Default no: nothing is sent into an operator's network unasked.
    public var isEnabled = false
    /// When it asks, counted from the start. Default 0, 1, 3 and 10 s.
    public var firstQueries: [Duration] = [.zero, .seconds(1), .seconds(3), .seconds(10)]
    /// Time between later questions. Default 60 s.
    public var interval = Duration.seconds(60)
    /// For how many seconds others may count on an answer. Default 120.
    public var lifetimeSeconds: UInt32 = 120
    /// The least time between two answers (RFC 6762 §6). Default 1 s.
    public var answerPause = Duration.seconds(1)
    /// The longest random wait before an answer (RFC 6762 §6: 120 ms).
    public var answerJitter = Duration.milliseconds(120)
    /// Peers that are taken from the network within a lifetime; what else is said is passed over. Default 256.
    public var peersMaximum = 256
    /// The most addresses of one peer that are taken within a lifetime, and of this node that are told. Default 16.
    public var addressesPerPeerMaximum = 16

    /// The defaults.
    public init() {}
  }

  /// What happens to the machine.
  public enum Input: Sendable {
    /// The addresses at which this node can be dialled have changed.
    case addresses([Multiaddr])
    /// A datagram came to the group.
    case received([UInt8])
    /// The node stops: others are told.
    case stop
    /// ``LocalFinder/nextDeadline`` has come.
    case timerFired
  }

  /// What is to be done, in order.
  public enum Output: Hashable, Sendable {
    /// Send a datagram to the group, on every interface.
    case multicast([UInt8])
    /// Peers of the local network, in the order in which they were told.
    case found([PeerAddress])
  }

  private let localPeer: PeerID
  private let configuration: Configuration
  /// The name under which this node is one of the service's instances; says nothing about it (the spec asks for 32 to 63 characters).
  private let name: String
  private var generator: SeededGenerator
  private var addresses: [Multiaddr] = []
  private let start: Instant
  private var queries = 0
  private var nextQuery: Instant?
  private var nextAnswer: Instant?
  private var lastAnswer: Instant?
  private var announcements = 0
  private var mustTellServices = false
  /// What was found lately, with the time at which it may be told again.
  private var heard: [PeerID: (addresses: Set<Multiaddr>, until: Instant)] = [:]
  private var isStopped = false

  /// Makes a machine.
  public init(localPeer: PeerID, configuration: Configuration = .init(), seed: UInt64, now: Instant) {
    self.localPeer = localPeer
    self.configuration = configuration
    start = now
    var generator = SeededGenerator(seed: seed)
    let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)
    name = String(decoding: (0..<40).map { _ in letters[generator.index(below: letters.count)] }, as: UTF8.self)
    self.generator = generator
    nextQuery = configuration.isEnabled ? now + (configuration.firstQueries.first ?? .zero) : nil
  }

  /// When `timerFired` is due, or `nil` when nothing is.
  public var nextDeadline: Instant? {
    guard let nextQuery else { return nextAnswer }
    return nextAnswer.map { min($0, nextQuery) } ?? nextQuery
  }

  /// Takes one input and appends what is to be done.
  public mutating func handle(_ input: Input, now: Instant, into outputs: inout [Output]) {
    guard configuration.isEnabled, !isStopped else { return }
    switch input {
    case .addresses(let addresses):
      guard addresses != self.addresses else { break }
      self.addresses = Array(addresses.prefix(configuration.addressesPerPeerMaximum))
      // Told twice, as a datagram may be lost (RFC 6762 §8.3).
      announcements = 2
      scheduleAnswer(now)
    case .received(let bytes): receive(bytes, now, &outputs)
    case .stop:
      isStopped = true
      (nextQuery, nextAnswer) = (nil, nil)
      if let farewell = LocalMessage.answer(name: name, peer: localPeer, addresses: addresses, lifetimeSeconds: 0) {
        outputs.append(.multicast(farewell))
      }
      return
    case .timerFired: break
    }
    if let due = nextQuery, due <= now { ask(now, &outputs) }
    if let due = nextAnswer, due <= now { answer(now, &outputs) }
  }

  /// Takes one input and returns what is to be done; for tests.
  public mutating func handle(_ input: Input, now: Instant) -> [Output] {
    var outputs: [Output] = []
    handle(input, now: now, into: &outputs)
    return outputs
  }

  private mutating func ask(_ now: Instant, _ outputs: inout [Output]) {
    outputs.append(.multicast(LocalMessage.query))
    // After a stall the missed turns are passed over.
    repeat { queries += 1 } while queries < configuration.firstQueries.count && start + configuration.firstQueries[queries] <= now
    nextQuery = queries < configuration.firstQueries.count ? start + configuration.firstQueries[queries] : now + configuration.interval
  }

  private mutating func scheduleAnswer(_ now: Instant) {
    guard nextAnswer == nil else { return }
    let wait = generator.jitter(configuration.answerJitter)
    nextAnswer = max(now + wait, lastAnswer.map { $0 + configuration.answerPause } ?? now)
  }

  private mutating func answer(_ now: Instant, _ outputs: inout [Output]) {
    nextAnswer = nil
    lastAnswer = now
    if mustTellServices { outputs.append(.multicast(LocalMessage.serviceAnswer(lifetimeSeconds: configuration.lifetimeSeconds))) }
    mustTellServices = false
    guard
      let bytes = LocalMessage.answer(name: name, peer: localPeer, addresses: addresses, lifetimeSeconds: configuration.lifetimeSeconds)
    else { return }
    outputs.append(.multicast(bytes))
    announcements -= 1
    if announcements > 0 { scheduleAnswer(now) }
  }

  private mutating func receive(_ bytes: [UInt8], _ now: Instant, _ outputs: inout [Output]) {
    // Whoever shares the group may send anything: what is no message of the service is nobody's fault.
    guard let message = try? DNSMessage(encoded: bytes.rawSpan) else { return }
    if LocalMessage.asksForServices(message) {
      mustTellServices = true
      scheduleAnswer(now)
    }
    if LocalMessage.asksForPeers(message) { scheduleAnswer(now) }
    let found = LocalMessage.addresses(message).filter { takes($0, now) }
    if !found.isEmpty { outputs.append(.found(found)) }
  }

  /// Whether an address is news, and there is room for it.
  private mutating func takes(_ item: PeerAddress, _ now: Instant) -> Bool {
    guard let peer = item.peer, peer != localPeer, !PeerExchange.isJunk(item.address) else { return false }
    if heard[peer].map({ $0.until <= now }) ?? true {
      if heard.count >= configuration.peersMaximum { heard = heard.filter { $0.value.until > now } }
      guard heard[peer] != nil || heard.count < configuration.peersMaximum else { return false }
      heard[peer] = ([], now + .seconds(Int64(configuration.lifetimeSeconds)))
    }
    guard let known = heard[peer]?.addresses, known.count < configuration.addressesPerPeerMaximum, !known.contains(item.address) else {
      return false
    }
    heard[peer]?.addresses.insert(item.address)
    return true
  }
}
