import Wire

// What the owner does with streams, and the book-keeping of them.
extension Connection {
  /// Opens a stream.
  ///
  /// With one protocol the negotiation is lazy: header, proposal and the first data leave together. With several, data waits until the
  /// remote has chosen. The answer is ``Output/streamAccepted(_:_:)`` or ``Output/streamFailed(_:_:)``. May be called before the link
  /// is established; the stream then leaves right after.
  ///
  /// - Parameters:
  ///   - id: an outbound ID that was never used on this connection.
  ///   - protocols: what to propose, best first; at least one.
  ///   - framing: how bytes become messages; by default what the table says of the first protocol, or raw.
  public func openStream(_ id: StreamID, protocols names: [ProtocolID], framing: Framing? = nil, now: Instant, into outputs: inout [Output])
  {
    precondition(id.isOutbound, "stream \(id) is not an outbound ID")
    precondition(byID[id] == nil, "stream \(id) is already open")
    guard let first = names.first else { preconditionFailure("no protocol to propose") }
    advance(now)
    guard !isClosing else { return }
    if let code = remoteGoAway { return outputs.append(.streamFailed(id, .remoteGoAway(code))) }
    let isVital = protocols[first]?.isVital ?? false
    guard outboundCount < configuration.outboundStreamsMaximum + (isVital ? configuration.vitalStreamsReserve : 0) else {
      return outputs.append(.streamFailed(id, .limit("outbound streams: \(configuration.outboundStreamsMaximum)")))
    }
    guard nextWire <= UInt32.max - 2 else { return outputs.append(.streamFailed(id, .limit("stream numbers of this connection"))) }
    let stream = ChannelStream(
      id: id, wire: nextWire, framing: framing ?? protocols[first]?.framing ?? .raw, firstFlags: Yamux.syn, isReported: true)
    stream.isVital = isVital
    guard reserve(ChannelStream.baseBytes, stream) else { return outputs.append(.streamFailed(id, .limit("memory for a stream"))) }
    stream.negotiation = Negotiation(proposing: names, flight: &stream.preamble)
    stream.isHeld = names.count > 1
    nextWire += 2
    byID[id] = stream
    outboundCount += 1
    watchNegotiation(stream)
    if isVital || unacknowledged < configuration.unacknowledgedStreamsMaximum && waiting.isEmpty {
      release(stream)
    } else {
      waiting.append(stream)
    }
  }

  /// Queues a message, framed as the stream's messages are. Nothing is copied until it is sent.
  ///
  /// A message over the framing's maximum, or one that does not fit ``Configuration/sendBufferMaximum``, resets the stream and fails it.
  /// - Returns: the bytes now queued on the stream; above ``Configuration/highWatermark`` the writer should wait for
  ///   ``Output/writable(_:)``. 0 when the stream is gone or finished.
  @discardableResult
  public func send(_ bytes: [UInt8], on id: StreamID, into outputs: inout [Output]) -> Int {
    guard !isClosing, let stream = byID[id], !stream.isFinishRequested else { return 0 }
    let chunk: ChannelStream.Chunk
    switch stream.framing {
    case .raw:
      if bytes.isEmpty { return stream.queuedBytes }
      chunk = .init(bytes: bytes)
    case .lengthPrefixed(let maximum):
      guard bytes.count <= maximum else {
        // This side's own fault: nobody else is to be blamed for it.
        failStream(
          stream, .limit("a message of \(bytes.count) bytes to send, where \(maximum) are allowed"), code: .unspecified, into: &outputs)
        return 0
      }
      chunk = .init(lengthPrefixed: bytes)
    case .fixed(let count):
      precondition(bytes.count == count, "a message of \(bytes.count) bytes on a stream of \(count)-byte messages")
      chunk = .init(bytes: bytes)
    }
    guard statisticsStore.queuedBytes + chunk.count <= configuration.sendBufferMaximum else {
      failStream(stream, .limit("bytes queued for sending: \(configuration.sendBufferMaximum)"), into: &outputs)
      return 0
    }
    guard reserve(chunk.count, stream) else {
      failStream(stream, .limit("memory for bytes queued for sending"), into: &outputs)
      return 0
    }
    stream.enqueue(chunk)
    statisticsStore.queuedBytes += chunk.count
    if stream.queuedBytes > configuration.highWatermark { stream.isAboveHighWatermark = true }
    schedule(stream)
    return stream.queuedBytes
  }

  /// Ends this side of a stream once what is queued has been sent. The remote may go on.
  public func finish(_ id: StreamID) {
    guard !isClosing, let stream = byID[id], !stream.isFinishRequested else { return }
    stream.isFinishRequested = true
    schedule(stream)
  }

  /// Ends a stream at once in both directions; queued data is dropped and nothing more is reported of it.
  public func reset(_ id: StreamID, code: ResetCode = .unspecified) {
    guard !isClosing, let stream = byID[id] else { return }
    sendReset(stream, code: code)
    remove(stream)
  }

  /// Grants the remote room for `count` bytes of a raw stream's ``Output/data(_:_:)`` that the reader is done with.
  /// Framed streams do so by themselves.
  public func consumed(_ count: Int, on id: StreamID) {
    guard !isClosing, count > 0, let stream = byID[id] else { return }
    let granted = min(count, stream.unconsumed)
    stream.unread = max(0, stream.unread - granted)
    _ = chargeReceiving(stream, .need)
    absorb(granted, stream)
  }

  /// Sends a Yamux ping unless one is under way; the answer is ``Output/roundTrip(_:)``.
  public func measureRoundTrip() {
    guard case .open = phase, pingSent == nil else { return }
    pingValue &+= 1
    pingSent = clock
    pingLatest = clock
    Yamux.append(type: Yamux.ping, flags: Yamux.syn, stream: 0, length: pingValue, to: &control)
  }

