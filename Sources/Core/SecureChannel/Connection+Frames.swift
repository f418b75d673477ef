import Wire

// Yamux frames from the remote (hashicorp/yamux spec.md).
extension Connection {
  /// Takes decrypted bytes; frames may begin and end anywhere in them.
  func receiveFrames(_ span: RawSpan, into outputs: inout [Output]) {
    let count = span.byteCount
    var offset = 0
    while offset < count, !isClosing {
      if bodyRemaining > 0 {
        let part = min(bodyRemaining, count - offset)
        bodyRemaining -= part
        if let stream = bodyStream, !stream.isGone { receiveBody(span.extracting(offset..<offset + part), stream, into: &outputs) }
        offset += part
        if bodyRemaining == 0 { finishBody(into: &outputs) }
      } else if headerBytes.isEmpty && count - offset >= Yamux.headerBytes {
        let header = YamuxHeader(span, at: offset)
        offset += Yamux.headerBytes
        receive(header, into: &outputs)
      } else {
        let part = min(Yamux.headerBytes - headerBytes.count, count - offset)
        headerBytes.append(contentsOf: span.extracting(offset..<offset + part))
        offset += part
        guard headerBytes.count == Yamux.headerBytes else { continue }
        let header = YamuxHeader(headerBytes.rawSpan, at: 0)
        headerBytes.removeAll(keepingCapacity: true)
        receive(header, into: &outputs)
      }
    }
  }

  private func violate(_ rule: String, into outputs: inout [Output]) { fail(.protocolViolation("yamux: \(rule)"), into: &outputs) }

  private func receive(_ header: YamuxHeader, into outputs: inout [Output]) {
    statisticsStore.framesReceived &+= 1
    guard header.version == 0 else { return violate("version \(header.version)", into: &outputs) }
    switch header.type {
    case Yamux.data, Yamux.windowUpdate: receiveStreamFrame(header, into: &outputs)
    case Yamux.ping: receivePing(header, into: &outputs)
    case Yamux.goAway:
      remoteGoAway = header.length
      // With code 0 the remote only opens no more streams and takes none; the transport's end follows.
      if header.length != 0 { fail(.remoteGoAway(header.length), into: &outputs) }
    default: violate("frame type \(header.type)", into: &outputs)
    }
  }

  private func receivePing(_ header: YamuxHeader, into outputs: inout [Output]) {
    if header.has(Yamux.syn) {
      Yamux.append(type: Yamux.ping, flags: Yamux.ack, stream: 0, length: header.length, to: &control)
      checkControl(into: &outputs)
    } else if header.has(Yamux.ack), let sent = pingSent, header.length == pingValue {
      pingSent = nil
      let sample = clock - sent
      let previous = statisticsStore.roundTrip ?? sample
      statisticsStore.roundTrip = .nanoseconds((sample.nanoseconds / 2) + (previous.nanoseconds / 2))
      outputs.append(.roundTrip(sample))
    }
  }

  private func receiveStreamFrame(_ header: YamuxHeader, into outputs: inout [Output]) {
    let isData = header.type == Yamux.data
    if isData && header.length > 0 {
      // Discarded unless a stream claims it below.
      bodyRemaining = Int(header.length)
      bodyStream = nil
      bodyFinishes = false
    }
    if header.has(Yamux.syn) {
      guard admit(header, into: &outputs) else { return discardBody(into: &outputs) }
    }
    guard let stream = stream(onWire: header.stream) else {
      // The stream was reset or closed here while the frame was on its way.
      if header.stream == 0 { return violate("a stream frame without a stream", into: &outputs) }
      return discardBody(into: &outputs)
    }
    if !stream.isAcknowledged { acknowledge(stream) }
    if header.has(Yamux.rst) {
      failStream(stream, .streamReset(isData ? .unspecified : ResetCode(rawValue: header.length)), sendsReset: false, into: &outputs)
      return discardBody(into: &outputs)
    }
    if isData {
      guard header.length == 0 || !stream.isRemoteFinished else {
        failStream(stream, .protocolViolation("yamux: data after the end of the stream"), into: &outputs)
        return discardBody(into: &outputs)
      }
      guard Int(header.length) <= stream.receiveWindow else {
        return violate("\(header.length) bytes of data for a window of \(stream.receiveWindow)", into: &outputs)
      }
      if header.length > 0 {
        stream.receiveWindow -= Int(header.length)
        stream.unconsumed += Int(header.length)
        bodyStream = stream
        bodyFinishes = header.has(Yamux.fin)
        return
      }
    } else if header.length > 0 {
      let wasBlocked = stream.sendWindow == 0
      stream.sendWindow += Int(header.length)
      guard stream.sendWindow <= Int(UInt32.max) else { return violate("a window beyond 4 GiB", into: &outputs) }
      if wasBlocked { schedule(stream) }
    }
    if header.has(Yamux.fin) { finishRemote(stream, into: &outputs) }
  }

