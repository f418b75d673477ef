import Identity
import Wire

/// The ways in which a host finds peers beside its links, as one machine: names in the DNS, the local network,
/// and peers that speak HTTP; and how others find it: at which addresses it can be reached.
///
/// It decides nothing about links: what it finds goes to peering, what it wants done outside goes to the shell as a ``DiscoveryTask``.
public struct Discoverer: Sendable {
  /// The settings of all ways.
  public struct Configuration: Sendable {
    /// Names in the DNS.
    public var names = NameFinder.Configuration()
    /// The local network.
    public var local = LocalFinder.Configuration()
    /// Peers that speak HTTP.
    public var web = WebFinder.Configuration()
    /// At which addresses others reach this host.
    public var reach = Reachability.Configuration()
    /// The dial-backs that are served to others.
    public var dialBack = DialBackServer.Configuration()

    /// The defaults.
    public init() {}
  }

  /// What happens to the machine.
  public enum Input: Sendable {
    /// A name to look up was configured.
    case name(NameFinder.Name, NameFinder.Role)
    /// How the host is linked: active peers, stored peers, and whether it has fewer outbound links than it wants.
    case links(active: Int, stored: Int, isShort: Bool)
    /// The addresses that are listened on.
    case listening([Multiaddr])
    /// A peer says where it sees this host; it is linked with the given address.
    case observed(Multiaddr, by: PeerID, at: IPAddress)
    /// A linked peer serves dial-backs.
    case helper(PeerID, at: IPAddress)
    /// A peer's link is gone.
    case peerGone(PeerID)
    /// The answer to a request for a dial-back, or `nil` without one.
    case dialBackAnswered(PeerID, Multiaddr, [UInt8]?)
    /// What came of a task.
    case report(DiscoveryReport)
    /// The host stops.
    case stop
    /// ``Discoverer/nextDeadline`` has come.
    case timerFired
  }

  /// What is to be done, in order.
  public enum Output: Sendable {
    /// Something for the shell.
    case task(DiscoveryTask)
    /// Addresses were found.
    case found([PeerAddress], DiscoverySource)
    /// Send a peer a request for a dial-back of an address.
    case askDialBack(PeerID, Multiaddr, [UInt8])
    /// From now on these addresses are told to others.
    case advertise([Multiaddr])
    /// Something happened.
    case event(DiscoveryEvent)
  }

  private var names: NameFinder
  private var local: LocalFinder
  /// Peers that speak HTTP.
  public private(set) var web: WebFinder
  private var reach: Reachability
  private var links: (active: Int, stored: Int, isShort: Bool) = (0, 0, false)

  /// Makes the machine.
  public init(localPeer: PeerID, configuration: Configuration = .init(), seed: UInt64, now: Instant) {
    var generator = SeededGenerator(seed: seed)
    names = NameFinder(configuration: configuration.names, now: now)
    local = LocalFinder(localPeer: localPeer, configuration: configuration.local, seed: generator.next(), now: now)
    reach = Reachability(localPeer: localPeer, configuration: configuration.reach)
    web = WebFinder(localPeer: localPeer, configuration: configuration.web, now: now)
    nextDeadline = earliestDeadline
  }

  /// When `timerFired` is due, or `nil` when nothing is.
  ///
  /// Stored: to compute it the whole machine would be copied.
  public private(set) var nextDeadline: Instant?

  private var earliestDeadline: Instant? {
    [names.nextDeadline, local.nextDeadline, web.nextDeadline, reach.nextDeadline].compactMap(\.self).min()
  }

