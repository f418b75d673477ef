import HostCore
import Identity
import Peering
import SecureChannel
import Wire

/// A unit of a session. Streams are named as the receiver names them.
enum Frame {
  /// The dialler's first flight.
  case hello
  /// The listener's answer, which proves who it is.
  case proof
  /// The dialler's proof.
  case confirm
  /// In place of the proof: why the listener takes no link now.
  case turnedAway(String)
  case open(StreamID, [ProtocolID])
  case accept(StreamID, ProtocolID)
  case refuse(StreamID)
  case message(StreamID, [UInt8])
  case finish(StreamID)
  case reset(StreamID, ResetCode)
  case goAway

  /// What it takes on the wire with Yamux round it, estimated; Noise and TCP take ``packetBytes`` once for all that is sent together.
  var wireBytes: Int {
    switch self {
    case .hello: 40
    case .proof: 230
    case .confirm: 190
    case .turnedAway(let reason): 48 + reason.utf8.count
    case .open(_, let names): 12 + names.reduce(0) { $0 + $1.name.utf8.count + 2 }
    case .accept(_, let name): 22 + name.name.utf8.count
    case .refuse: 12
    case .message(_, let bytes): 17 + bytes.count + bytes.count / 1_400 * 50
    case .finish, .reset, .goAway: 12
    }
  }

  static let packetBytes = 68
}

/// An end of a link that carries whole messages: what `Connection` does to streams, without its bytes.
///
/// Set-up takes the real number of round trips, identities are the nodes' own, streams keep the order and the limits of real ones.
final class SessionEndpoint: LinkEndpoint {
  private enum State { case greeting, established, closed }

  private struct Stream {
    let id: StreamID
    var isFinishedHere = false
    var isFinishedThere = false
    var framing: Framing
    /// Where its bytes are counted.
    var traffic: Traffic.Slot
    var bytesSent = 0
    /// Of them read at the other end, when this end last looked there.
    var bytesTaken = 0
    /// Of the other end's bytes.
    var bytesRead = 0
    var isBlocked = false
  }

  private unowned let simulation: Simulation
  private let end: LinkEnd
  private let limits: Connection.Configuration
  private var table: ProtocolTable
  private var state = State.greeting
  private var started = Instant.zero
  /// Few at a time, so looking through them is faster than a table.
  private var streams: [Stream] = []
  private var inbound = 0
  /// What happened on streams before the core admitted the link.
  private var hold = AdmissionHold<HostCore.Input>()
  /// What is not read because the hold is full.
  private var unread: [Packet] = []
  private var goodbye = false

  init(simulation: Simulation, end: LinkEnd, limits: Connection.Configuration, table: ProtocolTable) {
    self.simulation = simulation
    self.end = end
    self.limits = limits
    self.table = table
  }

  var streamCount: Int { streams.count }

  // MARK: Set-up

  func begin(_ now: Instant) {
    started = now
    if end.side == .dialler { transmit(.hello, delay: simulation.scenario.handshakeCost) }
    simulation.scheduleTimer(end, at: now + limits.handshakeTimeout)
  }

  func timer(_ now: Instant) { if state == .greeting { fail(.handshakeTimeout, now) } }

  func protocolsChanged(_ table: ProtocolTable) { self.table = table }

  private func establish(_ now: Instant) {
    guard let other = end.other else { return }
    state = .established
    end.isEstablished = true
    let key = simulation.nodes[other.node].key
    let identity = RemoteIdentity(peer: key.peerID, publicKey: key.publicKey, muxer: "/yamux/1.0.0", setUpTime: now - started)
    emit(.established(end.connection, identity, remote: end.remote))
  }

  private func fail(_ error: ChannelError, _ now: Instant) {
    state = .closed
    simulation.closeSocket(end, tells: true)
    emit(.failed(end.connection, error))
  }

  // MARK: What arrives

  func receive(_ packet: Packet, _ now: Instant) {
    guard state != .closed else { return }
    if hold.isFull() { return unread.append(packet) }
    switch packet {
    case .frames(let frames): for frame in frames where state != .closed { receive(frame, now) }
    case .bytes: preconditionFailure("bytes on a session link")
    case .end: over(goodbye ? .remoteGoAway(0) : .endOfFile)
    case .reset: over(.transport(.reset))
    }
  }

