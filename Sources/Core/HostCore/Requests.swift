import Identity
import SecureChannel
import Wire

/// Requests and answers over streams of their own: one message there, one message back, both sides finish.
///
/// Outbound requests end exactly once, with an answer or an error; inbound ones wait in a bounded number for this side's answer.
struct Requests {
  /// The limits.
  struct Configuration: Sendable {
    /// Requests to one peer that may wait for an answer at a time.
    var outboundPerLinkMaximum = 64
    /// A peer's requests that may wait for this side's answer at a time; a further one's stream is reset.
    var inboundPerLinkMaximum = 64
    /// How long a peer may take to send its request, and this side to answer it.
    var inboundTimeout = Duration.seconds(30)
    /// How long a peer may take to read its answer: as long as it waits for the longest one.
    var answerTimeout = Duration.seconds(60)
  }

  private struct Outbound {
    let id: RequestID
    let collectsAll: Bool
    let isApplications: Bool
    var collected: [UInt8] = []
    var messages = 0
  }

  private enum Inbound {
    case awaitingRequest(ProtocolID)
    /// The payload is with whoever answers; its bytes are reserved until then.
    case awaitingAnswer(ProtocolID, bytes: Int, of: MemoryScope)
    /// The answer is on its way; its bytes are reserved until the stream ends.
    case answering(ProtocolID, bytes: Int, of: MemoryScope)

    var protocolID: ProtocolID {
      switch self {
      case .awaitingRequest(let name), .awaitingAnswer(let name, _, _), .answering(let name, _, _): name
      }
    }
  }

  /// A request of this side that waits for its turn, so that the peer's limits hold.
  private struct Parked {
    let stream: StreamRef
    let protocolID: ProtocolID
    let payload: [UInt8]?
    let isPaced: Bool

    var bytes: Int { payload?.count ?? 0 }
  }

  private let configuration: Configuration
  private let limits: RateLimits
  private var rates: [ConnectionID: OutboundRates] = [:]
  private var parked: [ConnectionID: [Parked]] = [:]
  /// When the first parked request of a link may go.
  private var releases = DeadlineQueue<ConnectionID>()
  private var outbound: [StreamRef: Outbound] = [:]
  private var streams: [RequestID: StreamRef] = [:]
  private var inbound: [StreamRef: Inbound] = [:]
  private var outboundCount: [ConnectionID: Int] = [:]
  private var inboundCount: [ConnectionID: Int] = [:]
  /// Bytes of answers on their way.
  private var unsent: [ConnectionID: Int] = [:]
  private var deadlines = DeadlineQueue<StreamRef>()

  init(configuration: Configuration, rates: RateLimits) {
    self.configuration = configuration
    limits = rates
  }

  var nextDeadline: Instant? {
    guard let release = releases.next else { return deadlines.next }
    return min(release, deadlines.next ?? release)
  }
  var inFlight: Int { outbound.count }

  /// A link to a peer is proven, of which this side may ask so much.
  mutating func linkOpened(_ connection: ConnectionID, _ rates: OutboundRates) { self.rates[connection] = rates }

  /// Requests of this side whose streams are not opened yet.
  func parkedCount(_ connection: ConnectionID) -> Int { parked[connection]?.count ?? 0 }

  /// Whether a peer still waits for the answer on a stream.
  func awaitsAnswer(_ stream: StreamRef) -> Bool { if case .awaitingAnswer = inbound[stream] { true } else { false } }

  /// What the answer on a stream is to, which is on its way; `nil` when there is none.
  func answering(_ stream: StreamRef) -> ProtocolID? { if case .answering(let name, _, _) = inbound[stream] { name } else { nil } }

  /// The protocol of a peer's request on a stream.
  func protocolID(_ stream: StreamRef) -> ProtocolID? { inbound[stream]?.protocolID }

  /// The stream of a request of this side that waits for its answer.
  func stream(of id: RequestID) -> StreamRef? { streams[id] }

  /// Whether an application of this side asked on a stream.
  func isApplications(_ stream: StreamRef) -> Bool { outbound[stream]?.isApplications ?? false }

  /// Bytes of answers that have not left yet.
  func unsentBytes(_ connection: ConnectionID) -> Int { unsent[connection] ?? 0 }

  /// Whether another request may be sent on the link.
  func hasRoom(_ connection: ConnectionID) -> Bool { outboundCount[connection, default: 0] < configuration.outboundPerLinkMaximum }

