import EventLoop
import Wire

/// The event loop's own cost: an echo server on one loop, its clients on another, over the loopback.
///
/// `d1` has one message of 64 bytes in flight for each of 50 connections, `d16` sixteen; `bulk` sends 64 KiB pieces over 4 connections.
/// The last column is the processor time that the server's thread used for each message, user and system: it repeats better than the
/// rate where other programs share the processors. `mailbox` and `execute` count messages between threads.
enum EventLoopBenchmark {
  static func run(_ arguments: [String]) throws {
    let seconds = arguments.first.flatMap(Int64.init) ?? 2
    for repetition in 1...3 {
      for (name, connections, bytes, depth) in [("d1", 50, 64, 1), ("d16", 50, 64, 16), ("bulk", 4, 64 << 10, 4)] {
        try echo(name, connections: connections, messageBytes: bytes, depth: depth, for: .seconds(seconds), repetition)
      }
      try mailbox(repetition)
      try execute(repetition)
    }
  }

  private static func echo(
    _ name: String, connections: Int, messageBytes: Int, depth: Int, for duration: Duration, _ repetition: Int
  ) throws {
    let server = EventLoop(name: "server")
    let client = EventLoop(name: "client")
    try server.start()
    try client.start()
    defer {
      client.stop()
      server.stop()
    }
    let echo = EchoServer(server)
    let address = try server.runAndWait {
      guard let any = SocketAddress("127.0.0.1", port: 0) else { throw TransportError(.invalidArgument) }
      return try TCPListener(any, on: server, delegate: echo).address
    }
    let load = LoadGenerator(messageBytes: messageBytes, depth: depth)
    try client.runAndWait {
      for _ in 0..<connections { _ = TCPSocket.connect(to: address, on: client, delegate: load) }
    }
    // A fifth of the time to warm up.
    let finished = Flag()
    client.execute { LoopTimer(on: client) { _ in finished.set() }.arm(after: duration / 5) }
    finished.wait()
    let before = try (client.runAndWait { load.receivedBytes }, server.runAndWait { Platform.threadProcessorTime }, Platform.now)
    client.execute { LoopTimer(on: client) { _ in finished.set() }.arm(after: duration) }
    finished.wait()
    let after = try (client.runAndWait { load.receivedBytes }, server.runAndWait { Platform.threadProcessorTime }, Platform.now)
    let elapsed = (after.2 - before.2).seconds
    let bytes = Double(after.0 - before.0)
    let messages = bytes / Double(messageBytes)
    print(
      "loop \(name) run \(repetition): \(Int(messages / elapsed)) msg/s, \(Int(bytes / elapsed / 1e6)) MB/s echoed,",
      "server \(Int(Double((after.1 - before.1).nanoseconds) / messages)) ns/msg, \(load.failures) failures")
  }

  private static func mailbox(_ repetition: Int) throws {
    let loop = EventLoop(name: "mailbox")
    try loop.start()
    defer { loop.stop() }
    let total = 2_000_000
    let sink = Sink(total: total)
    let mailbox = Mailbox<Int>(loop: loop, capacity: 65536)
    mailbox.attach(sink)
    let start = Platform.now
    var refused = 0
    for number in 0..<total {
      while !mailbox.post(number) {
        refused += 1
        let space = Flag()
        mailbox.notifyWhenSpace { space.set() }
        space.wait()
      }
    }
    sink.finished.wait()
    let elapsed = Platform.now - start
    print("loop mailbox run \(repetition): \(elapsed.nanoseconds / Int64(total)) ns/msg, \(sink.batches) batches, \(refused) refusals")
  }

  private static func execute(_ repetition: Int) throws {
    let loop = EventLoop(name: "execute")
    try loop.start()
    defer { loop.stop() }
    let total = 500_000
    let sink = Sink(total: total)
    let start = Platform.now
    for _ in 0..<total { loop.execute { sink.receive([0]) } }
    sink.finished.wait()
    print("loop execute run \(repetition): \((Platform.now - start).nanoseconds / Int64(total)) ns/closure")
  }
}

private final class EchoServer: TCPListenerDelegate, TCPSocketDelegate, @unchecked Sendable {
  private let loop: EventLoop

  init(_ loop: EventLoop) { self.loop = loop }

  func listener(_ listener: TCPListener, accepted connection: DetachedSocket) {
    try? TCPSocket(adopting: connection, on: loop, delegate: self).startReading()
  }

  func socket(_ socket: TCPSocket, received bytes: UnsafeMutableRawBufferPointer) {
    if !socket.write(Array(bytes)) { socket.stopReading() }
  }

  func socketDrained(_ socket: TCPSocket) { socket.startReading() }

  func socketClosed(_ socket: TCPSocket, error: TransportError?) {}
}

private final class LoadGenerator: TCPSocketDelegate, @unchecked Sendable {
  var receivedBytes = 0
  var failures = 0
  private let message: [UInt8]
  private let depth: Int

  init(messageBytes: Int, depth: Int) {
    message = [UInt8](repeating: 1, count: messageBytes)
    self.depth = depth
  }

  func socketConnected(_ socket: TCPSocket) {
    socket.startReading()
    for _ in 0..<depth { socket.write(message) }
  }

  /// Sends as many whole messages as have come back.
  func socket(_ socket: TCPSocket, received bytes: UnsafeMutableRawBufferPointer) {
    receivedBytes += bytes.count
    let before = (Int(socket.readBytes) - bytes.count) / message.count
    let count = Int(socket.readBytes) / message.count - before
    if count == 1 {
      socket.write(message)
    } else if count > 1 {
      socket.write([[UInt8]](repeating: message, count: count))
    }
  }

  func socketClosed(_ socket: TCPSocket, error: TransportError?) {
    if let error, error.code != .canceled { failures += 1 }
  }
}

private final class Sink: MailboxHandler, @unchecked Sendable {
  let finished = Flag()
  private(set) var batches = 0
  private var count = 0
  private let total: Int

  init(total: Int) { self.total = total }

  func receive(_ batch: [Int]) {
    batches += 1
    count += batch.count
    if count == total { finished.set() }
  }
}
