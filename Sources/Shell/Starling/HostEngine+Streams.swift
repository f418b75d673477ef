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
      if error is CancellationError { throw error }
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

  private func announce(_ name: ProtocolID, _ entry: ProtocolTable.Entry, _ rate: RateLimits.Rate? = nil) async {
    _ = try? await run { machine, now, outputs in
      machine.handle(.command(.serve(name, entry, rate: rate)), now: now, into: &outputs)
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
      guard let handler = streamHandlers[stream.protocolID] else { return nil }
      guard runningHandlers < configuration.handlersMaximum else {
        refusedStreams += 1
        return nil
      }
      runningHandlers += 1
      return handler
    }
    guard let handler else { return stream.reset(.resourceLimit) }
    spawn { [self] in
      let wrapped = PeerStream(stream)
      do {
        try await handler(wrapped)
        wrapped.finish()
      } catch {
        wrapped.reset(ResetCode(thrown: error))
        tellFailure(of: wrapped.protocolID, for: wrapped.peer, error)
      }
      lock.withLock { runningHandlers -= 1 }
    }
  }

  // MARK: Requests

  func request(_ peer: PeerID, _ name: ProtocolID, _ payload: [UInt8], _ timeout: Duration) async throws -> [UInt8] {
    let id = RequestID(rawValue: nextNumber())
    do {
      return try await wait { [self] continuation, machine, now, outputs in
        requests[id] = continuation
        let request = HostCore.Command.request(id, peer, name, payload, timeout: .exactly(timeout), isApplications: true)
        machine.handle(.command(request), now: now, into: &outputs)
      } onCancel: { [self] machine, now, outputs in
        guard let waiting = requests.removeValue(forKey: id) else { return }
        machine.handle(.command(.cancelRequest(id)), now: now, into: &outputs)
        waiting.resume(throwing: CancellationError())
      }
    } catch {
      throw HostError.wrap(error)
    }
  }

  func finish(_ id: RequestID, _ result: Result<[UInt8], RequestError>) {
    requests.removeValue(forKey: id)?.resume(with: result.mapError { $0 as any Error })
  }

  func serve(_ name: ProtocolID, _ maximumBytes: Int, _ rate: RateLimits.Rate, _ handler: @escaping RequestHandler) async {
    _ = try? await run { _, _, _ in self.requestHandlers[name] = (maximumBytes, handler) }
    await announce(name, .init(framing: .lengthPrefixed(maximumBytes: maximumBytes)), rate)
  }

  /// A peer asks; on the core's thread.
  func answer(_ request: InboundRequest) {
    guard let handler = requestHandlers[request.protocolID], runningAnswers < configuration.answersMaximum else {
      return post(.decline(request.stream, code: .resourceLimit))
    }
    runningAnswers += 1
    spawn { [self] in
      let command: HostCore.Command
      do {
        let answer = try await handler.run(request.peer, request.payload)
        if let answer, answer.count > handler.maximumBytes {
          throw HostError(.answerTooLarge, "an answer of \(answer.count) bytes, where \(handler.maximumBytes) are allowed")
        }
        command = answer.map { .respond(request.stream, $0) } ?? .decline(request.stream, code: .declined)
      } catch {
        tellFailure(of: request.protocolID, for: request.peer, error)
        command = .decline(request.stream, code: ResetCode(thrown: error))
      }
      core.execute { [self] machine, now, outputs in
        runningAnswers -= 1
        machine.handle(.command(command), now: now, into: &outputs)
      }
    }
  }

  /// An answer did not reach its peer. A peer that has it may reset the stream without a reason.
  func noteAnswer(to peer: PeerID, _ name: ProtocolID, _ error: ChannelError) {
    if case .streamReset(.unspecified) = error { return }
    guard requestHandlers[name] != nil else { return }
    tell(.handlerFailed(peer, name, HostError(error)))
  }
}

extension ResetCode {
  /// What a peer is told when its handler throws.
  init(thrown error: any Error) {
    switch (error as? HostError)?.code {
    case HostError.Code.tryLater: self = .resourceLimit
    case HostError.Code.declined: self = .declined
    case HostError.Code.badRequest: self = .protocolViolation
    case HostError.Code.answerTooLarge: self = .answerTooLarge
    default: self = error is CancellationError ? .unspecified : .handlerFailed
    }
  }
}