  /// Sends a request on a stream that has not been used. Without a payload the remote speaks first, and everything up
  /// to its end is the answer, as identify does it. Where the peer was asked as often as it allows, the request waits here if it is paced.
  mutating func start(
    _ id: RequestID, on stream: StreamRef, _ protocolID: ProtocolID, _ payload: [UInt8]?, isApplications: Bool, isPaced: Bool,
    deadline: Instant, now: Instant, into outputs: inout [HostCore.Output]
  ) {
    outbound[stream] = Outbound(id: id, collectsAll: payload == nil, isApplications: isApplications)
    streams[id] = stream
    outboundCount[stream.connection, default: 0] += 1
    deadlines.set(stream, deadline)
    let connection = stream.connection
    let request = Parked(stream: stream, protocolID: protocolID, payload: payload, isPaced: isPaced)
    if !isPaced { return send(request, now, &outputs) }
    let own = rates[connection] ?? OutboundRates(limits, now: now)
    rates[connection] = own
    let ready = own.ready(protocolID, bytes: request.bytes, now: now)
    if ready <= now && parked[connection] == nil {
      send(request, now, &outputs)
    } else {
      parked[connection, default: []].append(request)
      if releases[connection] == nil { releases.set(connection, max(ready, now)) }
    }
  }

  private mutating func send(_ request: Parked, _ now: Instant, _ outputs: inout [HostCore.Output]) {
    if request.isPaced { rates[request.stream.connection]?.take(request.protocolID, bytes: request.bytes, now: now) }
    outputs.append(.open(request.stream, [request.protocolID]))
    if let payload = request.payload { outputs.append(.send(request.stream, payload)) }
    outputs.append(.finish(request.stream))
  }

  /// Sends the requests whose turn has come, in the order in which they were made.
  mutating func release(_ now: Instant, into outputs: inout [HostCore.Output]) {
    while let connection = releases.popExpired(now) {
      var waiting = parked.removeValue(forKey: connection) ?? []
      var sent = 0
      while sent < waiting.count, rates[connection]?.ready(waiting[sent].protocolID, bytes: waiting[sent].bytes, now: now) ?? now <= now {
        send(waiting[sent], now, &outputs)
        sent += 1
      }
      waiting.removeFirst(sent)
      guard let next = waiting.first, let rates = rates[connection] else { continue }
      parked[connection] = waiting
      releases.set(connection, rates.ready(next.protocolID, bytes: next.bytes, now: now))
    }
  }

  /// A peer opened a request stream. Returns false when it was refused for being one too many.
  mutating func opened(_ stream: StreamRef, _ protocolID: ProtocolID, now: Instant, into outputs: inout [HostCore.Output]) -> Bool {
    guard inboundCount[stream.connection, default: 0] < configuration.inboundPerLinkMaximum else {
      outputs.append(.reset(stream, code: .resourceLimit))
      return false
    }
    inbound[stream] = .awaitingRequest(protocolID)
    inboundCount[stream.connection, default: 0] += 1
    deadlines.set(stream, now + configuration.inboundTimeout)
    return true
  }

  /// What a message on one of these streams was; `nil` when the stream is not one of them.
  enum Received {
    case request(ProtocolID, [UInt8])
    case response(RequestID, [UInt8])
    case nothing
  }

  mutating func message(
    _ stream: StreamRef, _ bytes: [UInt8], memory: MemoryScope, now: Instant, into outputs: inout [HostCore.Output]
  ) -> Received? {
    if var request = outbound[stream] {
      guard request.collectsAll else {
        endOutbound(stream)
        // The answer is here; whatever else the remote may send is of no interest.
        outputs.append(.reset(stream))
        return .response(request.id, bytes)
      }
      request.messages += 1
      if request.messages <= IdentifyInfo.maximumMessages {
        // Protobuf merges messages that stand end to end.
        request.collected.append(contentsOf: bytes)
      }
      outbound[stream] = request
      return .nothing
    }
    switch inbound[stream] {
    case .awaitingRequest(let protocolID):
      guard memory.reserve(bytes.count) else {
        endInbound(stream)
        outputs.append(.reset(stream, code: .resourceLimit))
        return .nothing
      }
      inbound[stream] = .awaitingAnswer(protocolID, bytes: bytes.count, of: memory)
      deadlines.set(stream, now + configuration.inboundTimeout)
      return .request(protocolID, bytes)
    case .awaitingAnswer, .answering:
      // A second request on the same stream breaks the protocol.
      endInbound(stream)
      outputs.append(.reset(stream, code: .protocolViolation))
      return .nothing
    case nil: return nil
    }
  }

  /// Gives up a request of this side; its name, unless it has ended before.
  mutating func cancel(_ stream: StreamRef, into outputs: inout [HostCore.Output]) -> RequestID? {
    guard let request = outbound[stream] else { return nil }
    endOutbound(stream)
    outputs.append(.reset(stream))
    return request.id
  }

