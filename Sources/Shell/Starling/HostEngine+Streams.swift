import EventLoop
import HostCore
import Identity
import SecureChannel
import Swarm
import Wire

extension HostEngine {
  // MARK: Streams

  func openStream(to peer: PeerID, _ names: [ProtocolID]) async throws -> ApplicationStream {
    do {
      return try await swarm.openStream { token in
        core.execute { [self] machine, now, outputs in
          if isClosing { return outputs.append(.applicationRefused(token: token, .notConnected)) }
          machine.handle(.command(.openApplicationStream(token: token, peer, names)), now: now, into: &outputs)
        }
      }
    } catch {
      throw isClosing ? HostError(.closed, "the host is closed", cause: error) : HostError.wrap(error)
    }
  }

  func handle(_ name: ProtocolID, _ handler: @escaping StreamHandler) async {
    lock.withLock { streamHandlers[name] = handler }
    await announce(name, .init(framing: .raw, isApplication: true))
  }

  func unhandle(_ name: ProtocolID) async {
    _ = lock.withLock { streamHandlers.removeValue(forKey: name) }
    _ = try? await run { machine, now, outputs in
      self.requestHandlers[name] = nil
      machine.handle(.command(.serve(name, nil)), now: now, into: &outputs)
    }
    await settled()
  }

  private func announce(_ name: ProtocolID, _ entry: ProtocolTable.Entry) async {
    _ = try? await run { machine, now, outputs in
      if machine.table[name] != entry { machine.handle(.command(.serve(name, entry)), now: now, into: &outputs) }
    }
    await settled()
  }

  /// Waits until the links' threads know what the core has decided so far: what a turn of the core leads to is performed before the next.
  private func settled() async {
    _ = try? await run { _, _, _ in }
    await swarm.settled()
  }

  /// A peer opened a stream; on a shard's thread.
  func opened(_ stream: ApplicationStream) {
    let handler: StreamHandler? = lock.withLock {
      guard let handler = streamHandlers[stream.protocolID], runningHandlers < configuration.handlersMaximum else { return nil }
      runningHandlers += 1
      return handler
    }
    guard let handler else { return stream.reset() }
    Task {
      let wrapped = PeerStream(stream)
      do {
        try await handler(wrapped)
        wrapped.finish()
      } catch {
        wrapped.reset()
      }
      lock.withLock { runningHandlers -= 1 }
    }
  }

  // MARK: Requests

  func request(_ peer: PeerID, _ name: ProtocolID, _ payload: [UInt8], _ timeout: Duration) async throws -> [UInt8] {
    do {
      return try await withCheckedThrowingContinuation { continuation in
        let isAccepted = core.execute { [self] machine, now, outputs in
          if isClosing { return continuation.resume(throwing: HostError(.closed, "the host is closed")) }
          let id = RequestID(rawValue: nextRequest)
          nextRequest += 1
          requests[id] = continuation
          machine.handle(.command(.request(id, peer, name, payload, timeout: .exactly(timeout))), now: now, into: &outputs)
        }
        if !isAccepted { continuation.resume(throwing: HostError(.closed, "the host is closed")) }
      }
    } catch {
      throw HostError.wrap(error)
    }
  }

  func finish(_ id: RequestID, _ result: Result<[UInt8], RequestError>) {
    requests.removeValue(forKey: id)?.resume(with: result.mapError { $0 as any Error })
  }

  func serve(_ name: ProtocolID, _ maximumBytes: Int, _ handler: @escaping RequestHandler) async {
    _ = try? await run { _, _, _ in self.requestHandlers[name] = handler }
    await announce(name, .init(framing: .lengthPrefixed(maximumBytes: maximumBytes)))
  }

  /// A peer asks; on the core's thread.
  func answer(_ request: InboundRequest) {
    guard let handler = requestHandlers[request.protocolID], runningAnswers < configuration.answersMaximum else {
      return post(.decline(request.stream))
    }
    runningAnswers += 1
    Task {
      let answer = try? await handler(request.peer, request.payload)
      core.execute { [self] machine, now, outputs in
        runningAnswers -= 1
        machine.handle(.command(answer.map { .respond(request.stream, $0) } ?? .decline(request.stream)), now: now, into: &outputs)
      }
    }
  }
}
