import EventLoop
import HostCore
import Identity
import Peering
import SecureChannel
import Wire

/// One link on its shard: a socket and a connection machine, wired to each other.
final class ShardLink: TCPSocketDelegate {
  let id: ConnectionID
  let remote: Multiaddr
  private unowned let shard: Shard
  private var socket: TCPSocket?
  private(set) var connection: Connection?
  private var expecting: PeerID?
  private var handshakeDeadline = Instant.distantFuture
  private var isEstablished = false
  private var isClosing = false
  private var isEndTold = false
  private var peer: PeerID?
  /// Why the link ends; told to the core once the socket is closed.
  private var ending: ChannelError?
  /// What happened on streams before the core admitted the link. When it is full, reading stops.
  private var hold = AdmissionHold<Connection.Output>()
  private var outputs: [Connection.Output] = []
  private var applications: [StreamID: ApplicationStream] = [:]
  /// Streams that are finished here and that nobody reads any more, with the bytes that were dropped.
  private var abandoned: [StreamID: Int] = [:]
  private var blocked: Set<StreamID> = []
  /// What the program has written and the connection has no room for at the moment.
  private var parked = ParkedWrites()
  /// Addresses of a name that are still to be tried.
  private var candidates: [SocketAddress] = []
  /// Which of them was dialled last.
  private var dialled: SocketAddress?
  private var dialDeadline = Instant.distantFuture
  var isDirty = false
  /// Whether the core was told that the link takes too much of the thread's memory.
  var isGivingWay = false
  /// What of that memory the link takes.
  var reservedBytes: Int { connection?.statistics.reservedBytes ?? 0 }

  init(id: ConnectionID, shard: Shard, remote: Multiaddr) {
    self.id = id
    self.shard = shard
    self.remote = remote
  }

  // MARK: Set-up

  func adopt(_ detached: DetachedSocket, _ now: Instant) {
    do throws(TransportError) {
      let socket = try TCPSocket(adopting: detached, on: shard.loop, configuration: shard.configuration.socket, delegate: self)
      begin(socket, .listener, now)
    } catch {
      end(.transport(error.fault))
    }
  }

  func dial(_ address: Multiaddr, expecting: PeerID?, timeout: Duration, _ resolver: Resolver?, _ now: Instant) {
    self.expecting = expecting
    dialDeadline = now + timeout
    let endpoint: Endpoint
    do throws(AddressFault) { endpoint = try address.dialable() } catch {
      return end(.transport(TransportFault("\(address) cannot be dialled: \(error)")))
    }
    switch endpoint.host {
    case .ip(let ip):
      candidates = [SocketAddress(ip, port: endpoint.port)]
      dialNext(nil, now)
    case .name(let name, let family):
      guard let resolver else { return end(.transport(TransportFault("\(address) cannot be dialled: names are not resolved here"))) }
      resolver.resolve(name, port: endpoint.port) { [self] answer in
        guard !isClosing else { return }
        switch answer {
        case .success(let addresses):
          candidates = addresses.filter { family == .any || ($0.family == .ipv6) == (family == .v6) }
          dialNext(nil, shard.loop.now)
        case .failure(let error): end(.transport(error.fault))
        }
        shard.endTurn(shard.loop.now)
      }
    }
  }

  private func dialNext(_ failure: TransportError?, _ now: Instant) {
    guard !candidates.isEmpty, dialDeadline > now else { return end(.transport(failure?.fault ?? TransportFault("no address"))) }
    // A silent address of a name must leave time for the others.
    let share = (dialDeadline - now) / candidates.count
    let target = candidates.removeFirst()
    dialled = target
    socket = TCPSocket.connect(
      to: target, from: shard.source(for: target), on: shard.loop, timeout: share, configuration: shard.configuration.socket, delegate: self
    )
  }

  func socketConnected(_ socket: TCPSocket) {
    let now = shard.loop.now
    begin(socket, .dialer(expecting: expecting), now)
    shard.endTurn(now)
  }

  private func begin(_ socket: TCPSocket, _ role: Connection.Role, _ now: Instant) {
    self.socket = socket
    guard shard.memory.admits(Connection.baseBytes) else {
      ending = .limit("memory for links")
      if case .listener = role { socket.write(shard.turnAway.bytes(Reason.Code.resourceLimit.description)) }
      return socket.closeGracefully(within: shard.configuration.closeTimeout)
    }
    connection = Connection(
      role: role, staticKey: shard.staticKey, crypto: shard.crypto, configuration: shard.configuration.connection,
      protocols: shard.protocols, memory: shard.memory, now: now)
    socket.startReading()
    shard.markDirty(self)
  }

