import EventLoop
import Glibc
import Testing
import Wire

@Suite(.ownThread)
struct TCPTests {
  @Test(arguments: ["127.0.0.1", "::1"])
  func echoesAcrossLoops(_ ip: String) throws {
    try withLoops(3) { loops in
      let server = TestServer.echo(on: [loops[0], loops[1]])
      let address = try server.listen(ip)
      #expect(address.ip == ip && address.port != 0)
      // Two connections: one is served on the listener's loop, one on the other.
      for round in 0..<2 {
        let message = Array("hello number \(round)".utf8)
        let probe = SocketProbe()
        probe.expectedBytes = message.count
        probe.onConnect = {
          $0.startReading()
          $0.write(message)
        }
        let socket = try loops[2].dial(address, probe)
        #expect(probe.complete.wait(for: 1) == [message])
        let local = try loops[2].runAndWait { socket.local }
        let served = server.sockets.wait(for: round + 1)[round]
        #expect(served.loop === loops[round])
        #expect(served.remote == local)
        #expect(socket.remote == address)
        loops[2].execute { socket.close() }
        #expect(probe.closed.wait(for: 1) == [nil])
        #expect(server.probes.wait(for: round + 1)[round].closed.wait(for: 1) == [nil])
      }
    }
  }

  /// The other end says something and is gone, so that a write fails before its words were read: they are read all the same.
  @Test func lastWordsAreReadThoughNothingCanBeSent() throws {
    try withLoops(2) { loops in
      let server = TestServer(on: [loops[0]]) { SocketProbe() }
      let address = try server.listen()
      let probe = SocketProbe()
      let socket = try loops[1].dial(address, probe)
      let far = server.sockets.wait(for: 1)[0]
      probe.connected.wait(for: 1)
      let words = Array("goodbye".utf8)
      try loops[1].runAndWait {
        socket.startReading()
        // Within this turn nothing is read here.
        socket.write([1])
        try loops[0].runAndWait {
          far.stopReading()
          far.write(words)
          // What lies there unread makes the system reset the connection.
          far.close()
        }
        server.probes.wait(for: 1)[0].closed.wait(for: 1)
        while socket.write([2]) {}
      }
      #expect(probe.closed.wait(for: 1) == [.connectionReset] || probe.closed.values == [.brokenPipe])
      #expect(probe.received == words)
    }
  }

  @Test func thousandConnections() throws {
    Platform.raiseDescriptorLimit()
    try withLoops(3) { loops in
      let server = TestServer.echo(on: [loops[0], loops[1]])
      let address = try server.listen()
      let count = 1000
      let done = Recorder<Int>()
      let client = EchoClient(done)
      try loops[2].runAndWait {
        for _ in 0..<count { _ = TCPSocket.connect(to: address, on: loops[2], delegate: client) }
      }
      #expect(done.wait(for: count).count == count)
      #expect(server.sockets.wait(for: count).count == count)
      #expect(try loops[0].runAndWait { server.listener?.acceptedCount } == count)
    }
  }

  /// Sends 16 bytes, reads them back and closes.
  private final class EchoClient: TCPSocketDelegate, @unchecked Sendable {
    private let done: Recorder<Int>
    private let message = [UInt8](repeating: 7, count: 16)

    init(_ done: Recorder<Int>) { self.done = done }

    func socketConnected(_ socket: TCPSocket) {
      socket.startReading()
      socket.write(message)
    }

    func socket(_ socket: TCPSocket, received bytes: UnsafeMutableRawBufferPointer) {
      if socket.readBytes == 16 { socket.closeGracefully() }
    }

    func socketClosed(_ socket: TCPSocket, error: TransportError?) {
      if error == nil, socket.readBytes == 16 { done.add(1) }
    }
  }