  /// The body of the present frame belongs to no stream. Of those that are gone the remote may not have heard yet, and may send what their
  /// windows admitted; nothing ever admitted more.
  private func discardBody(into outputs: inout [Output]) {
    guard !isClosing, bodyRemaining > 0 else { return }
    guard bodyRemaining <= lateAllowance else {
      return violate("\(bodyRemaining) bytes of data for no stream, where \(lateAllowance) may still come", into: &outputs)
    }
    lateAllowance -= bodyRemaining
  }

  /// Takes a new stream from the remote; false when it is refused or the link failed.
  private func admit(_ header: YamuxHeader, into outputs: inout [Output]) -> Bool {
    guard header.stream != 0, header.stream.isMultiple(of: 2) == isDialer else {
      violate("stream \(header.stream) opened by the \(isDialer ? "listener" : "dialer")", into: &outputs)
      return false
    }
    guard stream(onWire: header.stream) == nil else {
      violate("stream \(header.stream) opened twice", into: &outputs)
      return false
    }
    // Which of them are vital shows later.
    guard inboundCount < configuration.inboundStreamsMaximum + configuration.vitalStreamsReserve, nextInbound < 0x8000_0000,
      memory.reserve(ChannelStream.baseBytes)
    else {
      statisticsStore.refusedStreams &+= 1
      allowLate(Yamux.initialWindow)
      Yamux.append(
        type: Yamux.windowUpdate, flags: Yamux.rst, stream: header.stream, length: ResetCode.resourceLimit.rawValue, to: &control)
      checkControl(into: &outputs)
      return false
    }
    let stream = ChannelStream(
      id: StreamID(rawValue: nextInbound), wire: header.stream, framing: .raw, firstFlags: Yamux.ack, isReported: false)
    stream.reserved = ChannelStream.baseBytes
    nextInbound += 1
    inboundCount += 1
    stream.negotiation = Negotiation()
    byWire[header.stream] = stream
    byID[stream.id] = stream
    latest = stream
    watchNegotiation(stream)
    return true
  }

  func stream(onWire wire: UInt32) -> ChannelStream? {
    if let latest, latest.wire == wire, !latest.isGone { return latest }
    guard let stream = byWire[wire] else { return nil }
    latest = stream
    return stream
  }

  private func finishBody(into outputs: inout [Output]) {
    let stream = bodyStream
    bodyStream = nil
    if bodyFinishes, let stream, !stream.isGone { finishRemote(stream, into: &outputs) }
  }

  private func finishRemote(_ stream: ChannelStream, into outputs: inout [Output]) {
    guard !stream.isGone, !stream.isRemoteFinished else { return }
    stream.isRemoteFinished = true
    if stream.negotiation != nil {
      return failStream(stream, .negotiationFailed("the remote finished the stream before a protocol was agreed"), into: &outputs)
    }
    if stream.messageRemaining > 0 || stream.prefix.count > 0 {
      return failStream(stream, .protocolViolation("framing: the stream ended inside a message"), into: &outputs)
    }
    outputs.append(.streamFinished(stream.id))
    if stream.isFinishSent {
      remove(stream)
      outputs.append(.streamClosed(stream.id))
    }
  }

  /// A remote that makes this side answer must also read the answers.
  func checkControl(into outputs: inout [Output]) {
    guard control.count > configuration.controlMaximum else { return }
    control = []
    fail(.limit("unread answers: \(configuration.controlMaximum) bytes"), into: &outputs)
  }

  // MARK: Stream bytes

  private func receiveBody(_ span: RawSpan, _ stream: ChannelStream, into outputs: inout [Output]) {
    guard let negotiation = stream.negotiation else { return deliver(span, stream, into: &outputs) }
    if stream.inbox.isEmpty { return negotiate(span, negotiation, stream, into: &outputs) }
    var bytes = stream.inbox
    stream.inbox = []
    bytes.append(contentsOf: span)
    negotiate(bytes.rawSpan, negotiation, stream, into: &outputs)
  }

