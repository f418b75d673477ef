import Identity
import Wire

// What goes out: frames are made and encrypted in the caller's buffer when the transport has room.
extension Connection {
  /// Appends bytes for the transport.
  ///
  /// Control frames go first, then window updates, then data of the streams in turn, together in Noise messages of up to 65,519 bytes,
  /// each encrypted where it lies.
  ///
  /// - Parameters:
  ///   - buffer: what is there already stays.
  ///   - maximumBytes: about the most to append; at least 256 is assumed, and a handshake's message is never split.
  ///   - outputs: receives ``Output/writable(_:)`` and ``Output/streamClosed(_:)``.
  /// - Returns: whether bytes were appended. More may be left: see ``hasPendingOutput``.
  @discardableResult
  public func produce(into buffer: inout [UInt8], maximumBytes: Int, now: Instant, outputs: inout [Output]) -> Bool {
    advance(now)
    let begin = buffer.count
    let limit = begin + max(maximumBytes, 256)
    if let privateStream, hasPendingOutput { buffer.append(contentsOf: privateStream.takeNonce()) }
    let inner = buffer.count
    if !clearOutput.isEmpty {
      buffer.append(contentsOf: clearOutput)
      clearOutput = []
    }
    if let sendCipher, hasPendingOutput {
      let expected = min(limit - begin, control.count + statisticsStore.queuedBytes + Connection.roomForFrames)
      if buffer.capacity < buffer.count + expected { buffer.reserveCapacity(buffer.count + expected) }
      while hasPendingOutput, limit - buffer.count >= Connection.smallestMessage {
        let front = buffer.count
        buffer.append(0)
        buffer.append(0)
        let body = buffer.count
        fill(&buffer, end: min(body + Noise.plaintextMaximum, limit - Noise.tagBytes), outputs: &outputs)
        let count = buffer.count - body
        if count == 0 {
          buffer.removeLast(Noise.lengthBytes)
          break
        }
        seal(&buffer, front: front, count: count, with: sendCipher)
      }
    }
    if isDrained { sendCipher = nil }
    privateStream?.seal(&buffer, from: inner)
    if !isClosing { settleBuffers(into: &outputs) }
    statisticsStore.bytesSent &+= UInt64(buffer.count - begin)
    return buffer.count > begin
  }

  /// Appends the tag and the length of the Noise message that begins at `front`, and encrypts it.
  private func seal(_ buffer: inout [UInt8], front: Int, count: Int, with cipher: any FrameCipher) {
    let length = count + Noise.tagBytes
    buffer[front] = UInt8(truncatingIfNeeded: length >> 8)
    buffer[front + 1] = UInt8(truncatingIfNeeded: length)
    for _ in 0..<Noise.tagBytes { buffer.append(0) }
    unsafe buffer.withUnsafeMutableBytes { memory in
      guard let base = memory.baseAddress else { return }
      unsafe cipher.seal(base + front + Noise.lengthBytes, count: count, counter: sendCounter, associatedData: [])
    }
    sendCounter &+= 1
  }

  /// Appends plaintext up to `end`.
  private func fill(_ buffer: inout [UInt8], end: Int, outputs: inout [Output]) {
    if !control.isEmpty {
      let part = min(control.count, end - buffer.count)
      buffer.append(contentsOf: control[..<part])
      if part < control.count {
        control.removeFirst(part)
        return
      }
      control = []
    }
    while end - buffer.count >= Yamux.headerBytes, let stream = updates.popFirst() {
      stream.isInUpdates = false
      let grant = stream.grantable
      guard !stream.isGone, !stream.isRemoteFinished, grant > 0 else { continue }
      stream.receiveWindow += grant
      let flags = takeFirstFlags(stream)
      Yamux.append(
        type: Yamux.windowUpdate, flags: flags, stream: stream.wire, length: UInt32(truncatingIfNeeded: grant), to: &buffer)
    }
    while end - buffer.count >= Yamux.headerBytes, let stream = ready.first {
      guard stream.canSend else {
        stream.isInReady = false
        _ = ready.popFirst()
        continue
      }
      // A frame that would be cut small by the end of this Noise message waits for the next one.
      let room = end - buffer.count - Yamux.headerBytes
      if room < min(stream.sendableBytes, Connection.smallestShare) { return }
      _ = ready.popFirst()
      stream.isInReady = false
      appendFrame(of: stream, maximum: ready.isEmpty ? room : min(room, configuration.fairShare), to: &buffer, outputs: &outputs)
      schedule(stream)
    }
    if let code = finalGoAway, ready.isEmpty, updates.isEmpty, end - buffer.count >= Yamux.headerBytes {
      finalGoAway = nil
      Yamux.append(type: Yamux.goAway, flags: 0, stream: 0, length: code, to: &buffer)
    }
  }

  private func appendFrame(of stream: ChannelStream, maximum: Int, to buffer: inout [UInt8], outputs: inout [Output]) {
    let count = min(stream.sendableBytes, stream.sendWindow, maximum)
    var flags = takeFirstFlags(stream)
    // py-libp2p overlooks a FIN beside an ACK, so a first frame never carries one.
    let finishes = flags == 0 && stream.isFinishRequested && !stream.isHeld && count == stream.sendableBytes
    if finishes { flags |= Yamux.fin }
    Yamux.append(type: Yamux.data, flags: flags, stream: stream.wire, length: UInt32(truncatingIfNeeded: count), to: &buffer)
    let queued = stream.queuedBytes
    stream.take(count, into: &buffer)
    stream.sendWindow -= count
    statisticsStore.queuedBytes -= queued - stream.queuedBytes
    release(queued - stream.queuedBytes, stream)
    if stream.isAboveHighWatermark && stream.queuedBytes < configuration.lowWatermark {
      stream.isAboveHighWatermark = false
      if !isClosing { outputs.append(.writable(stream.id)) }
    }
    guard finishes else { return }
    stream.isFinishSent = true
    if stream.isRemoteFinished && !isClosing {
      remove(stream)
      outputs.append(.streamClosed(stream.id))
    }
  }

  private func takeFirstFlags(_ stream: ChannelStream) -> UInt32 {
    let flags = stream.firstFlags
    stream.firstFlags = 0
    stream.isSYNSent = true
    return flags
  }

  /// Length, tag, a header and a useful amount of data.
  private static let smallestMessage = 128
  /// Data frames smaller than this are not cut only to fill a Noise message.
  private static let smallestShare = 64
  /// Room that is reserved beyond queued bytes.
  private static let roomForFrames = 4 << 10
}