  // MARK: Book-keeping

  /// Lets a stream be opened towards the remote.
  private func release(_ stream: ChannelStream) {
    stream.isReleased = true
    byWire[stream.wire] = stream
    unacknowledged += 1
    schedule(stream)
  }

  func acknowledge(_ stream: ChannelStream) {
    stream.isAcknowledged = true
    unacknowledged -= 1
    while unacknowledged < configuration.unacknowledgedStreamsMaximum, let next = waiting.popFirst() {
      if !next.isGone { release(next) }
    }
  }

  /// Puts a stream among those that have something to send.
  func schedule(_ stream: ChannelStream) {
    guard !stream.isInReady, stream.canSend else { return }
    stream.isInReady = true
    ready.append(stream)
  }

  /// The reader is done with `count` bytes: grants them back once half of the window is due, and lets the window grow while a reader
  /// empties it within four round trips, as go does.
  func absorb(_ count: Int, _ stream: ChannelStream) {
    stream.unconsumed -= count
    guard !stream.isGone, !stream.isRemoteFinished, !stream.isInUpdates, stream.grantable * 2 >= stream.windowSize else { return }
    if let roundTrip = statisticsStore.roundTrip,
      (clock - stream.windowEpoch).nanoseconds < roundTrip.nanoseconds.multipliedReportingOverflow(by: 4).partialValue
    {
      let growth = min(stream.windowSize, configuration.windowMaximum - stream.windowSize)
      if growth > 0 {
        stream.windowSize += growth
        // Without room for it the stream goes on as fast as it was.
        if !chargeReceiving(stream, .comfort) { stream.windowSize -= growth }
      }
    }
    stream.windowEpoch = clock
    stream.isInUpdates = true
    updates.append(stream)
    if clock - pingLatest >= configuration.roundTripInterval { measureRoundTrip() }
  }

  /// Ends a stream with an error that the owner hears of if it knows the stream.
  func failStream(
    _ stream: ChannelStream, _ error: ChannelError, sendsReset: Bool = true, code: ResetCode? = nil, into outputs: inout [Output]
  ) {
    guard !stream.isGone else { return }
    if sendsReset { sendReset(stream, code: code ?? error.resetCode) }
    remove(stream)
    if stream.isReported { outputs.append(.streamFailed(stream.id, error)) }
    checkControl(into: &outputs)
  }

  /// A stream ends for which the remote may still send so many bytes, before it hears of the end.
  func allowLate(_ bytes: Int) {
    // The most that all windows can admit at one time.
    let maximum =
      (configuration.inboundStreamsMaximum + configuration.outboundStreamsMaximum) * Yamux.initialWindow + configuration.memoryMaximum
    lateAllowance = min(lateAllowance + bytes, maximum)
  }

  private func sendReset(_ stream: ChannelStream, code: ResetCode) {
    // A stream that the remote has not heard of needs no reset.
    if stream.id.isOutbound && !stream.isSYNSent { return }
    // An answer to a proposal goes before the reset: the dialer must learn that its protocol was refused, also
    // when the data that it sent lazily behind the proposal ended the negotiation.
    if !stream.id.isOutbound && !stream.preamble.isEmpty && stream.preamble.count <= stream.sendWindow {
      let length = UInt32(truncatingIfNeeded: stream.preamble.count)
      Yamux.append(type: Yamux.data, flags: stream.firstFlags, stream: stream.wire, length: length, to: &control)
      control.append(contentsOf: stream.preamble)
    }
    Yamux.append(type: Yamux.windowUpdate, flags: Yamux.rst, stream: stream.wire, length: code.rawValue, to: &control)
  }

  /// Forgets a stream.
  func remove(_ stream: ChannelStream) {
    guard !stream.isGone else { return }
    statisticsStore.queuedBytes -= stream.queuedBytes
    statisticsStore.reassemblyBytes -= stream.message.count
    memory.release(stream.reserved)
    let wasNegotiating = stream.negotiation != nil
    allowLate(stream.receiveWindow)
    stream.drop()
    byID[stream.id] = nil
    if stream.isReleased { byWire[stream.wire] = nil }
    if latest === stream { latest = nil }
    if stream.isInReady { ready.noteStale { $0.isGone } }
    if stream.isInUpdates { updates.noteStale { $0.isGone } }
    if wasNegotiating { noteNegotiated() }
    if stream.id.isOutbound {
      outboundCount -= 1
      if !stream.isReleased {
        waiting.noteStale { $0.isGone }
      } else if !stream.isAcknowledged {
        acknowledge(stream)
      }
    } else {
      inboundCount -= 1
    }
  }

  // MARK: Negotiation deadlines

  func watchNegotiation(_ stream: ChannelStream) {
    stream.windowEpoch = clock
    stream.negotiationDeadline = clock + configuration.streamNegotiationTimeout
    negotiating.append(stream)
  }

  /// A member of `negotiating` is through. The first member always is one that still negotiates, so that the deadline is true.
  private func dropNegotiated() {
    while let first = negotiating.first, first.isGone || first.negotiation == nil { _ = negotiating.popFirst() }
  }

  func noteNegotiated() {
    negotiating.noteStale { $0.isGone || $0.negotiation == nil }
    dropNegotiated()
  }

  func expireNegotiations(into outputs: inout [Output]) {
    while let first = negotiating.first, first.negotiationDeadline <= clock, !isClosing {
      _ = negotiating.popFirst()
      if first.isGone || first.negotiation == nil { continue }
      failStream(first, .negotiationTimeout(configuration.streamNegotiationTimeout), into: &outputs)
    }
  }
}
