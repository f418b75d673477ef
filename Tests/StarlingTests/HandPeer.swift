import Crypto
import EventLoop
import Starling

@testable import SecureChannel

/// A peer driven by hand: a socket with a connection machine, and no host behind it. What it does is told by a closure.
final class HandPeer: TCPSocketDelegate, TCPListenerDelegate, @unchecked Sendable {
  /// Acts on what the connection reports, on the peer's thread. What it makes the connection say leaves in one write with what the
  /// connection itself had to say.
  typealias Behaviour = @Sendable (HandPeer, Connection.Output) -> Void

  let key: NodeKey
  var peerID: PeerID { key.peerID }
  private let loop = EventLoop(name: "hand-peer")
  private let configuration: Connection.Configuration
  private let behaviour: Behaviour
  private let hasEnded = Gate()
  /// Of a private network: whether it says nothing before it has heard the other end's nonce, as rust-libp2p does.
  private let waitsForNonce: Bool
  private var heardBytes = 0
  private var isFreezing = false
  private var isFrozen = false
  private var mayBegin = true
  private var socket: TCPSocket?
  private var listener: TCPListener?
  private var outputs: [Connection.Output] = []
  /// The connection; used on the peer's thread only.
  private(set) var connection: Connection!

  private static let protocols = ProtocolTable([
    HostProtocols.ping: .init(framing: .fixed(bytes: 32)), echo: .init(framing: .raw),
    HostProtocols.goodbye: .init(framing: .lengthPrefixed(maximumBytes: Reason.maximumBytes)),
  ])

  init(
    _ configuration: Connection.Configuration = .init(), key: NodeKey = .generate(), waitsForNonce: Bool = false,
    _ behaviour: @escaping Behaviour
  ) throws {
    self.key = key
    self.configuration = configuration
    self.waitsForNonce = waitsForNonce
    self.behaviour = behaviour
    try loop.start()
  }

  /// Connects; with `begins` false it says nothing before ``begin()``.
  func dial(_ address: Multiaddr, begins: Bool = true) async throws {
    let target = SocketAddress(ipBytes: address.ipAddress!.bytes, port: address.tcpPort!)!
    try await loop.perform {
      self.mayBegin = begins
      self.socket = TCPSocket.connect(to: target, on: self.loop, delegate: self)
    }
  }

  func begin() async throws {
    try await loop.perform {
      self.mayBegin = true
      self.advance()
    }
  }

  /// Waits for one connection; the address to dial. With `begins` false it says nothing before ``begin()``.
  func listen(begins: Bool = true) async throws -> Multiaddr {
    let port = try await loop.perform {
      self.mayBegin = begins
      let made = try TCPListener(SocketAddress(ipBytes: [127, 0, 0, 1], port: 0)!, on: self.loop, delegate: self)
      self.listener = made
      return made.address.port
    }
    return try Multiaddr("/ip4/127.0.0.1/tcp/\(port)").withPeerID(peerID)
  }

  func listener(_ listener: TCPListener, accepted connection: DetachedSocket) {
    guard let socket = try? TCPSocket(adopting: connection, on: loop, delegate: self) else { return }
    begin(socket, .listener)
  }

  func socketConnected(_ socket: TCPSocket) { begin(socket, .dialer(expecting: nil)) }

  private func begin(_ socket: TCPSocket, _ role: Connection.Role) {
    self.socket = socket
    let crypto = SystemCrypto.shared
    connection = Connection(
      role: role, staticKey: NoiseStaticKey(key, crypto: crypto), crypto: crypto, configuration: configuration, protocols: Self.protocols,
      now: loop.now)
    socket.startReading()
    advance()
  }

  func socket(_ socket: TCPSocket, received bytes: UnsafeMutableRawBufferPointer) {
    heardBytes += bytes.count
    connection.receive(bytes, now: loop.now, into: &outputs)
    advance()
  }

  func socketDrained(_ socket: TCPSocket) { advance() }
  func socketClosed(_ socket: TCPSocket, error: TransportError?) { hasEnded.open() }

  private func advance() {
    while !outputs.isEmpty && !isFrozen {
      let batch = outputs
      outputs = []
      for output in batch { behaviour(self, output) }
    }
    guard let socket, connection != nil, mayBegin, !isFrozen, !waitsForNonce || heardBytes >= 24 else { return }
    var bytes: [UInt8] = []
    while connection.hasPendingOutput, socket.isWritable,
      connection.produce(into: &bytes, maximumBytes: 256 << 10, now: loop.now, outputs: &outputs)
    {
      socket.write(bytes)
      bytes = []
    }
    if connection.isDrained { socket.shutdownWriting() }
    if isFreezing {
      isFrozen = true
      socket.stopReading()
    }
  }

  // MARK: What a behaviour may do

  /// Says what the connection has to say now; reads, writes and answers nothing after that, as a process that stands still.
  func freeze() { isFreezing = true }

  /// Says bytes inside the secure channel, past the muxer's own rules.
  func say(_ bytes: [UInt8]) { connection.control += bytes }

  func reset(_ stream: StreamID) { connection.reset(stream) }

  @discardableResult
  func open(_ number: UInt32, _ name: ProtocolID, _ framing: Framing? = nil) -> StreamID {
    connection.openStream(.outbound(number), protocols: [name], framing: framing, now: loop.now, into: &outputs)
    return .outbound(number)
  }

  func send(_ bytes: [UInt8], on stream: StreamID) { connection.send(bytes, on: stream, into: &outputs) }
  func finish(_ stream: StreamID) { connection.finish(stream) }

  /// Says why and closes, as a host does.
  func sayGoodbye(_ reason: Reason) {
    let stream = open(0x7000, HostProtocols.goodbye)
    send(reason.encoded, on: stream)
    finish(stream)
    connection.close(.closedLocally("goodbye"), flush: true, into: &outputs)
  }

  // MARK: What a test may ask

  /// Has the peer do something now.
  func act(_ body: @escaping @Sendable (HandPeer) -> Void) async throws {
    try await loop.perform {
      body(self)
      self.advance()
    }
  }

  /// Bytes that the other end has not taken.
  func unsentBytes() async throws -> Int {
    try await loop.perform { self.connection.statistics.queuedBytes + (self.socket?.pendingBytes ?? 0) }
  }

  /// Waits until the other end has closed.
  func ended() async { await hasEnded.pass() }

  func close() async { await loop.shutDown() }
}