  // MARK: Bytes

  func socket(_ socket: TCPSocket, received bytes: UnsafeMutableRawBufferPointer) {
    let now = shard.loop.now
    if let connection {
      let before = connection.statistics
      connection.receive(bytes, now: now, into: &outputs)
      let after = connection.statistics
      bound(socket, frames: Int(after.framesReceived - before.framesReceived), bytes: bytes.count)
      if after.refusedStreams > before.refusedStreams {
        shard.refusedStreams.add(Int(after.refusedStreams - before.refusedStreams), ordering: .relaxed)
      }
    }
    deliver(now)
    // Small messages are consumed as they come, so that their window bounds nothing before the core has decided.
    if mustWait { pause() }
    shard.markDirty(self)
    shard.endTurn(now)
  }

  /// What a frame costs hardly depends on its size: of small ones fewer bytes are read in a turn, lest the thread's other links wait.
  private func bound(_ socket: TCPSocket, frames: Int, bytes: Int) {
    if frames > Self.framesOfTurn {
      socket.turnBytes = bytes * Self.framesOfTurn / frames
    } else if frames < Self.framesOfTurn / 2, bytes >= socket.turnBytes {
      socket.turnBytes *= 2
    }
  }

  func socketReachedEnd(_ socket: TCPSocket) {
    let now = shard.loop.now
    connection?.receiveEnd(now: now, into: &outputs)
    deliver(now)
    socket.close()
    shard.endTurn(now)
  }

  func socketDrained(_ socket: TCPSocket) {
    let now = shard.loop.now
    shard.markDirty(self)
    shard.endTurn(now)
  }

  func socketClosed(_ socket: TCPSocket, error: TransportError?) {
    let now = shard.loop.now
    if connection == nil, !isClosing, error != nil, !candidates.isEmpty {
      dialNext(error, now)
    } else {
      if let connection {
        connection.receiveEnd(error.map { .transport($0.fault) } ?? .endOfFile, now: now, into: &outputs)
        deliver(now)
      }
      end(ending ?? error.map { $0.code == .timedOut ? .handshakeTimeout : .transport($0.fault) } ?? .endOfFile)
    }
    shard.endTurn(now)
  }

  func pause() { socket?.stopReading() }
  func resume() { if !mustWait { socket?.startReading() } }
  private var mustWait: Bool { hold.isFull(besides: connection?.statistics.reassemblyBytes ?? 0) }

  /// Lets the connection fill what the socket has room for.
  func flush(_ now: Instant) {
    guard let connection, let socket else { return }
    while connection.hasPendingOutput && socket.isWritable {
      // What the socket could not send at once it keeps, and the next turn gets other memory.
      shard.writeBuffer.removeAll(keepingCapacity: true)
      guard connection.produce(into: &shard.writeBuffer, maximumBytes: shard.configuration.writeBytes, now: now, outputs: &outputs) else {
        break
      }
      socket.write(shard.writeBuffer)
    }
    takeParked()
    if !outputs.isEmpty { deliver(now) }
    if connection.isDrained && !isClosing {
      isClosing = true
      socket.closeGracefully(within: shard.configuration.closeTimeout)
    }
  }

  func handleTimer(_ now: Instant) {
    connection?.handleTimer(now: now, into: &outputs)
    deliver(now)
    shard.markDirty(self)
  }

  // MARK: What the connection says

  private func deliver(_ now: Instant) {
    while !outputs.isEmpty {
      let batch = outputs
      outputs = []
      for output in batch { deliver(output, now) }
    }
  }

  private func deliver(_ output: Connection.Output, _ now: Instant) {
    switch output {
    case .established(let identity):
      isEstablished = true
      peer = identity.peer
      // Where a name led is what limits and bans go by.
      shard.emit(.established(id, identity, remote: dialled?.multiaddr ?? remote))
    case .closed(let error):
      ending = ending ?? error
      endApplications(error)
      // What is left to be sent, and the other end's patience, are no concern of the core's.
      tellEnd(ending ?? error)
    case .roundTrip: break
    default: if !hold.keeps(output) { handleStream(output, now) }
    }
  }

