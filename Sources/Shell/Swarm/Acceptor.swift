import EventLoop
import HostCore
import Identity
import Peering
import SecureChannel
import Threads
import Wire

/// Accepts connections on the first shard's loop and keeps each as a bare socket until the core has said whether it may become a link.
///
/// Sockets that wait are bounded; at the bound the listeners pause, and the kernel's backlog is the queue.
final class Acceptor: TCPListenerDelegate, @unchecked Sendable {
  private let sink: any SwarmSink
  private let maximum: Int
  private let turnAway: TurnAway
  private let lock = Lock()
  // Under the lock.
  private var waiting: [ConnectionID: DetachedSocket] = [:]
  private var isPaused = false
  // The loop's.
  private var listeners: [TCPListener] = []
  private var accepted: UInt64 = 0
  /// Failures that the core has not heard of.
  private var untold = 0
  private var loop: EventLoop?

  init(sink: any SwarmSink, maximum: Int, turnAway: TurnAway) {
    self.sink = sink
    self.turnAway = turnAway
    self.maximum = max(1, maximum)
  }

  func listen(on targets: [SocketAddress], loop: EventLoop) throws(TransportError) -> [Multiaddr] {
    self.loop = loop
    var opened: [TCPListener] = []
    do throws(TransportError) {
      for target in targets { opened.append(try TCPListener(target, on: loop, delegate: self)) }
    } catch {
      for listener in opened { listener.close() }
      throw error
    }
    listeners += opened
    return opened.flatMap { Interfaces.reachable($0.address) }.map(\.multiaddr)
  }

  func listener(_ listener: TCPListener, accepted connection: DetachedSocket) {
    accepted += 1
    let id = ConnectionID.inbound(accepted)
    // Before the core hears of it, which may answer at once.
    let isFull = lock.withLock {
      waiting[id] = connection
      isPaused = isPaused || waiting.count >= maximum
      return isPaused
    }
    if isFull { pause() }
    guard sink.post([.accepted(id, remote: connection.remote.multiaddr)], bytes: 0) else { return coreIsBehind(id) }
  }

  func listener(_ listener: TCPListener, failedToAccept error: TransportError) {
    // When the core is behind as well it hears of it with the next failure, which is a tenth of a second away.
    untold += 1
    if sink.post([.notAccepted(untold, Reason(.resourceLimit, error.description))], bytes: 0) { untold = 0 }
  }

  /// The socket of a connection that waits for the core's word. From the core's thread.
  func take(_ id: ConnectionID) -> DetachedSocket? {
    let (socket, goesOn) = lock.withLock {
      let socket = waiting.removeValue(forKey: id)
      let goesOn = isPaused && waiting.count <= maximum / 2
      if goesOn { isPaused = false }
      return (socket, goesOn)
    }
    if goesOn { resume() }
    return socket
  }

  /// Closes a connection that waits for the core's word, and tells it why; `false` when there is no such connection. A connection that is
  /// refused never becomes a link, and costs no more than its socket. From the core's thread.
  func refuse(_ id: ConnectionID, _ reason: Reason) -> Bool {
    guard let socket = take(id) else { return false }
    turn(away: socket, reason.code)
    return true
  }

  private func turn(away socket: DetachedSocket, _ code: Reason.Code) { socket.close(after: turnAway.bytes(code.description)) }

  func close() {
    for listener in listeners { listener.close() }
    listeners = []
    let sockets = lock.withLock {
      defer { waiting = [:] }
      return waiting
    }
    for socket in sockets.values { turn(away: socket, .shutdown) }
  }

  /// The core has no room for the news: nothing is accepted until it has.
  private func coreIsBehind(_ id: ConnectionID) {
    let socket = lock.withLock {
      isPaused = true
      return waiting.removeValue(forKey: id)
    }
    if let socket { turn(away: socket, .busy) }
    pause()
    sink.notifyWhenSpace { [weak self] in
      guard let self else { return }
      lock.withLock { isPaused = false }
      _ = sink.post([.notAccepted(1, Reason(.busy, "the node is behind with its work"))], bytes: 0)
      resume()
    }
  }

  private func pause() { for listener in listeners { listener.pause() } }

  private func resume() {
    loop?.execute { [self] in
      if lock.withLock({ isPaused }) { return }
      for listener in listeners { listener.resume() }
    }
  }
}