  @Test func bulkWithASlowReaderKeepsPendingBytesBounded() throws {
    try withLoops(2) { loops in
      let reader = SlowReader()
      let server = ListenOnly { connection in
        reader.socket = try? TCPSocket(adopting: connection, on: loops[0], delegate: reader)
        if reader.mayRead { reader.socket?.startReading() }
      }
      let address = try loops[0].runAndWait {
        try TCPListener(#require(SocketAddress("127.0.0.1", port: 0)), on: loops[0], delegate: server).address
      }
      var configuration = TCPSocket.Configuration()
      configuration.highMarkBytes = 512 << 10
      configuration.lowMarkBytes = 128 << 10
      // Reading starts once the sender has been told to hold back, whichever side is the quicker on this machine.
      let sender = BulkSender(total: 64 << 20) {
        loops[0].execute {
          reader.mayRead = true
          reader.socket?.startReading()
        }
      }
      try loops[1].runAndWait { [configuration] in
        _ = TCPSocket.connect(to: address, on: loops[1], configuration: configuration, delegate: sender)
      }
      #expect(reader.done.wait(for: 1).first == sender.total)
      #expect(reader.mismatches == 0)
      let (pendingMaximum, drains) = try loops[1].runAndWait { (sender.pendingMaximum, sender.drains) }
      #expect(pendingMaximum <= configuration.highMarkBytes + BulkSender.chunkBytes)
      #expect(pendingMaximum > configuration.highMarkBytes)
      #expect(drains > 0)
      #expect(reader.pauses > 0)
    }
  }

  /// A burst of connections waits in the backlog while the loop does what else it has to do.
  @Test func aBurstIsAcceptedInParts() throws {
    try withLoops(2) { loops in
      let accepted = Recorder<Int64>()
      let server = ListenOnly { connection in
        accepted.add((loops[0].now - Instant.zero).nanoseconds / 1_000_000)
        connection.close()
      }
      let address = try loops[0].runAndWait {
        var configuration = TCPListener.Configuration()
        configuration.acceptMaximum = 4
        configuration.acceptPause = .milliseconds(50)
        return try TCPListener(
          #require(SocketAddress("127.0.0.1", port: 0)), on: loops[0], configuration: configuration, delegate: server
        ).address
      }
      // The loop is busy until all of them are in the backlog.
      let isBusy = Gate()
      defer { isBusy.open() }
      loops[0].execute { isBusy.pass() }
      let probe = SocketProbe()
      try loops[1].runAndWait { for _ in 0..<12 { _ = TCPSocket.connect(to: address, on: loops[1], delegate: probe) } }
      probe.connected.wait(for: 12)
      isBusy.open()
      let times = accepted.wait(for: 12)
      #expect(times.count == 12)
      #expect(zip(times, times.dropFirst(4)).allSatisfy { $1 - $0 >= 45 }, "\(times)")
    }
  }

  /// Who has much lying in his socket is read in parts, between which others get their turn.
  @Test func aFullSocketLeavesTurnsToOthers() throws {
    try withLoops(2) { loops in
      let turns = TurnRecorder(total: 16 * 4096 + 1)
      var sockets: [TCPSocket] = []
      let accepted = Recorder<Bool>()
      let server = ListenOnly { connection in
        guard let socket = try? TCPSocket(adopting: connection, on: loops[0], delegate: turns) else { return }
        socket.turnBytes = 1
        #expect(socket.turnBytes == 4096)
        socket.startReading()
        sockets.append(socket)
        accepted.add(true)
      }
      let address = try loops[0].runAndWait {
        try TCPListener(#require(SocketAddress("127.0.0.1", port: 0)), on: loops[0], delegate: server).address
      }
      let probe = SocketProbe()
      let dialled = try (0..<2).map { _ in try loops[1].dial(address, probe) }
      accepted.wait(for: 2)
      // The loop is busy until the bytes of both lie there.
      let isBusy = Gate()
      defer { isBusy.open() }
      loops[0].execute { isBusy.pass() }
      try loops[1].runAndWait {
        dialled[0].write([UInt8](repeating: 1, count: 16 * 4096))
        dialled[1].write([2])
      }
      var queues: [Int] = []
      try waitUntil("they lie there: \(queues)") {
        queues = try dialled.map { socket in
          unreadBytes(at: socket.remote, from: try #require(try loops[1].runAndWait { socket.local }))
        }
        return queues[0] > 8 * 4096 && queues[1] == 1
      }
      isBusy.open()
      let parts = try #require(turns.done.wait(for: 1).first)
      let place = try #require(parts.firstIndex(of: 1))
      #expect(place <= 2, "\(parts)")
      #expect(parts.allSatisfy { $0 <= 4096 })
    }
  }

  /// The bytes that lie unread at this process's end of a connection.
  private func unreadBytes(at local: SocketAddress, from remote: SocketAddress) -> Int {
    func address(_ get: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32) -> SocketAddress? {
      var address = sockaddr_in()
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let status = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { get($0, &length) }
      }
      guard status == 0, address.sin_family == sa_family_t(AF_INET) else { return nil }
      return SocketAddress(ipBytes: withUnsafeBytes(of: address.sin_addr) { Array($0) }, port: UInt16(bigEndian: address.sin_port))
    }
    for descriptor in Int32(0)..<min(65_536, getdtablesize())
    where address({ getpeername(descriptor, $0, $1) }) == remote && address({ getsockname(descriptor, $0, $1) }) == local {
      var count: Int32 = 0
      _ = ioctl(descriptor, UInt(FIONREAD), &count)
      return Int(count)
    }
    return 0
  }

  private final class TurnRecorder: TCPSocketDelegate, @unchecked Sendable {
    let done = Recorder<[Int]>()
    private var parts: [Int] = []
    private let total: Int

    init(total: Int) { self.total = total }

    func socket(_ socket: TCPSocket, received bytes: UnsafeMutableRawBufferPointer) {
      parts.append(bytes.count)
      if parts.reduce(0, +) == total { done.add(parts) }
    }

    func socketClosed(_ socket: TCPSocket, error: TransportError?) {}
  }

  private final class ListenOnly: TCPListenerDelegate, @unchecked Sendable {
    private let onAccept: (DetachedSocket) -> Void

    init(_ onAccept: @escaping (DetachedSocket) -> Void) { self.onAccept = onAccept }

    func listener(_ listener: TCPListener, accepted connection: DetachedSocket) { onAccept(connection) }
  }

  /// Stops reading for a millisecond after each 2 MiB.
  private final class SlowReader: TCPSocketDelegate, @unchecked Sendable {
    let done = Recorder<Int>()
    var socket: TCPSocket?
    var mayRead = false
    var mismatches = 0
    var pauses = 0
    private var count = 0
    private var pauseAt = 2 << 20

    func socket(_ socket: TCPSocket, received bytes: UnsafeMutableRawBufferPointer) {
      // One byte in 4096 tells its place in the stream.
      var index = (4096 - count % 4096) % 4096
      while index < bytes.count {
        if bytes[index] != UInt8(truncatingIfNeeded: (count + index) / 4096) { mismatches += 1 }
        index += 4096
      }
      count += bytes.count
      guard count >= pauseAt else { return }
      pauseAt += 2 << 20
      pauses += 1
      socket.stopReading()
      LoopTimer(on: socket.loop) { _ in socket.startReading() }.arm(after: .milliseconds(1))
    }

    func socketClosed(_ socket: TCPSocket, error: TransportError?) { done.add(count) }
  }

  private final class BulkSender: TCPSocketDelegate, @unchecked Sendable {
    static let chunkBytes = 64 << 10
    let total: Int
    var pendingMaximum = 0
    var drains = 0
    private var sent = 0
    private var onFirstRefusal: (() -> Void)?

    init(total: Int, onFirstRefusal: @escaping () -> Void) {
      self.total = total
      self.onFirstRefusal = onFirstRefusal
    }

    func socketConnected(_ socket: TCPSocket) { send(socket) }

    func socketDrained(_ socket: TCPSocket) {
      drains += 1
      send(socket)
    }

    private func send(_ socket: TCPSocket) {
      var mayGoOn = true
      while mayGoOn, sent < total {
        var chunk = [UInt8](repeating: 1, count: Self.chunkBytes)
        for place in stride(from: 0, to: chunk.count, by: 4096) { chunk[place] = UInt8(truncatingIfNeeded: (sent + place) / 4096) }
        sent += chunk.count
        mayGoOn = socket.write(chunk)
        pendingMaximum = max(pendingMaximum, socket.pendingBytes)
      }
      if !mayGoOn {
        onFirstRefusal?()
        onFirstRefusal = nil
      }
      if sent == total { socket.closeGracefully(within: patience) }
    }

    func socket(_ socket: TCPSocket, received bytes: UnsafeMutableRawBufferPointer) {}
    func socketClosed(_ socket: TCPSocket, error: TransportError?) {}
  }

  @Test func manyChunksArriveInOrder() throws {
    try withLoops(2) { loops in
      let server = TestServer.echo(on: [loops[0]])
      let address = try server.listen()
      let chunks = (0..<3000).map { number in [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: number % 997) }
      let expected = chunks.flatMap { $0 }
      let probe = SocketProbe()
      probe.expectedBytes = 2 * expected.count
      // Written before the connection stands, and again after.
      probe.onConnect = {
        $0.startReading()
        $0.write(chunks)
      }
      let socket = try loops[1].dial(address, probe)
      loops[1].execute { for chunk in chunks { socket.write(chunk) } }
      let received = try #require(probe.complete.wait(for: 1).first)
      #expect(received == expected + expected)
    }
  }

  @Test func aPeerThatNeverReadsCostsBoundedMemory() throws {
    try withLoops(2) { loops in
      let server = TestServer(on: [loops[0]]) { SocketProbe() }
      let address = try server.listen(configuration: .init())
      var configuration = TCPSocket.Configuration()
      configuration.pendingMaximumBytes = 4 << 20
      let probe = SocketProbe()
      let socket = try loops[1].dial(address, configuration: configuration, probe)
      probe.connected.wait(for: 1)
      let served = try #require(server.sockets.wait(for: 1).first)
      try loops[0].runAndWait { served.stopReading() }
      try loops[1].runAndWait {
        for _ in 0..<64 where socket.state == .open { socket.write([UInt8](repeating: 0, count: 1 << 20)) }
        #expect(socket.state == .closed)
        #expect(!socket.write([1]))
      }
      #expect(probe.closed.wait(for: 1) == [.limitReached])
    }
  }

  @Test func refusedConnection() throws {
    try withLoops(1) { loops in
      let server = TestServer.echo(on: loops)
      let address = try server.listen()
      loops[0].execute { server.listener?.close() }
      #expect(server.closed.wait(for: 1) == [true])
      let probe = SocketProbe()
      let socket = try loops[0].dial(address, probe)
      #expect(probe.events.wait(for: 1) == [.closed(.connectionRefused)])
      #expect(TransportError(.connectionRefused).description == "ECONNREFUSED: connection refused")
      #expect(try loops[0].runAndWait { socket.state == .closed && !socket.write([1]) })
    }
  }

  @Test func connectionTimesOut() throws {
    try withLoops(1) { loops in
      // A full backlog makes the kernel ignore further connections.
      let server = TestServer.echo(on: loops)
      var configuration = TCPListener.Configuration()
      configuration.backlog = 1
      let address = try server.listen(configuration: configuration)
      try loops[0].runAndWait { server.listener?.pause() }
      let probes = (0..<6).map { _ in SocketProbe() }
      for probe in probes { _ = try loops[0].dial(address, timeout: patience, probe) }
      #expect(probes[0].connected.wait(for: 1) == [true])
      let started = loops[0].now
      let last = SocketProbe()
      _ = try loops[0].dial(address, timeout: .milliseconds(150), last)
      #expect(last.closed.wait(for: 1) == [.timedOut])
      #expect(loops[0].now - started >= .milliseconds(150))
      #expect(!last.events.values.contains(.connected))
      #expect(server.sockets.values.isEmpty)
      // Those that wait in the backlog are served once the listener goes on.
      loops[0].execute { server.listener?.resume() }
      #expect(!server.sockets.wait(for: 1).isEmpty)
    }
  }

  @Test func portInUse() throws {
    try withLoops(1) { loops in
      let first = TestServer.echo(on: loops)
      let address = try first.listen()
      let error = #expect(throws: TransportError.self) { try TestServer.echo(on: loops).listen(port: address.port) }
      #expect(error?.code == .addressInUse)
      #expect(error?.description == "listen on \(address): EADDRINUSE: address already in use")
      // IPv6 listeners take IPv6 only, so that both families share a port.
      #expect(try TestServer.echo(on: loops).listen("::1", port: address.port).port == address.port)
      #expect(throws: TransportError.self) { try TestServer.echo(on: loops).listen("192.0.2.1") }
    }
  }

  @Test func detachMovesAConnectionToAnotherLoop() throws {
    try withLoops(2) { loops in
      let server = TestServer.echo(on: [loops[0]])
      let address = try server.listen()
      let probe = SocketProbe()
      let socket = try loops[1].dial(address, probe)
      probe.connected.wait(for: 1)
      let moved = SocketProbe()
      moved.expectedBytes = 3
      let detached = try loops[1].runAndWait { try socket.detach() }
      #expect(detached.remote == address)
      let adopted = try loops[0].runAndWait {
        let adopted = try TCPSocket(adopting: detached, on: loops[0], delegate: moved)
        adopted.startReading()
        adopted.write([1, 2, 3])
        return adopted
      }
      #expect(moved.complete.wait(for: 1) == [[1, 2, 3]])
      #expect(adopted.loop === loops[0])
      // The former delegate heard nothing of it, and a second adoption fails.
      #expect(probe.events.values == [.connected])
      #expect(throws: TransportError.self) {
        try loops[1].runAndWait { _ = try TCPSocket(adopting: detached, on: loops[1], delegate: moved) }
      }
      #expect(throws: TransportError.self) { try loops[1].runAndWait { try socket.detach() } }
    }
  }

  @Test func halfCloseLetsTheOtherDirectionFinish() throws {
    try withLoops(2) { loops in
      let server = TestServer(on: [loops[0]]) {
        let probe = SocketProbe()
        probe.closesAtEnd = false
        return probe
      }
      let address = try server.listen()
      let probe = SocketProbe()
      probe.expectedBytes = 4
      probe.onConnect = {
        $0.startReading()
        $0.write([1, 2])
        $0.shutdownWriting()
        #expect(!$0.write([3]))
      }
      _ = try loops[1].dial(address, probe)
      let served = try #require(server.sockets.wait(for: 1).first)
      let servedProbe = try #require(server.probes.wait(for: 1).first)
      #expect(servedProbe.events.wait(for: 2) == [.received(2), .end])
      loops[0].execute {
        served.write([5, 6, 7, 8])
        served.closeGracefully()
      }
      #expect(probe.complete.wait(for: 1) == [[5, 6, 7, 8]])
      #expect(probe.closed.wait(for: 1) == [nil])
      #expect(servedProbe.closed.wait(for: 1) == [nil])
    }
  }

  /// The end comes in the same event as the last bytes, which libuv reports in a way of its own.
  @Test func lastBytesAndEndTogether() throws {
    try withLoops(2) { loops in
      let server = TestServer(on: [loops[0]]) {
        let probe = SocketProbe()
        probe.closesAtEnd = false
        return probe
      }
      let address = try server.listen()
      let probe = SocketProbe()
      probe.onConnect = { $0.shutdownWriting() }
      let socket = try loops[1].dial(address, probe)
      let served = try #require(server.sockets.wait(for: 1).first)
      let servedProbe = try #require(server.probes.wait(for: 1).first)
      #expect(servedProbe.events.wait(for: 1) == [.end])
      loops[0].execute {
        served.write([5, 6, 7, 8])
        served.closeGracefully()
      }
      #expect(servedProbe.closed.wait(for: 1) == [nil])
      loops[1].execute { socket.startReading() }
      #expect(probe.events.wait(for: 4) == [.connected, .received(4), .end, .closed(nil)])
    }
  }

  @Test func gracefulCloseGivesUpOnAPeerThatStays() throws {
    try withLoops(2) { loops in
      let server = TestServer(on: [loops[0]]) {
        let probe = SocketProbe()
        probe.closesAtEnd = false
        return probe
      }
      let address = try server.listen()
      let probe = SocketProbe()
      probe.onConnect = { $0.closeGracefully(within: .milliseconds(20)) }
      _ = try loops[1].dial(address, probe)
      #expect(probe.closed.wait(for: 1) == [nil])
    }
  }

  @Test func closingInsideAReadIsSafe() throws {
    try withLoops(2) { loops in
      let server = TestServer(on: [loops[0]]) { SocketProbe() }
      let address = try server.listen()
      let closer = Closer()
      try loops[1].runAndWait { _ = TCPSocket.connect(to: address, on: loops[1], delegate: closer) }
      let served = try #require(server.sockets.wait(for: 1).first)
      loops[0].execute { served.write([UInt8](repeating: 1, count: 1 << 20)) }
      #expect(closer.closed.wait(for: 1) == [1])
      let servedProbe = try #require(server.probes.wait(for: 1).first)
      #expect(servedProbe.closed.wait(for: 1).count == 1)
    }
  }

  private final class Closer: TCPSocketDelegate, @unchecked Sendable {
    let closed = Recorder<Int>()
    private var reads = 0

    func socketConnected(_ socket: TCPSocket) { socket.startReading() }

    func socket(_ socket: TCPSocket, received bytes: UnsafeMutableRawBufferPointer) {
      reads += 1
      socket.close()
      socket.write([1])
      socket.startReading()
    }

    func socketClosed(_ socket: TCPSocket, error: TransportError?) { closed.add(reads) }
  }
}