  /// Takes one input and appends what is to be done.
  public mutating func handle(_ input: Input, now: Instant, into outputs: inout [Output]) {
    switch input {
    case .name(let name, let role): run(names: .added(name, role), now, &outputs)
    case .links(let active, let stored, let isShort):
      guard (active, stored, isShort) != links else { break }
      links = (active, stored, isShort)
      run(names: .links(active: active, stored: stored, isShort: isShort), now, &outputs)
    case .report(.lookedUp(let id, let answer)): run(names: .answered(id, answer), now, &outputs)
    case .report(.multicast(let bytes)): run(local: .received(bytes), now, &outputs)
    case .report(.multicastFailed(let why)): outputs.append(.event(.localFailed(why)))
    case .report(.fetched(let id, let answer)): run(web: .answered(id, answer), now, &outputs)
    case .report(.mapped(let address, let seconds)): run(reach: .mapped(address, seconds: seconds), now, &outputs)
    case .report(.mappingFailed(let why)): run(reach: .mappingFailed(why), now, &outputs)
    // The host's own: it answers the peer that asked for the dial-back.
    case .report(.probed): break
    case .listening(let addresses):
      run(local: .addresses(addresses), now, &outputs)
      run(reach: .listening(addresses), now, &outputs)
    case .observed(let address, let peer, let ip): run(reach: .observed(address, by: peer, at: ip), now, &outputs)
    case .helper(let peer, let ip): run(reach: .helper(peer, at: ip), now, &outputs)
    case .peerGone(let peer): run(reach: .peerGone(peer), now, &outputs)
    case .dialBackAnswered(let peer, let address, let bytes): run(reach: .answered(peer, address, bytes), now, &outputs)
    case .stop:
      run(local: .stop, now, &outputs)
      run(reach: .stop, now, &outputs)
    case .timerFired:
      if let deadline = names.nextDeadline, deadline <= now { run(names: .timerFired, now, &outputs) }
      if let deadline = local.nextDeadline, deadline <= now { run(local: .timerFired, now, &outputs) }
      if let deadline = web.nextDeadline, deadline <= now { run(web: .timerFired, now, &outputs) }
      if let deadline = reach.nextDeadline, deadline <= now { run(reach: .timerFired, now, &outputs) }
    }
    nextDeadline = earliestDeadline
  }

  private mutating func run(names input: NameFinder.Input, _ now: Instant, _ outputs: inout [Output]) {
    for output in names.handle(input, now: now) {
      switch output {
      case .lookUp(let id, let question): outputs.append(.task(.lookUp(id, question)))
      case .found(let addresses, let role): outputs.append(.found(addresses, role == .seed ? .seed : .bootstrap))
      case .resolved(let name, let count): outputs.append(.event(.nameResolved(name, addresses: count)))
      case .failed(let name, let why): outputs.append(.event(.nameFailed(name, why)))
      }
    }
  }

  private mutating func run(local input: LocalFinder.Input, _ now: Instant, _ outputs: inout [Output]) {
    for output in local.handle(input, now: now) {
      switch output {
      case .multicast(let bytes): outputs.append(.task(.multicast(bytes)))
      case .found(let addresses): outputs.append(.found(addresses, .local))
      }
    }
  }

  private mutating func run(web input: WebFinder.Input, _ now: Instant, _ outputs: inout [Output]) {
    for output in web.handle(input, now: now) {
      switch output {
      case .fetch(let id, let address, let question, let timeout):
        outputs.append(.task(.fetch(id, address, question, timeout: timeout)))
      case .found(let addresses): outputs.append(.found(addresses, .web))
      case .active(let address): outputs.append(.event(.webPeerActive(address)))
      case .inactive(let address, let why): outputs.append(.event(.webPeerInactive(address, why)))
      case .refused(let address, let why): outputs.append(.event(.webPeerRefused(address, why)))
      }
    }
  }

  private mutating func run(reach input: Reachability.Input, _ now: Instant, _ outputs: inout [Output]) {
    for output in reach.handle(input, now: now) {
      switch output {
      case .map(let port, let seconds): outputs.append(.task(.map(port: port, seconds: seconds)))
      case .ask(let peer, let address, let bytes): outputs.append(.askDialBack(peer, address, bytes))
      case .advertise(let addresses): outputs.append(.advertise(addresses))
      case .candidate(let address, let source): outputs.append(.event(.addressSuspected(address, source)))
      case .confirmed(let address): outputs.append(.event(.addressConfirmed(address)))
      case .withdrawn(let address): outputs.append(.event(.addressWithdrawn(address)))
      case .mapped(let address): outputs.append(.event(.portMapped(address)))
      case .mappingFailed(let why): outputs.append(.event(.portMappingFailed(why)))
      }
    }
  }
}