  /// The remote finished or the stream ended; returns the request that this ends, with its result.
  mutating func ended(_ stream: StreamRef, _ error: ChannelError?) -> (RequestID, Result<[UInt8], RequestError>)? {
    if let request = outbound[stream] {
      endOutbound(stream)
      if request.collectsAll && request.messages > 0 && error == nil { return (request.id, .success(request.collected)) }
      return (request.id, .failure(error.map { .failed($0) } ?? .noAnswer))
    }
    if inbound[stream] != nil { endInbound(stream) }
    return nil
  }

  /// The remote half-closed. For an inbound request that is what is expected; for an outbound one it is the end.
  mutating func finished(_ stream: StreamRef) -> (RequestID, Result<[UInt8], RequestError>)? {
    outbound[stream] != nil ? ended(stream, nil) : nil
  }

  /// Answers a peer's request; `nil` declines it with a code. Nothing happens when nobody waits on the stream any more. An answer counts as what
  /// the peer makes this side keep until it has left; one that finds no room is declined.
  mutating func respond(
    _ stream: StreamRef, _ payload: [UInt8]?, code: ResetCode = .unspecified, now: Instant, into outputs: inout [HostCore.Output]
  ) {
    guard case .awaitingAnswer(let name, let held, let memory) = inbound[stream] else { return }
    guard let payload else {
      endInbound(stream)
      return outputs.append(.reset(stream, code: code))
    }
    memory.release(held)
    guard memory.reserve(payload.count) else {
      inbound[stream] = .awaitingAnswer(name, bytes: 0, of: memory)
      endInbound(stream)
      return outputs.append(.reset(stream, code: .resourceLimit))
    }
    // It counts in bytes from here on, no more as one that waits.
    Self.decrement(&inboundCount, stream.connection)
    inbound[stream] = .answering(name, bytes: payload.count, of: memory)
    unsent[stream.connection, default: 0] += payload.count
    deadlines.set(stream, now + configuration.answerTimeout)
    outputs.append(.send(stream, payload))
    outputs.append(.finish(stream))
  }

  /// A link ended: every request on it ends, in the order of their streams. `keepsInbound`: the peer's go on, for the link only drains.
  mutating func linkClosed(
    _ connection: ConnectionID, _ error: ChannelError, keepsInbound: Bool = false
  ) -> [(RequestID, Result<[UInt8], RequestError>)] {
    rates[connection] = nil
    guard outboundCount[connection] != nil || !inbound.isEmpty else { return [] }
    if !keepsInbound { for stream in inbound.keys.filter({ $0.connection == connection }) { endInbound(stream) } }
    return outbound.keys.filter { $0.connection == connection }.sorted().compactMap { ended($0, error) }
  }

  /// Ends what has waited too long: this side's own requests with their links, and the links whose answers were not read.
  mutating func expire(
    _ now: Instant, into outputs: inout [HostCore.Output]
  ) -> (late: [(RequestID, ConnectionID)], unread: [(ConnectionID, ProtocolID)]) {
    var late: [(RequestID, ConnectionID)] = []
    var unread: [(ConnectionID, ProtocolID)] = []
    while let stream = deadlines.popExpired(now) {
      if let request = outbound[stream] {
        outputs.append(.reset(stream))
        endOutbound(stream)
        late.append((request.id, stream.connection))
      } else if let name = answering(stream) {
        // It holds memory that others need.
        outputs.append(.reset(stream, code: .resourceLimit))
        endInbound(stream)
        unread.append((stream.connection, name))
      } else {
        outputs.append(.reset(stream))
        endInbound(stream)
      }
    }
    return (late, unread)
  }

  private mutating func endOutbound(_ stream: StreamRef) {
    if let request = outbound.removeValue(forKey: stream) { streams[request.id] = nil }
    if var waiting = parked[stream.connection] {
      waiting.removeAll { $0.stream == stream }
      parked[stream.connection] = waiting.isEmpty ? nil : waiting
      if waiting.isEmpty { releases.remove(stream.connection) }
    }
    deadlines.remove(stream)
    Self.decrement(&outboundCount, stream.connection)
  }

  private mutating func endInbound(_ stream: StreamRef) {
    guard let state = inbound.removeValue(forKey: stream) else { return }
    switch state {
    case .awaitingRequest: break
    case .awaitingAnswer(_, let bytes, let memory): memory.release(bytes)
    case .answering(_, let bytes, let memory):
      memory.release(bytes)
      let left = unsent[stream.connection, default: 0] - bytes
      unsent[stream.connection] = left > 0 ? left : nil
    }
    deadlines.remove(stream)
    if case .answering = state { return }
    Self.decrement(&inboundCount, stream.connection)
  }

  private static func decrement(_ counts: inout [ConnectionID: Int], _ connection: ConnectionID) {
    let left = counts[connection, default: 0] - 1
    counts[connection] = left > 0 ? left : nil
  }
}
