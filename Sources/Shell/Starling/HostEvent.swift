import Gossip
import HostCore
import Identity
import Peering
import Wire

/// What a host tells its program; see ``Host/events``.
public enum HostEvent: Sendable {
  /// The host listens on these addresses.
  case listening([Multiaddr])
  /// A peer may be used.
  case peerConnected(PeerID, Direction, Multiaddr)
  /// A peer may no longer be used.
  case peerDisconnected(PeerID, Reason)
  /// A dial failed. The peer is unknown when only an address was dialled.
  case dialFailed(PeerID?, Multiaddr, DialFailure)
  /// A link was refused, or ended, before its peer was proven.
  case linkRefused(Multiaddr, Reason)
  /// A proven link ended; `local` tells whether this side closed it. The peer may live on another link.
  case linkClosed(PeerID, Reason, local: Bool)
  /// What a peer says of itself has come or changed.
  case identified(PeerID, IdentifyInfo)
  /// Something happened in the mesh.
  case mesh(GossipEvent)
  /// A peer did wrong; the score is the new one.
  case offence(PeerID, Offence, score: Double)
  /// A ban began; `nil` lasts until it is lifted.
  case banned(BanSubject, for: Duration?, String)
  /// The peer book could not be written.
  case bookFailed(StoreError)
  /// The program's own handler of a peer's stream or request threw this, or its answer did not reach the peer: a ``HostError`` says why.
  case handlerFailed(PeerID, ProtocolID, any Error)
  /// So many events were dropped here, because the reader was too slow.
  case missed(Int)
}

/// What happens on a host, as an asynchronous sequence for one reader.
///
/// At most ``Host/Configuration/eventsMaximum`` events wait for the reader; then the oldest is dropped. Where some are missing the reader
/// gets ``HostEvent/missed(_:)``. It ends when the host is closed.
public struct HostEvents: AsyncSequence, Sendable {
  let stream: AsyncStream<HostEvent>
  let counter: DropCounter

  /// How many events were dropped because the reader was too slow.
  public var droppedCount: Int { counter.count }

  /// Reads event after event.
  public struct AsyncIterator: AsyncIteratorProtocol {
    var base: AsyncStream<HostEvent>.Iterator
    let counter: DropCounter

    /// The next event, or `nil` at the end.
    public mutating func next() async -> HostEvent? {
      let missed = counter.takeUntold()
      return missed > 0 ? .missed(missed) : await base.next()
    }
  }

  /// An iterator; several share the events.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(base: stream.makeAsyncIterator(), counter: counter) }
}

extension HostEvent {
  /// What the program is told of a core's event; `nil` for what it learns as the answer to a call, or not at all.
  init?(_ event: HostCore.Event) {
    switch event {
    // Without a chain nobody is introduced: who is proven may be used.
    case .peerProven(let peer, _, let direction, let address): self = .peerConnected(peer, direction, address)
    case .listening(let addresses): self = .listening(addresses)
    case .identified(let peer, let info): self = .identified(peer, info)
    case .mesh(let event): self = .mesh(event)
    case .peerGone(let peer, let reason): self = .peerDisconnected(peer, reason)
    case .peering(let event):
      switch event {
      case .dialFailed(_, let peer, let address, let failure, _): self = .dialFailed(peer, address, failure)
      case .refused(_, let address, let reason): self = .linkRefused(address, reason)
      case .linkClosed(_, let peer, let reason, let closer): self = .linkClosed(peer, reason, local: closer == .thisSide)
      case .offence(let peer, let offence, let score, _): self = .offence(peer, offence, score: score)
      case .banned(let subject, let duration, let detail): self = .banned(subject, for: duration, detail)
      default: return nil
      }
    case .peerActive, .request, .answered, .response, .gossip, .validate, .published, .publishFailed, .subscribeFailed, .lookUp, .lookedUp,
      .discovery,
      .notAccepted,
      .operated:
      return nil
    }
  }
}
