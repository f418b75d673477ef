import Discovery
import Identity
import Peering
import Wire

extension HostCore {
  /// Tells discovery and maps what it wants.
  func run(discoverer input: Discoverer.Input, _ now: Instant, _ outputs: inout [Output]) {
    var wanted: [Discoverer.Output] = []
    discoverer.handle(input, now: now, into: &wanted)
    for output in wanted {
      switch output {
      case .task(let task): outputs.append(.discover(task))
      case .found(let addresses, let source): run(peering: .learned(addresses, PeerSource(source)), now, &outputs)
      case .askDialBack(let peer, let address, let request):
        guard let stream = makeStream(peer, .request) else {
          run(discoverer: .dialBackAnswered(peer, address, nil), now, &outputs)
          continue
        }
        startOwn(
          .dialBack(peer, address), on: stream, HostProtocols.autoNAT, request, timeout: .exactly(Self.dialBackTimeout), now, &outputs)
      case .advertise(let addresses):
        advertisedAddresses = addresses
        run(kademlia: .advertising(addresses), now, &outputs)
        let mode: Kademlia.Mode = isLikelyReached ? .server : .client
        if configuration.kademliaFollowsReach, let current = kademlia?.mode, current != mode {
          setKademliaMode(mode, now, &outputs)
        } else {
          pushIdentity(now, &outputs)
        }
      case .event(let event): outputs.append(.event(.discovery(event)))
      }
    }
  }

  /// Whether others can probably dial this host. A private address that it tells helps nobody on the public Internet.
  private var isLikelyReached: Bool {
    let reach = configuration.discovery.reach
    if reach.takesPrivate { return !advertisedAddresses.isEmpty }
    return !reach.announced.isEmpty || advertisedAddresses.contains { $0.ipAddress?.isRoutable == true }
  }

  /// What a peer's own words tell about this host's addresses.
  func tellReach(_ link: Link, _ info: IdentifyInfo, _ now: Instant, _ outputs: inout [Output]) {
    guard let ip = link.remote.ipAddress else { return }
    if let observed = info.observedAddress { run(discoverer: .observed(observed, by: link.peer, at: ip), now, &outputs) }
    if info.protocols.contains(HostProtocols.autoNAT) { run(discoverer: .helper(link.peer, at: ip), now, &outputs) }
  }

  /// A peer asks to be dialled back.
  func serveDialBack(to peer: PeerID, _ request: [UInt8], on stream: StreamRef, _ now: Instant, _ outputs: inout [Output]) {
    let ip = links[stream.connection]?.remote.ipAddress
    guard let outcome = dialBackServer.serve(peer, from: ip, request.rawSpan, now: now) else {
      requests.respond(stream, nil, code: .protocolViolation, now: now, into: &outputs)
      return run(peering: .report(peer, .malformedMessage), now, &outputs)
    }
    perform(outcome, stream, now, &outputs)
  }

  func dialBackEnded(_ id: ProbeID, _ isReached: Bool, _ now: Instant, _ outputs: inout [Output]) {
    guard let stream = dialBacks.removeValue(forKey: id), let outcome = dialBackServer.ended(id, isReached) else { return }
    perform(outcome, stream, now, &outputs)
  }

  private func perform(_ outcome: DialBackServer.Outcome, _ stream: StreamRef, _ now: Instant, _ outputs: inout [Output]) {
    switch outcome {
    case .answer(let bytes): requests.respond(stream, bytes, now: now, into: &outputs)
    case .probe(let id, let address, let peer, let timeout):
      dialBacks[id] = stream
      outputs.append(.discover(.probe(id, address, peer, timeout: timeout)))
    }
  }

  /// Longer than a server of go-libp2p takes (15 s), and than this host's own for three addresses.
  private static let dialBackTimeout = Duration.seconds(30)

  /// Tells discovery how the host is linked, when that has changed. O(1).
  func tellLinks(_ now: Instant, _ outputs: inout [Output]) {
    let links = peering.linkSummary
    run(discoverer: .links(active: links.active, stored: links.stored, isShort: links.isShort), now, &outputs)
  }
}

extension HostCore {
  /// The HTTP peers that have answered, in order. O(n log n).
  public var webPeers: [WebFinder.Peer] { discoverer.web.peers }

  /// What spoke against HTTP peers, and against what they told, by kind.
  public var webFaults: [WebFault.Code: UInt64] { discoverer.web.faults }
}

extension PeerSource {
  init(_ source: DiscoverySource) {
    switch source {
    case .seed: self = .seed
    case .bootstrap: self = .bootstrap
    case .local: self = .local
    case .web: self = .web
    }
  }
}
