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
      case .event(let event): outputs.append(.event(.discovery(event)))
      }
    }
  }

  /// Tells discovery how the host is linked, when that has changed. O(1).
  func tellLinks(_ now: Instant, _ outputs: inout [Output]) {
    let links = peering.linkSummary
    run(discoverer: .links(active: links.active, stored: links.stored, isShort: links.isShort), now, &outputs)
  }
}

extension HostCore {
  /// The HTTP peers that have answered, in order. O(n log n).
  public var webPeers: [WebFinder.Peer] { discoverer.web.peers }
}

extension PeerSource {
  init(_ source: DiscoverySource) {
    switch source {
    case .seed: self = .seed
    case .bootstrap: self = .bootstrap
    case .local: self = .local
    case .web: self = .discovery
    }
  }
}
