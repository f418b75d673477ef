import Discovery
import EventLoop
import Identity
import SecureChannel
import Wire

/// A dial that only shows whether a peer can be reached at an address: connect, prove who answers, close.
///
/// It speaks under a name of its own, so that the peer does not take it for a second link of this host.
final class Probe: TCPSocketDelegate {
  let id: ProbeID
  private unowned let shard: Shard
  private let connection: Connection
  private var socket: TCPSocket?
  private var timer: LoopTimer?
  private var outputs: [Connection.Output] = []
  private var isOver = false

  init(_ id: ProbeID, to peer: PeerID, shard: Shard, _ now: Instant) {
    self.id = id
    self.shard = shard
    let key = NodeKey(seed: shard.crypto.randomBytes(32), crypto: shard.crypto)
    connection = Connection(
      role: .dialer(expecting: peer), staticKey: NoiseStaticKey(key, crypto: shard.crypto), crypto: shard.crypto,
      configuration: shard.configuration.connection, protocols: ProtocolTable([:]), now: now)
  }

  /// Begins; an address that cannot be dialled ends it at once.
  func start(_ address: Multiaddr, timeout: Duration) {
    guard let endpoint = try? address.dialable(), let ip = endpoint.ip else { return end(false) }
    let target = SocketAddress(ip, port: endpoint.port)
    socket = TCPSocket.connect(
      to: target, from: shard.source(for: target), on: shard.loop, timeout: timeout, configuration: shard.configuration.socket,
      delegate: self)
    timer = LoopTimer(on: shard.loop) { [weak self] _ in self?.end(false) }
    timer?.arm(after: timeout)
  }

  func socketConnected(_ socket: TCPSocket) {
    socket.startReading()
    advance()
  }

  func socket(_ socket: TCPSocket, received bytes: UnsafeMutableRawBufferPointer) {
    connection.receive(bytes, now: shard.loop.now, into: &outputs)
    advance()
  }

  func socketClosed(_ socket: TCPSocket, error: TransportError?) { end(false) }

  private func advance() {
    guard !isOver, let socket else { return }
    var bytes: [UInt8] = []
    while connection.hasPendingOutput, socket.isWritable,
      connection.produce(into: &bytes, maximumBytes: shard.configuration.writeBytes, now: shard.loop.now, outputs: &outputs)
    {
      socket.write(bytes)
      bytes = []
    }
    let events = outputs
    outputs = []
    for event in events {
      switch event {
      case .established: end(true)
      case .closed: end(false)
      default: break
      }
    }
  }

  private func end(_ isReached: Bool) {
    guard !isOver else { return }
    isOver = true
    timer?.close()
    // What proves this side is sent before the end.
    socket?.closeGracefully(within: shard.configuration.closeTimeout)
    shard.probeEnded(self, isReached)
  }
}