  private func negotiate(_ span: RawSpan, _ negotiation: Negotiation, _ stream: ChannelStream, into outputs: inout [Output]) {
    var offset = 0
    while offset < span.byteCount {
      switch Multistream.unit(span, at: offset) {
      case .needs:
        stream.inbox = [UInt8](span.extracting(offset..<span.byteCount))
        return
      case .violation(let rule): return failStream(stream, .protocolViolation(rule), into: &outputs)
      case .whole(let bytes, let text):
        guard let message = Multistream.text(span, at: offset, bytes: bytes, text: text) else {
          return failStream(stream, .protocolViolation("multistream: a message that is not text"), into: &outputs)
        }
        offset += bytes
        absorb(bytes, stream)
        let progress: Negotiation.Progress
        do throws(ChannelError) {
          progress = try negotiation.handle(message, supports: { protocols[$0] != nil }, reply: &stream.preamble)
        } catch {
          return failStream(stream, error, into: &outputs)
        }
        if case .agreed(let chosen) = progress {
          agree(chosen, stream, into: &outputs)
          if offset < span.byteCount, !stream.isGone { deliver(span.extracting(offset..<span.byteCount), stream, into: &outputs) }
          return
        }
        schedule(stream)
      }
    }
  }

  private func agree(_ chosen: ProtocolID, _ stream: ChannelStream, into outputs: inout [Output]) {
    let entry = protocols[chosen]
    if !stream.id.isOutbound, inboundCount > configuration.inboundStreamsMaximum, entry?.isVital != true {
      // One of those in reserve. The answer that agrees must not go out before the refusal.
      stream.preamble = []
      statisticsStore.refusedStreams &+= 1
      return failStream(stream, .limit("inbound streams: \(configuration.inboundStreamsMaximum)"), into: &outputs)
    }
    stream.negotiation = nil
    stream.isHeld = false
    noteNegotiated()
    if stream.id.isOutbound {
      outputs.append(.streamAccepted(stream.id, chosen))
    } else {
      stream.framing = entry?.framing ?? .raw
      stream.receiveMaximum = entry?.inboundMaximumBytes ?? .max
      stream.isVital = entry?.isVital ?? false
      stream.isReported = true
      outputs.append(.streamOpened(stream.id, chosen))
    }
    schedule(stream)
  }

  private func deliver(_ span: RawSpan, _ stream: ChannelStream, into outputs: inout [Output]) {
    switch stream.framing {
    case .raw:
      stream.unread += span.byteCount
      guard chargeReceiving(stream, .need) else { return failStream(stream, .limit("memory for bytes that nobody reads"), into: &outputs) }
      outputs.append(.data(stream.id, [UInt8](span)))
    case .lengthPrefixed(let maximum):
      deliverMessages(span, stream, fixed: nil, maximum: min(maximum, stream.receiveMaximum), into: &outputs)
      absorb(span.byteCount, stream)
    case .fixed(let bytes):
      deliverMessages(span, stream, fixed: bytes, maximum: bytes, into: &outputs)
      absorb(span.byteCount, stream)
    }
  }

  private func deliverMessages(_ span: RawSpan, _ stream: ChannelStream, fixed: Int?, maximum: Int, into outputs: inout [Output]) {
    let count = span.byteCount
    var offset = 0
    while offset < count {
      if stream.messageRemaining == 0 {
        // At a message's beginning: find its length.
        if let fixed {
          stream.messageRemaining = max(fixed, 1)
        } else {
          let byte = span.byte(offset)
          offset += 1
          let length: UInt64
          switch stream.prefix.take(byte) {
          case .incomplete: continue
          case .invalid(let fault): return failStream(stream, .protocolViolation("framing: a length \(fault)"), into: &outputs)
          case .value(let value, _): length = value
          }
          stream.prefix = Varint.Decoder()
          guard length <= UInt64(max(maximum, 0)) else {
            // On a stream that this side opened it is an answer, and whoever gave it should learn why it is not taken.
            return failStream(
              stream, .messageTooLarge(bytes: length, maximum: maximum), code: stream.id.isOutbound ? .answerTooLarge : nil, into: &outputs)
          }
          if length == 0 {
            outputs.append(.message(stream.id, []))
            continue
          }
          stream.messageRemaining = Int(length)
        }
      }
      let part = min(stream.messageRemaining, count - offset)
      let slice = span.extracting(offset..<offset + part)
      offset += part
      if part == stream.messageRemaining && stream.message.isEmpty {
        stream.messageRemaining = 0
        outputs.append(.message(stream.id, [UInt8](slice)))
        continue
      }
      // The array grows with what has arrived, never with what was promised.
      guard statisticsStore.reassemblyBytes + part <= configuration.reassemblyMaximum else {
        return failStream(stream, .limit("unfinished messages: \(configuration.reassemblyMaximum) bytes"), into: &outputs)
      }
      guard reserve(part, stream) else { return failStream(stream, .limit("memory for an unfinished message"), into: &outputs) }
      stream.message.append(contentsOf: slice)
      stream.messageRemaining -= part
      statisticsStore.reassemblyBytes += part
      if stream.messageRemaining == 0 {
        statisticsStore.reassemblyBytes -= stream.message.count
        release(stream.message.count, stream)
        let message = stream.message
        stream.message = []
        outputs.append(.message(stream.id, message))
      }
    }
  }
}
