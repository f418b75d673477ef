import HostCore
import Identity
import Peering
import SecureChannel
import Wire

/// An end of a link that carries bytes: the node's own `Connection` with Noise and Yamux.
final class FullEndpoint: LinkEndpoint {
  private unowned let simulation: Simulation
  private let end: LinkEnd
  private let limits: Connection.Configuration
  private let table: ProtocolTable
  private var connection: Connection?
  private var isOver = false
  /// Why the link ends; told to the core once the socket is closed.
  private var ending: ChannelError?
  private var hold = AdmissionHold<Connection.Output>()
  /// What is not read because the hold is full.
  private var unread: [Packet] = []
  private var outputs: [Connection.Output] = []
  private var blocked: Set<StreamID> = []
  /// Where each stream's bytes are counted.
  private var traffic: [StreamID: Traffic.Slot] = [:]
  private var bytesSent = 0
  private var armed = Instant.distantFuture

  init(simulation: Simulation, end: LinkEnd, limits: Connection.Configuration, table: ProtocolTable) {
    self.simulation = simulation
    self.end = end
    self.limits = limits
    self.table = table
  }

  var streamCount: Int { connection?.statistics.streams ?? 0 }

  func begin(_ now: Instant) {
    let node = simulation.nodes[end.node]
    let role: Connection.Role = end.side == .dialler ? .dialer(expecting: end.link.expecting) : .listener
    connection = Connection(
      role: role, staticKey: NoiseStaticKey(node.key, crypto: simulation.crypto), crypto: simulation.crypto, configuration: limits,
      protocols: node.core?.host.table ?? table, now: now)
    flush(now)
  }

  func timer(_ now: Instant) {
    armed = .distantFuture
    connection?.handleTimer(now: now, into: &outputs)
    deliver(now)
    flush(now)
  }

  func protocolsChanged(_ table: ProtocolTable) { connection?.protocols = table }

  func receive(_ packet: Packet, _ now: Instant) {
    guard let connection, !isOver else { return }
    if hold.isFull(besides: connection.statistics.reassemblyBytes) { return unread.append(packet) }
    switch packet {
    case .bytes(let bytes):
      end.bytesRead += bytes.count
      connection.receive(bytes, now: now, into: &outputs)
      deliver(now)
      flush(now)
    case .end, .reset:
      var error: ChannelError?
      if case .reset = packet { error = .transport(.reset) }
      connection.receiveEnd(error ?? .endOfFile, now: now, into: &outputs)
      deliver(now)
      over(ending ?? error ?? .endOfFile)
    case .frames: preconditionFailure("frames on a link of bytes")
    }
  }

  func delivered(_ now: Instant) {
    end.other?.isAwaited = false
    if !isOver { flush(now) }
  }

  /// Bytes sent and not yet read at the other end: what the socket's buffer and the path hold.
  private var outstanding: Int { bytesSent - (end.other?.bytesRead ?? 0) }

  // MARK: What the core wants

  func admit(_ now: Instant) {
    guard !end.isAdmitted else { return }
    end.isAdmitted = true
    for output in hold.admit() { stream(output) }
    let waiting = unread
    unread = []
    for packet in waiting { simulation.read(end, packet) }
  }

  func open(_ stream: StreamID, _ names: [ProtocolID], _ now: Instant) {
    guard ending == nil else { return }
    if let name = names.first { traffic[stream] = simulation.measures.traffic.slot(of: name) }
    connection?.openStream(stream, protocols: names, now: now, into: &outputs)
    deliver(now)
    flush(now)
  }

  func send(_ stream: StreamID, _ bytes: [UInt8], _ now: Instant) {
    guard let connection else { return }
    if let slot = traffic[stream] { simulation.measures.traffic.sent(slot, bytes: bytes.count) }
    let queued = connection.send(bytes, on: stream, into: &outputs)
    if queued > limits.highWatermark && blocked.insert(stream).inserted { emit(.blocked(ref(stream))) }
    deliver(now)
    flush(now)
  }

