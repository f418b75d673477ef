import Crypto
import EventLoop
import HostCore
import Identity
import SecureChannel
import Swarm
import Wire

extension Host {
  /// Opens a stream to a connected peer and waits until the peer has agreed to a protocol, one round trip.
  ///
  /// - Parameters:
  ///   - peer: whom to open it to.
  ///   - protocols: what to propose, best first; at least one.
  /// - Throws: ``HostError`` `notConnected`, `protocolNotSupported`, `limitReached`, `tryLater` (the peer has no room for it), `linkLost`,
  ///   `closed`; `CancellationError` at once when the task is cancelled, and the stream is reset.
  public func openStream(to peer: PeerID, protocols: [ProtocolID]) async throws -> PeerStream {
    precondition(!protocols.isEmpty, "a stream needs a protocol to propose")
    return PeerStream(try await engine.openStream(to: peer, protocols))
  }

  /// Serves a protocol: each stream that a peer opens gets a task that runs `handler`. When it returns, this side of the stream is
  /// finished; when it throws, the stream is reset, the program gets ``HostEvent/handlerFailed(_:_:_:)``, and the peer's end throws
  /// `handlerFailed`, or what the handler threw of `tryLater`, `declined` and `badRequest`. A second handler for a protocol replaces the
  /// first for new streams. ``close()`` cancels the tasks.
  ///
  /// Returns when peers may open streams. At most ``Configuration/handlersMaximum`` handlers run at a time; further streams are reset, and
  /// the peer's end throws `tryLater`. A peer may have 256 streams open; how often it opens one is for the handler to judge.
  public func handle(_ protocolID: ProtocolID, _ handler: @escaping @Sendable (PeerStream) async throws -> Void) async {
    await engine.handle(protocolID, handler)
  }

  /// Serves a protocol no longer; handlers that run go on.
  public func unhandle(_ protocolID: ProtocolID) async { await engine.unhandle(protocolID) }

  /// Asks a peer what it says of itself now, over a stream of its own.
  ///
  /// - Throws: ``HostError`` as ``openStream(to:protocols:)`` does, or `noAnswer`, `badAnswer`, `timedOut`.
  public func identify(_ peer: PeerID, timeout: Duration = .seconds(10)) async throws -> IdentifyInfo {
    try await within(timeout) { [self] in try await identifyNow(peer) }
  }

  private func identifyNow(_ peer: PeerID) async throws -> IdentifyInfo {
    let stream = try await openStream(to: peer, protocols: [HostProtocols.identify])
    stream.finish()
    // Peers with much to say divide it over messages, which protobuf merges when they stand end to end.
    let answer = try await stream.readToEnd(maximumBytes: 4 * IdentifyInfo.maximumMessageBytes)
    var merged: [UInt8] = []
    var rest = answer[...]
    while !rest.isEmpty {
      guard case .value(let length, let prefix) = Varint.read(rest.span.bytes), length <= UInt64(rest.count - prefix) else {
        throw HostError(.badAnswer, "an identify message with a wrong length")
      }
      merged.append(contentsOf: rest.dropFirst(prefix).prefix(Int(length)))
      rest = rest.dropFirst(prefix + Int(length))
    }
    if merged.isEmpty { throw HostError(.noAnswer, "the peer says nothing of itself") }
    return try await engine.ask { [merged] machine, _ in
      do throws(ProtobufError) {
        return try IdentifyInfo(encoded: merged.rawSpan, speaks: machine.speaks)
      } catch {
        throw HostError(.badAnswer, "identify: \(error)", cause: error)
      }
    }
  }

  /// Measures round trips with libp2p's ping.
  ///
  /// - Parameters:
  ///   - peer: whom to ping; connected.
  ///   - count: how often, one after the other. Default 1.
  ///   - timeout: for each of them. Default 10 s.
  /// - Returns: `count` durations in the order of the pings.
  /// - Throws: ``HostError`` as ``openStream(to:protocols:)`` does, or `badAnswer`, `timedOut`.
  public func ping(_ peer: PeerID, count: Int = 1, timeout: Duration = .seconds(10)) async throws -> [Duration] {
    let stream = try await openStream(to: peer, protocols: [HostProtocols.ping])
    var trips: [Duration] = []
    for _ in 0..<max(0, count) {
      let question = SystemCrypto.shared.randomBytes(32)
      let start = Platform.now
      try await stream.write(question)
      guard try await within(timeout, { try await stream.readExactly(question.count) }) == question else {
        throw HostError(.badAnswer, "the ping came back changed")
      }
      trips.append(Platform.now - start)
    }
    stream.finish()
    return trips
  }

