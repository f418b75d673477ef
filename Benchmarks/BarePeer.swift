import Crypto
import EventLoop
import Glibc
import HostCore
import Identity
import SecureChannel
import Wire

/// A peer that is nothing but a connection: it proves a key, answers identify and pings, and does what its owner wants. All on one loop.
final class BarePeer: TCPSocketDelegate {
  let peer: PeerID
  private(set) var connection: Connection
  private var socket: TCPSocket?
  private let loop: EventLoop
  private var outputs: [Connection.Output] = []
  private(set) var isEstablished = false
  private(set) var isOver = false
  private var nextStream: UInt32 = 1
  /// Told of what the connection says, behind what is done here.
  var onOutput: (BarePeer, Connection.Output) -> Void = { _, _ in }
  var onEnd: (BarePeer) -> Void = { _ in }

  static let crypto = SystemCrypto.shared
  private let table: ProtocolTable
  private static let plain = ProtocolTable([
    HostProtocols.ping: .init(framing: .fixed(bytes: 32)), HostProtocols.identify: .init(framing: .lengthPrefixed(maximumBytes: 65_536)),
    ChainFacts.protocolID("blocks/1"): .init(framing: .lengthPrefixed(maximumBytes: 1_000)),
  ])
  private static let withGossip: ProtocolTable = {
    var table = plain
    table["/meshsub/1.1.0"] = .init(framing: .lengthPrefixed(maximumBytes: 10 << 20))
    return table
  }()

  /// Takes a connected socket over. On the loop's thread.
  init?(_ descriptor: Int32, to remote: SocketAddress, on loop: EventLoop, speaksGossip: Bool = false) {
    table = speaksGossip ? Self.withGossip : Self.plain
    let key = NodeKey(seed: Self.crypto.randomBytes(32), crypto: Self.crypto)
    peer = key.peerID
    self.loop = loop
    connection = Connection(
      role: .dialer(expecting: nil), staticKey: NoiseStaticKey(key, crypto: Self.crypto), crypto: Self.crypto, protocols: table,
      now: loop.now)
    do throws(TransportError) {
      socket = try TCPSocket(adopting: DetachedSocket(descriptor: descriptor, remote: remote), on: loop, delegate: self)
    } catch {
      return nil
    }
    socket?.startReading()
    flush()
  }

  /// Opens a stream and names it.
  func open(_ name: ProtocolID, _ framing: Framing) -> StreamID {
    let id = StreamID.outbound(nextStream)
    nextStream += 1
    connection.openStream(id, protocols: [name], framing: framing, now: loop.now, into: &outputs)
    return id
  }

  func send(_ bytes: [UInt8], on stream: StreamID) { connection.send(bytes, on: stream, into: &outputs) }

  /// Sends what waits and tells of what has happened.
  func flush() {
    guard let socket, !isOver else { return }
    while connection.hasPendingOutput && socket.isWritable {
      var bytes: [UInt8] = []
      guard connection.produce(into: &bytes, maximumBytes: 256 << 10, now: loop.now, outputs: &outputs) else { break }
      socket.write(bytes)
    }
    while !outputs.isEmpty {
      let batch = outputs
      outputs = []
      for output in batch { handle(output) }
    }
    if connection.hasPendingOutput && socket.isWritable { flush() }
  }

  func close() { socket?.close() }

  private func handle(_ output: Connection.Output) {
    switch output {
    case .established: isEstablished = true
    case .streamOpened(let stream, HostProtocols.identify):
      let info = IdentifyInfo(listenAddresses: [], protocols: table.names, protocolVersion: "bench/1", agent: "bench/1")
      send(info.encoded, on: stream)
      connection.finish(stream)
    case .message(let stream, let bytes) where !stream.isOutbound && bytes.count == 32: send(bytes, on: stream)
    case .streamFinished(let stream) where !stream.isOutbound: connection.finish(stream)
    case .closed: socket?.close()
    default: break
    }
    onOutput(self, output)
  }

  func socket(_ socket: TCPSocket, received bytes: UnsafeMutableRawBufferPointer) {
    connection.receive(bytes, now: loop.now, into: &outputs)
    flush()
  }

  func socketDrained(_ socket: TCPSocket) { flush() }

  func socketClosed(_ socket: TCPSocket, error: TransportError?) {
    guard !isOver else { return }
    isOver = true
    onEnd(self)
  }

  /// A connected socket from `source`, an address of the loopback such as `127.0.0.9`; `nil` when it cannot be had.
  static func connect(to remote: SocketAddress, from source: String) -> Int32? {
    let descriptor = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0, let own = SocketAddress(source, port: 0) else { return nil }
    // Ports are shared between aliases: the pair of addresses tells connections apart.
    var on: Int32 = 1
    setsockopt(descriptor, SOL_IP, 24, &on, socklen_t(MemoryLayout<Int32>.size))
    func address(_ address: SocketAddress) -> sockaddr_in {
      var result = sockaddr_in()
      result.sin_family = sa_family_t(AF_INET)
      result.sin_port = address.port.bigEndian
      withUnsafeMutableBytes(of: &result.sin_addr) { $0.copyBytes(from: address.ipBytes) }
      return result
    }
    func with(_ address: sockaddr_in, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
      withUnsafePointer(to: address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
      }
    }
    guard with(address(own), { bind(descriptor, $0, $1) }) == 0, with(address(remote), { Glibc.connect(descriptor, $0, $1) }) == 0 else {
      Glibc.close(descriptor)
      return nil
    }
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
    return descriptor
  }
}