  private func handleStream(_ output: Connection.Output, _ now: Instant) {
    switch output {
    case .streamOpened(let stream, let name):
      if shard.protocols[name]?.isApplication == true, let peer {
        let application = ApplicationStream(peer: peer, reference: ref(stream), protocolID: name, isOpen: true, shard: shard)
        applications[stream] = application
        shard.emit(application)
      } else {
        shard.emit(.streamOpened(ref(stream), name, arrived: now))
      }
    case .streamAccepted(let stream, let name):
      if let application = applications[stream] { application.didOpen(name) } else { shard.emit(.streamAccepted(ref(stream), name)) }
    case .message(let stream, let bytes): shard.emit(.message(ref(stream), bytes, arrived: now))
    case .data(let stream, let bytes): receive(bytes, stream)
    case .streamFinished(let stream):
      if let application = applications[stream] {
        application.receiveEnd()
      } else if abandoned[stream] == nil {
        shard.emit(.streamFinished(ref(stream)))
      }
    case .streamFailed(let stream, let error): ended(stream, error)
    case .streamClosed(let stream): ended(stream, nil)
    case .writable(let stream):
      if let application = applications[stream] {
        application.didQueue(0, isBlocked: parked.holds(stream))
      } else if blocked.remove(stream) != nil {
        shard.emit(.writable(ref(stream)))
      }
    case .established, .closed, .roundTrip: break
    }
  }

  private func receive(_ bytes: [UInt8], _ stream: StreamID) {
    if let application = applications[stream] { return application.receive(bytes) }
    guard let discarded = abandoned[stream] else { return }
    // Nobody reads any more: a remote that goes on regardless is told so.
    if discarded + bytes.count > Self.discardMaximum { return resetAbandoned(stream) }
    abandoned[stream] = discarded + bytes.count
    connection?.consumed(bytes.count, on: stream)
  }

  private func ended(_ stream: StreamID, _ error: ChannelError?) {
    blocked.remove(stream)
    parked.drop(stream)
    if let application = applications.removeValue(forKey: stream) {
      application.didEnd(error)
    } else if abandoned.removeValue(forKey: stream) == nil {
      shard.emit(.streamEnded(ref(stream), error))
    }
  }

  private func ref(_ stream: StreamID) -> StreamRef { StreamRef(connection: id, stream: stream) }

  // MARK: What the core and the application want

  func admit(_ now: Instant) {
    guard !hold.isAdmitted else { return }
    let wasFull = mustWait
    for output in hold.admit() { handleStream(output, now) }
    if wasFull && !shard.isHeldBack { resume() }
  }

  func open(_ stream: StreamID, _ names: [ProtocolID], _ application: ApplicationStream?, _ now: Instant) {
    guard let connection, ending == nil else {
      application?.didEnd(ending ?? .closedLocally("the link is gone"))
      return
    }
    if let application { applications[stream] = application }
    // A protocol that this host asks for without answering it itself is framed as all requests are.
    let framing = application != nil ? .raw : names.first.flatMap { shard.protocols[$0]?.framing } ?? shard.configuration.requestFraming
    connection.openStream(stream, protocols: names, framing: framing, now: now, into: &outputs)
    deliver(now)
    shard.markDirty(self)
  }

  func send(_ stream: StreamID, _ bytes: [UInt8], _ now: Instant) {
    guard let connection else { return }
    let queued = connection.send(bytes, on: stream, into: &outputs)
    if queued > shard.configuration.connection.highWatermark && blocked.insert(stream).inserted { shard.emit(.blocked(ref(stream))) }
    if !outputs.isEmpty { deliver(now) }
    shard.markDirty(self)
  }

  /// Takes what the program writes. Its streams together queue half of what the link may, so that its writers wait rather than fail, and the
  /// host's own streams find room; a stream that has queued little always may, whatever the others' readers do.
  func sendApplication(_ stream: StreamID, _ bytes: [UInt8], _ now: Instant) {
    guard applications[stream] != nil else { return }
    if parked.holds(stream) || bytes.count > room(of: stream) {
      parked.append(bytes, to: stream)
      applications[stream]?.didQueue(0, isBlocked: true)
    } else {
      queue(bytes, on: stream)
    }
    if !outputs.isEmpty { deliver(now) }
    shard.markDirty(self)
  }

  func finishApplication(_ stream: StreamID) { if !parked.finish(stream) { finish(stream) } }