  // MARK: Requests

  /// Sends one message and waits for one message, over a stream of its own.
  ///
  /// On the wire each message has its length in bytes before it, as an unsigned varint (multiformats/unsigned-varint: seven bits a byte, the
  /// lowest first), and each side finishes the stream behind its message. Peers of any make that keep to it can ask and be asked.
  ///
  /// Requests are sent as they are made: how many a peer takes is its affair, and what is too much for it fails with `tryLater`. At most
  /// 64 to one peer wait for their answers at a time; a further one fails with `limitReached`.
  ///
  /// - Parameters:
  ///   - peer: whom to ask; connected.
  ///   - protocolID: what to ask for. A request or answer has at most as many bytes as this host serves the protocol with if it does,
  ///     otherwise 10 MiB: `swarm.requestFraming` of the configuration.
  ///   - payload: the request.
  ///   - timeout: from now to the whole answer; default 10 s.
  /// - Throws: ``HostError`` `notConnected`, `protocolNotSupported`, `limitReached`, `timedOut`, `noAnswer`, `declined` (the peer does not
  ///   want to), `tryLater` (it has too much to do, or was asked too often), `badRequest` (against its protocol, as one that is too long),
  ///   `handlerFailed` (at its end), `answerTooLarge`, `streamReset` (for no reason that it tells), `linkLost`, `closed`;
  ///   `CancellationError` at once when the task is cancelled, and the stream is reset.
  public func request(
    _ peer: PeerID, _ protocolID: ProtocolID, _ payload: [UInt8], timeout: Duration = .seconds(10)
  ) async throws -> [UInt8] {
    try await engine.request(peer, protocolID, payload, timeout)
  }

  /// Answers requests of a protocol; each gets a task that runs `handler`, which ``close()`` cancels. How messages are framed:
  /// ``request(_:_:_:timeout:)``.
  ///
  /// An answer of `nil` declines. When the handler throws, the program gets ``HostEvent/handlerFailed(_:_:_:)``, and the peer's request fails
  /// with `handlerFailed`, or what the handler threw of `tryLater`, `declined` and `badRequest`. So it is with an answer that is too
  /// long: `answerTooLarge` at both ends.
  ///
  /// What is beyond the rate, beyond 64 requests of one peer that wait for their answers, or beyond ``Configuration/answersMaximum`` is
  /// refused: the peer's request fails with `tryLater`. Nobody is blamed for it; a peer that the program finds importunate can be
  /// reported (``report(_:_:)``) or banned.
  ///
  /// - Parameters:
  ///   - protocolID: what to answer.
  ///   - maximumBytes: the most that a request or an answer may have; default 1 MiB.
  ///   - rate: how often one peer may ask, over all its links. Default 1,000 a second and 2,000 at once. Without regard to
  ///     `core.rates` of the configuration, which hold for the host's own protocols.
  ///   - handler: gives the answer to a proven peer's request.
  public func serve(
    _ protocolID: ProtocolID, maximumBytes: Int = 1 << 20, rate: RateLimits.Rate = .init(perSecond: 1_000, burst: 2_000),
    _ handler: @escaping @Sendable (PeerID, [UInt8]) async throws -> [UInt8]?
  ) async {
    await engine.serve(protocolID, maximumBytes, rate, handler)
  }

  /// Streams, requests and messages of peers that were refused, by what the peer was told. Peers whose link was refused are in
  /// ``HostEvent/linkRefused(_:_:)``.
  public func refusals() async -> [ResetCode: UInt64] {
    var counts = (try? await engine.ask { machine, _ in machine.streamRefusals }) ?? [:]
    counts[.resourceLimit, default: 0] += engine.swarm.memory.refusedStreams + engine.lock.withLock { engine.refusedStreams }
    return counts.filter { $0.value > 0 }
  }
}

/// Runs `body`, which ends when it is cancelled, and cancels it after a time.
private func within<Value: Sendable>(_ limit: Duration, _ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    group.addTask(operation: body)
    group.addTask {
      try await Task.sleep(for: limit)
      throw HostError(.timedOut, "no answer within \(limit.words)")
    }
    defer { group.cancelAll() }
    guard let value = try await group.next() else { throw CancellationError() }
    return value
  }
}
