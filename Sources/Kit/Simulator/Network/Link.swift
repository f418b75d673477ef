import HostCore
import Identity
import Peering
import SecureChannel
import Wire

/// What passes between the two ends of a link, in order.
enum Packet {
  /// Units of a session that were sent at one moment: see ``SessionEndpoint``.
  case frames([Frame])
  /// Bytes of a connection: see ``FullEndpoint``.
  case bytes([UInt8])
  /// The sender closed its socket in order.
  case end
  /// The sender's system knows nothing of the link.
  case reset
}

/// How a link's two ends talk: whole messages for scale, or real bytes for depth. Each end is one endpoint.
///
/// An endpoint does for the simulator what a link on its shard does for the node. It is told what the core wants and what arrives,
/// tells the core by ``Simulation/post(_:_:)`` and the other end by ``Simulation/transmit(_:from:_:bytes:delay:)``.
protocol LinkEndpoint: AnyObject {
  /// The transport is connected.
  func begin(_ now: Instant)
  /// Something arrived.
  func receive(_ packet: Packet, _ now: Instant)
  /// The other end read something, and this end had marked it as ``LinkEnd/isAwaited``.
  func delivered(_ now: Instant)
  /// A deadline that the endpoint had scheduled came.
  func timer(_ now: Instant)
  /// The host's protocols changed.
  func protocolsChanged(_ table: ProtocolTable)

  // What the core wants.
  func admit(_ now: Instant)
  func open(_ stream: StreamID, _ names: [ProtocolID], _ now: Instant)
  func send(_ stream: StreamID, _ bytes: [UInt8], _ now: Instant)
  func finish(_ stream: StreamID, _ now: Instant)
  func reset(_ stream: StreamID, _ code: ResetCode, _ now: Instant)
  func close(_ reason: Reason, _ now: Instant)

  /// Streams that this end keeps; for the checks.
  var streamCount: Int { get }
}

/// One side of a link.
enum Side: Int, Hashable, Sendable {
  case dialler, listener
  var other: Side { self == .dialler ? .listener : .dialler }
}

/// One end of a link: whose it is, and what its socket does.
final class LinkEnd {
  /// What the socket does; goes through the cases in order.
  enum Socket { case connecting, open, closed }

  let link: Link
  let side: Side
  let node: Int
  let connection: ConnectionID
  /// Where the other end is seen.
  let remote: Multiaddr
  var socket = Socket.connecting
  var endpoint: (any LinkEndpoint)?
  /// What is sent together at the end of the step.
  var unsent: [Frame] = []
  /// When the last packet for this end arrives: later ones do not overtake it.
  var lastArrival = Instant.zero
  /// What waits for a broken path to mend, as TCP sends again and again.
  var stalled: [(packet: Packet, bytes: Int)] = []
  /// Nothing arrives before this.
  var stalledUntil = Instant.zero
  /// Bytes of a connection that the process has read.
  var bytesRead = 0
  /// Whether the other end waits for the process here to read. It looks into this end only then: that saves a look at cold memory for
  /// every packet.
  var isAwaited = false
  /// Whether the core was told to use the link, and has not closed it.
  var isAdmitted = false
  /// Whether the core opens nothing on the link any more, because it uses another one.
  var isDraining = false
  var isEstablished = false

  init(link: Link, side: Side, node: Int, connection: ConnectionID, remote: Multiaddr) {
    self.link = link
    self.side = side
    self.node = node
    self.connection = connection
    self.remote = remote
  }

  var other: LinkEnd? { side == .dialler ? link.listener : link.dialler }
}

/// A link between two nodes, from the dial to its end.
final class Link {
  let id: Int
  private(set) var dialler: LinkEnd?
  /// Absent until the target's system has answered.
  private(set) var listener: LinkEnd?
  let target: Int
  let expecting: PeerID?
  /// Nothing passes any more, and nobody is told.
  var isDead = false

  init(id: Int, dialler node: Int, connection: ConnectionID, remote: Multiaddr, target: Int, expecting: PeerID?) {
    self.id = id
    self.target = target
    self.expecting = expecting
    dialler = LinkEnd(link: self, side: .dialler, node: node, connection: connection, remote: remote)
  }

  func accept(_ connection: ConnectionID, remote: Multiaddr) -> LinkEnd {
    let end = LinkEnd(link: self, side: .listener, node: target, connection: connection, remote: remote)
    listener = end
    return end
  }

  /// Whether both ends are gone.
  var isOver: Bool { dialler == nil }

  /// Once no socket is left the ends are let go: what is still under way to them finds nobody.
  func releaseIfOver() {
    guard dialler?.socket ?? .closed == .closed, listener?.socket ?? .closed == .closed else { return }
    dialler = nil
    listener = nil
  }
}