  private func room(of stream: StreamID) -> Int {
    guard let connection else { return 0 }
    let limits = shard.configuration.connection
    let half = limits.sendBufferMaximum / 2
    let share = half / max(1, limits.outboundStreamsMaximum + limits.inboundStreamsMaximum)
    return max(half - connection.statistics.queuedBytes, share - connection.queuedBytes(on: stream))
  }

  private func queue(_ bytes: [UInt8], on stream: StreamID) {
    guard let connection else { return }
    let queued = connection.send(bytes, on: stream, into: &outputs)
    let isBlocked = queued > shard.configuration.connection.highWatermark || parked.holds(stream)
    applications[stream]?.didQueue(bytes.count, isBlocked: isBlocked)
  }

  /// Goes on with what had to wait, each stream as far as it has room.
  private func takeParked() {
    for _ in 0..<parked.count {
      guard !isClosing, ending == nil, let stream = parked.next() else { return }
      let room = room(of: stream)
      guard room > 0 else { continue }
      let (bytes, isEnd) = parked.take(room, of: stream)
      queue(bytes, on: stream)
      if isEnd { finish(stream) }
      shard.markDirty(self)
    }
  }

  func finish(_ stream: StreamID) {
    connection?.finish(stream)
    shard.markDirty(self)
  }

  func reset(_ stream: StreamID, _ code: ResetCode = .unspecified) {
    blocked.remove(stream)
    parked.drop(stream)
    connection?.reset(stream, code: code)
    shard.markDirty(self)
  }

  /// The program has let go of the stream. What it has written and finished still goes out; anything else ends now.
  func abandonApplication(_ stream: StreamID) {
    guard let application = applications.removeValue(forKey: stream) else { return }
    guard application.hasFinishedWriting else { return reset(stream) }
    abandoned[stream] = 0
    connection?.consumed(application.unreadBytes, on: stream)
    shard.markDirty(self)
  }

  private func resetAbandoned(_ stream: StreamID) {
    abandoned[stream] = nil
    reset(stream)
  }

  func resetApplication(_ stream: StreamID, _ code: ResetCode) {
    applications.removeValue(forKey: stream)?.didEnd(.closedLocally("reset by the application"))
    reset(stream, code)
  }

  func consumed(_ stream: StreamID, _ count: Int) {
    connection?.consumed(count, on: stream)
    shard.markDirty(self)
  }

  /// Gives up a dial that is not needed any more. Once the remote is proven it may count on the link: what is to become of it, the core says.
  func yield(_ now: Instant) {
    if !isEstablished { close(Reason(.unspecified, "the dial is no longer needed"), now) }
  }

  func close(_ reason: Reason, _ now: Instant) {
    ending = ending ?? .closedLocally(reason.description)
    if let connection {
      connection.close(.closedLocally(reason.description), flush: true, telling: reason.code.description, into: &outputs)
      deliver(now)
      shard.markDirty(self)
      // A remote that does not read gets no more than this long.
      let timer = LoopTimer(on: shard.loop) { [weak self] _ in self?.socket?.close() }
      timer.arm(after: shard.configuration.closeTimeout)
      closeTimer = timer
    } else if let socket {
      isClosing = true
      socket.close()
    } else {
      isClosing = true
      end(.closedLocally(reason.description))
    }
  }

  private var closeTimer: LoopTimer?

  private func endApplications(_ error: ChannelError) {
    let all = applications
    applications = [:]
    for application in all.values { application.didEnd(error) }
  }

  /// The link is gone: the core hears of it once.
  private func end(_ error: ChannelError) {
    isClosing = true
    closeTimer?.close()
    closeTimer = nil
    endApplications(error)
    tellEnd(error)
    shard.remove(self)
  }

  private func tellEnd(_ error: ChannelError) {
    guard !isEndTold else { return }
    isEndTold = true
    shard.emit(isEstablished ? .closed(id, error) : .failed(id, error))
  }

  private static let framesOfTurn = 256
  private static let discardMaximum = 1 << 20
}

extension TransportError {
  /// What the core is told of it.
  fileprivate var fault: TransportFault {
    let kind: TransportFault.Kind =
      switch code {
      case .connectionRefused: .refused
      case .timedOut: .timedOut
      case .hostUnreachable, .networkUnreachable: .unreachable
      default: .other
      }
    return TransportFault(description, kind: kind)
  }
}