  func finish(_ stream: StreamID, _ now: Instant) {
    connection?.finish(stream)
    flush(now)
  }

  func reset(_ stream: StreamID, _ code: ResetCode, _ now: Instant) {
    blocked.remove(stream)
    traffic[stream] = nil
    connection?.reset(stream, code: code)
    flush(now)
  }

  func close(_ reason: Reason, _ now: Instant) {
    guard !isOver else { return }
    let error = ChannelError.closedLocally(reason.description)
    ending = ending ?? error
    guard let connection else {
      if end.side == .listener {
        let words = TurnAway(networkKey: limits.networkKey, crypto: simulation.crypto).bytes(reason.code.description)
        simulation.transmit(end, .bytes(words), bytes: words.count + 52)
      }
      return over(error)
    }
    connection.close(error, flush: true, telling: reason.code.description, into: &outputs)
    deliver(now)
    flush(now)
    // A remote that does not read gets no more than this long.
    if !isOver { over(error) }
  }

  // MARK: Parts

  private func flush(_ now: Instant) {
    guard let connection, !isOver else { return }
    while connection.hasPendingOutput && outstanding < Self.socketBytes {
      var buffer: [UInt8] = []
      guard connection.produce(into: &buffer, maximumBytes: 64 << 10, now: now, outputs: &outputs) else { break }
      bytesSent += buffer.count
      simulation.transmit(end, .bytes(buffer), bytes: buffer.count + 52 + buffer.count / 1_400 * 52)
    }
    if connection.hasPendingOutput { end.other?.isAwaited = true }
    deliver(now)
    if connection.isDrained { return over(ending ?? .endOfFile) }
    if let deadline = connection.nextDeadline, deadline < armed {
      armed = deadline
      simulation.scheduleTimer(end, at: max(deadline, now))
    }
  }

  private func deliver(_ now: Instant) {
    while !outputs.isEmpty {
      let batch = outputs
      outputs = []
      for output in batch {
        switch output {
        case .established(let identity):
          end.isEstablished = true
          emit(.established(end.connection, identity, remote: end.remote))
        case .closed(let error): ending = ending ?? error
        case .roundTrip: break
        default: if !hold.keeps(output) { stream(output) }
        }
      }
    }
  }

  private func stream(_ output: Connection.Output) {
    switch output {
    case .streamOpened(let stream, let name):
      traffic[stream] = simulation.measures.traffic.slot(of: name)
      emit(.streamOpened(ref(stream), name))
    case .streamAccepted(let stream, let name):
      traffic[stream] = simulation.measures.traffic.slot(of: name)
      emit(.streamAccepted(ref(stream), name))
    case .message(let stream, let bytes): emit(.message(ref(stream), bytes))
    case .streamFinished(let stream): emit(.streamFinished(ref(stream)))
    case .streamFailed(let stream, let error):
      blocked.remove(stream)
      traffic[stream] = nil
      emit(.streamEnded(ref(stream), error))
    case .streamClosed(let stream):
      blocked.remove(stream)
      traffic[stream] = nil
      emit(.streamEnded(ref(stream), nil))
    case .writable(let stream): if blocked.remove(stream) != nil { emit(.writable(ref(stream))) }
    case .data, .established, .closed, .roundTrip: break
    }
  }

  private func over(_ error: ChannelError) {
    guard !isOver else { return }
    isOver = true
    emit(end.isEstablished ? .closed(end.connection, error) : .failed(end.connection, error))
    simulation.closeSocket(end, tells: true)
  }

  private func emit(_ input: HostCore.Input) { simulation.post(end.node, .host(input)) }
  private func ref(_ id: StreamID) -> StreamRef { StreamRef(connection: end.connection, stream: id) }

  /// What a socket takes before it is full.
  private static let socketBytes = 256 << 10
}