  private func over(_ error: ChannelError) {
    let wasEstablished = state == .established
    // The first thing that a dialler hears establishes the link, or ends it.
    let error = end.side == .dialler && state == .greeting ? TurnAway.silence : error
    state = .closed
    streams = []
    simulation.closeSocket(end, tells: false)
    emit(wasEstablished ? .closed(end.connection, error) : .failed(end.connection, error))
  }

  private func receive(_ frame: Frame, _ now: Instant) {
    switch frame {
    case .hello: transmit(.proof, delay: simulation.scenario.handshakeCost)
    case .proof:
      let actual = simulation.nodes[end.link.target].key.peerID
      if let expected = end.link.expecting, expected != actual { return fail(.wrongPeer(expected: expected, actual: actual), now) }
      transmit(.confirm, delay: simulation.scenario.handshakeCost)
      establish(now)
    case .confirm: establish(now)
    case .turnedAway(let reason): fail(TurnAway.error(reason), now)
    case .open(let id, let names): opened(id, names)
    case .accept(let id, let name):
      guard let place = place(id) else { return }
      streams[place].traffic = simulation.measures.traffic.slot(of: name)
      stream(id, .streamAccepted(ref(id), name))
    case .refuse(let id):
      if remove(id) {
        stream(id, .streamEnded(ref(id), .negotiationFailed("the remote speaks none of the protocols")))
      }
    case .message(let id, let bytes): message(id, bytes, wireBytes: frame.wireBytes)
    case .finish(let id):
      guard let place = place(id) else { return }
      let isFinishedHere = streams[place].isFinishedHere
      streams[place].isFinishedThere = true
      stream(id, .streamFinished(ref(id)))
      if isFinishedHere { remove(id, tells: true) }
    case .reset(let id, let code): if remove(id) { stream(id, .streamEnded(ref(id), .streamReset(code))) }
    case .goAway: goodbye = true
    }
  }

  private func opened(_ id: StreamID, _ names: [ProtocolID]) {
    guard let name = names.first(where: { table[$0] != nil }), let entry = table[name] else { return transmit(.refuse(flip(id))) }
    guard inbound < limits.inboundStreamsMaximum + reserve(entry) else { return transmit(.reset(flip(id), .resourceLimit)) }
    streams.append(Stream(id: id, framing: entry.framing, traffic: simulation.measures.traffic.slot(of: name)))
    inbound += 1
    transmit(.accept(flip(id), name))
    stream(id, .streamOpened(ref(id), name), opening: name)
  }

  private func reserve(_ entry: ProtocolTable.Entry?) -> Int { entry?.isVital == true ? limits.vitalStreamsReserve : 0 }

  private func message(_ id: StreamID, _ bytes: [UInt8], wireBytes: Int) {
    guard let place = place(id), !streams[place].isFinishedThere else { return }
    streams[place].bytesRead += wireBytes
    if case .lengthPrefixed(let maximum) = streams[place].framing, bytes.count > maximum {
      remove(id)
      transmit(.reset(flip(id), .protocolViolation))
      return stream(id, .streamEnded(ref(id), .messageTooLarge(bytes: UInt64(bytes.count), maximum: maximum)))
    }
    stream(id, .message(ref(id), bytes), bytes: bytes.count)
  }

  func delivered(_ now: Instant) {
    for id in streams.filter(\.isBlocked).map(\.id) {
      guard let place = place(id), outstanding(place) < Self.window + limits.lowWatermark else { continue }
      streams[place].isBlocked = false
      stream(id, .writable(ref(id)))
    }
    end.other?.isAwaited = streams.contains(where: \.isBlocked)
  }

  /// Bytes sent on a stream and not yet read at the other end.
  private func outstanding(_ place: Int) -> Int {
    if let far = end.other?.endpoint as? SessionEndpoint, let theirs = far.place(flip(streams[place].id)) {
      streams[place].bytesTaken = far.streams[theirs].bytesRead
    }
    return streams[place].bytesSent - streams[place].bytesTaken
  }

  // MARK: What the core wants

  func admit(_ now: Instant) {
    guard !end.isAdmitted else { return }
    end.isAdmitted = true
    for input in hold.admit() { emit(input) }
    let waiting = unread
    unread = []
    for packet in waiting { simulation.read(end, packet) }
  }

