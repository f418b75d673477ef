import EventLoop
@_exported import TestKit
import Testing
import Wire

/// A delegate that records the events of one socket.
final class SocketProbe: TCPSocketDelegate, @unchecked Sendable {
  enum Event: Equatable, Sendable {
    case connected
    case received(Int)
    case end
    case drained
    case closed(TransportError.Code?)
  }

  let events = Recorder<Event>()
  let closed = Recorder<TransportError.Code?>()
  let connected = Recorder<Bool>()
  let drained = Recorder<Int>()
  let complete = Recorder<[UInt8]>()
  var isEchoing = false
  var closesAtEnd = true
  /// How many bytes make it `complete`.
  var expectedBytes = Int.max
  var received: [UInt8] = []
  var onConnect: ((TCPSocket) -> Void)?
  var onDrain: ((TCPSocket) -> Void)?

  func socketConnected(_ socket: TCPSocket) {
    events.add(.connected)
    connected.add(true)
    onConnect?(socket)
  }

  func socket(_ socket: TCPSocket, received bytes: UnsafeMutableRawBufferPointer) {
    if isEchoing {
      socket.write(Array(bytes))
      return
    }
    events.add(.received(bytes.count))
    received.append(contentsOf: bytes)
    if received.count >= expectedBytes { complete.add(received) }
  }

  func socketReachedEnd(_ socket: TCPSocket) {
    events.add(.end)
    if closesAtEnd { socket.close() }
  }

  func socketDrained(_ socket: TCPSocket) {
    drained.add(socket.pendingBytes)
    onDrain?(socket)
  }

  func socketClosed(_ socket: TCPSocket, error: TransportError?) {
    events.add(.closed(error?.code))
    closed.add(error?.code)
  }
}

/// Accepts connections on one loop and spreads them over several, each with a delegate from `makeProbe`.
final class TestServer: TCPListenerDelegate, @unchecked Sendable {
  let loops: [EventLoop]
  let sockets = Recorder<TCPSocket>()
  let probes = Recorder<SocketProbe>()
  let failures = Recorder<TransportError>()
  let closed = Recorder<Bool>()
  private let makeProbe: @Sendable () -> SocketProbe
  private let configuration: TCPSocket.Configuration
  private var next = 0
  private(set) var listener: TCPListener?

  init(on loops: [EventLoop], configuration: TCPSocket.Configuration = .init(), makeProbe: @escaping @Sendable () -> SocketProbe) {
    self.loops = loops
    self.configuration = configuration
    self.makeProbe = makeProbe
  }

  static func echo(on loops: [EventLoop]) -> TestServer {
    TestServer(on: loops) {
      let probe = SocketProbe()
      probe.isEchoing = true
      return probe
    }
  }

  func listen(_ ip: String = "127.0.0.1", port: UInt16 = 0, configuration: TCPListener.Configuration = .init()) throws -> SocketAddress {
    try loops[0].runAndWait {
      let address = try #require(SocketAddress(ip, port: port))
      let listener = try TCPListener(address, on: self.loops[0], configuration: configuration, delegate: self)
      self.listener = listener
      return listener.address
    }
  }

  func listener(_ listener: TCPListener, accepted connection: DetachedSocket) {
    let loop = loops[next % loops.count]
    next += 1
    loop.execute {
      let probe = self.makeProbe()
      guard let socket = try? TCPSocket(adopting: connection, on: loop, configuration: self.configuration, delegate: probe) else { return }
      socket.startReading()
      self.sockets.add(socket)
      self.probes.add(probe)
    }
  }

  func listener(_ listener: TCPListener, failedToAccept error: TransportError) { failures.add(error) }

  func listenerClosed(_ listener: TCPListener) { closed.add(true) }
}

/// Starts loops, runs `body` and stops them.
func withLoops(_ count: Int, _ body: ([EventLoop]) throws -> Void) throws {
  let loops = (0..<count).map { EventLoop(name: "test-\($0)") }
  for loop in loops { try loop.start() }
  defer { for loop in loops { loop.stop() } }
  try body(loops)
}

extension EventLoop {
  /// Dials on the loop; the probe is told.
  func dial(
    _ address: SocketAddress, timeout: Duration = patience, configuration: TCPSocket.Configuration = .init(), _ probe: SocketProbe
  ) throws -> TCPSocket {
    try runAndWait {
      TCPSocket.connect(to: address, on: self, timeout: timeout, configuration: configuration, delegate: probe)
    }
  }
}
