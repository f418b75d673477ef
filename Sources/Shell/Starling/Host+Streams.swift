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
  ///   `closed`.
  public func openStream(to peer: PeerID, protocols: [ProtocolID]) async throws -> PeerStream {
    precondition(!protocols.isEmpty, "a stream needs a protocol to propose")
    return PeerStream(try await engine.openStream(to: peer, protocols))
  }

  /// Serves a protocol: each stream that a peer opens gets a task that runs `handler`. When it returns, this side of the stream is
  /// finished; when it throws, the stream is reset. A second handler for a protocol replaces the first for new streams.
  ///
  /// Returns when peers may open streams. At most ``Configuration/handlersMaximum`` handlers run at a time; further streams are reset.
  public func handle(_ protocolID: ProtocolID, _ handler: @escaping @Sendable (PeerStream) async throws -> Void) async {
    await engine.handle(protocolID, handler)
  }

  /// Serves a protocol no longer; handlers that run go on.
  public func unhandle(_ protocolID: ProtocolID) async { await engine.unhandle(protocolID) }

  /// Asks a peer what it says of itself now, over a stream of its own.
  ///
  /// - Throws: ``HostError`` as ``openStream(to:protocols:)`` does, or `badAnswer`.
  public func identify(_ peer: PeerID) async throws -> IdentifyInfo {
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
  /// - Returns: `count` durations in the order of the pings.
  /// - Throws: ``HostError`` as ``openStream(to:protocols:)`` does, or `badAnswer`.
  public func ping(_ peer: PeerID, count: Int = 1) async throws -> [Duration] {
    let stream = try await openStream(to: peer, protocols: [HostProtocols.ping])
    var trips: [Duration] = []
    for _ in 0..<count {
      let question = SystemCrypto.shared.randomBytes(32)
      let start = Platform.now
      try await stream.write(question)
      guard try await stream.readExactly(question.count) == question else { throw HostError(.badAnswer, "the ping came back changed") }
      trips.append(Platform.now - start)
    }
    stream.finish()
    return trips
  }

  // MARK: Requests

  /// Sends one message and waits for one message: a stream of its own, each with its length in front.
  ///
  /// - Parameters:
  ///   - peer: whom to ask; connected.
  ///   - protocolID: what to ask for. A protocol that this host serves itself is framed as it serves it, any other with at most 10 MiB.
  ///   - payload: the request.
  ///   - timeout: from now to the whole answer; default 10 s.
  /// - Throws: ``HostError`` `notConnected`, `protocolNotSupported`, `limitReached`, `timedOut`, `noAnswer`, `streamReset` (the peer
  ///   declined), `tryLater` (it has too much to do, or was asked too often), `linkLost`, `closed`.
  public func request(
    _ peer: PeerID, _ protocolID: ProtocolID, _ payload: [UInt8], timeout: Duration = .seconds(10)
  ) async throws -> [UInt8] {
    try await engine.request(peer, protocolID, payload, timeout)
  }

  /// Answers requests of a protocol; each gets a task that runs `handler`. An answer of `nil`, or an error, declines: the stream is
  /// reset.
  ///
  /// - Parameters:
  ///   - protocolID: what to answer.
  ///   - maximumBytes: the most that a request or an answer may have; default 1 MiB.
  ///   - handler: gives the answer to a proven peer's request.
  public func serve(
    _ protocolID: ProtocolID, maximumBytes: Int = 1 << 20, _ handler: @escaping @Sendable (PeerID, [UInt8]) async throws -> [UInt8]?
  ) async {
    await engine.serve(protocolID, maximumBytes, handler)
  }
}