  func open(_ id: StreamID, _ names: [ProtocolID], _ now: Instant) {
    guard state == .established else { return }
    let outbound = streams.count - inbound
    guard outbound < limits.outboundStreamsMaximum + reserve(table[names[0]]) else {
      return stream(id, .streamEnded(ref(id), .limit("outbound streams")))
    }
    precondition(place(id) == nil, "stream \(id) is already open")
    streams.append(Stream(id: id, framing: table[names[0]]?.framing ?? .raw, traffic: simulation.measures.traffic.slot(of: names[0])))
    transmit(.open(flip(id), names))
  }

  func send(_ id: StreamID, _ bytes: [UInt8], _ now: Instant) {
    guard state == .established, let place = place(id), !streams[place].isFinishedHere else { return }
    if case .lengthPrefixed(let maximum) = streams[place].framing, bytes.count > maximum {
      return abort(id, .limit("a message of \(bytes.count) bytes to send, where \(maximum) are allowed"))
    }
    let frame = Frame.message(flip(id), bytes)
    simulation.measures.traffic.sent(streams[place].traffic, bytes: bytes.count)
    streams[place].bytesSent += frame.wireBytes
    // As long as it is within the window whatever the other end has read, there is nothing to look up.
    guard streams[place].bytesSent - streams[place].bytesTaken > Self.window else { return transmit(frame) }
    let queued = outstanding(place) - Self.window
    if queued > limits.sendBufferMaximum { return abort(id, .limit("bytes queued for sending: \(limits.sendBufferMaximum)")) }
    transmit(frame)
    if queued > limits.highWatermark && !streams[place].isBlocked {
      streams[place].isBlocked = true
      end.other?.isAwaited = true
      stream(id, .blocked(ref(id)))
    }
  }

  private func abort(_ id: StreamID, _ error: ChannelError) {
    remove(id)
    transmit(.reset(flip(id), .unspecified))
    stream(id, .streamEnded(ref(id), error))
  }

  func finish(_ id: StreamID, _ now: Instant) {
    guard state == .established, let place = place(id), !streams[place].isFinishedHere else { return }
    streams[place].isFinishedHere = true
    transmit(.finish(flip(id)))
    if streams[place].isFinishedThere { remove(id, tells: true) }
  }

  func reset(_ id: StreamID, _ code: ResetCode, _ now: Instant) {
    if state == .established, remove(id) { transmit(.reset(flip(id), code)) }
  }

  func close(_ reason: Reason, _ now: Instant) {
    guard state != .closed else { return }
    let error = ChannelError.closedLocally(reason.description)
    let wasEstablished = state == .established
    if wasEstablished { transmit(.goAway) } else if end.side == .listener { transmit(.turnedAway(reason.code.description)) }
    state = .closed
    streams = []
    unread = []
    simulation.closeSocket(end, tells: true)
    emit(wasEstablished ? .closed(end.connection, error) : .failed(end.connection, error))
  }

  // MARK: Parts

  @discardableResult
  private func remove(_ id: StreamID, tells: Bool = false) -> Bool {
    guard let place = place(id) else { return false }
    streams.remove(at: place)
    if !id.isOutbound { inbound -= 1 }
    if tells { stream(id, .streamEnded(ref(id), nil)) }
    return true
  }

  private func place(_ id: StreamID) -> Int? { streams.firstIndex { $0.id == id } }

  private func transmit(_ frame: Frame) { simulation.send(end, frame) }

  private func transmit(_ frame: Frame, delay: Duration) {
    simulation.transmit(end, .frames([frame]), bytes: frame.wireBytes + Frame.packetBytes, delay: delay)
  }

  private func emit(_ input: HostCore.Input) { simulation.post(end.node, .host(input)) }
  private func stream(_ id: StreamID, _ input: HostCore.Input, opening name: ProtocolID? = nil, bytes: Int = 0) {
    if !hold.keeps(input, on: id, opening: name, bytes: bytes) { emit(input) }
  }
  private func ref(_ id: StreamID) -> StreamRef { StreamRef(connection: end.connection, stream: id) }
  private func flip(_ id: StreamID) -> StreamID { StreamID(rawValue: id.rawValue ^ 0x8000_0000) }

  /// What a stream carries without the reader's grant: Yamux's first window.
  private static let window = 256 << 10
}
