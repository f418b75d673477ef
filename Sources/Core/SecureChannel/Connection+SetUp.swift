import Identity
import Wire

// From the first byte to the open muxer.
extension Connection {
  var isDialer: Bool { if case .dialer = role { true } else { false } }

  /// What is at the front of the input: the units that the phase reads.
  func unit(_ span: RawSpan) -> Multistream.Unit {
    if case .security(let negotiation) = phase {
      let unit = Multistream.unit(span)
      guard !negotiation.hasSeenHeader else { return unit }
      switch Multistream.stranger(span) {
      case .certain(let name): return .violation("it speaks \(name), not libp2p; is this the right port?")
      case .possible: return if case .needs = unit { .needs(span.byteCount + 1) } else { unit }
      case .none: return unit
      }
    }
    guard span.byteCount >= Noise.lengthBytes else { return .needs(Noise.lengthBytes) }
    let length = Int(span.byte(0)) << 8 | Int(span.byte(1))
    if case .noise = phase {
      guard length <= configuration.handshakeMessageMaximum else { return .violation("noise: a handshake message of \(length) bytes") }
    } else {
      guard length >= Noise.tagBytes else { return .violation("noise: a message of \(length) bytes, less than its tag") }
    }
    let total = Noise.lengthBytes + length
    return span.byteCount >= total ? .whole(bytes: total, text: Noise.lengthBytes) : .needs(total)
  }

  /// Handles one whole unit, decrypting it where it is.
  func handleUnit(_ unit: UnsafeMutableRawBufferPointer, into outputs: inout [Output]) {
    guard let base = unit.baseAddress else { return }
    let count = unit.count
    switch phase {
    case .security(let negotiation):
      let span = unsafe UnsafeRawBufferPointer(unit).bytes
      handleSecurity(span, negotiation, into: &outputs)
    case .noise(let handshake):
      let span = unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(unit)[Noise.lengthBytes...]).bytes
      do throws(ChannelError) {
        try readHandshake(span, handshake, into: &outputs)
      } catch {
        fail(error, into: &outputs)
      }
    case .muxer, .open:
      guard let receiveCipher else { return }
      let length = count - Noise.lengthBytes
      let body = unsafe base + Noise.lengthBytes
      guard unsafe receiveCipher.open(body, count: length, counter: receiveCounter, associatedData: []) else {
        return fail(.decryptionFailed, into: &outputs)
      }
      receiveCounter &+= 1
      let plaintext = unsafe UnsafeRawBufferPointer(start: body, count: length - Noise.tagBytes)
      unsafe receivePlaintext(plaintext.bytes, into: &outputs)
    case .closed: break
    }
  }

  /// Takes decrypted bytes.
  func receivePlaintext(_ span: RawSpan, into outputs: inout [Output]) {
    switch phase {
    case .open: receiveFrames(span, into: &outputs)
    case .muxer(let negotiation):
      inner.append(contentsOf: span)
      let bytes = inner
      inner = []
      handleMuxer(bytes.rawSpan, negotiation, into: &outputs)
    default: break
    }
  }

  // MARK: Security

  private func handleSecurity(_ span: RawSpan, _ negotiation: Negotiation, into outputs: inout [Output]) {
    guard case .whole(let bytes, let text) = Multistream.unit(span),
      let message = Multistream.text(span, at: 0, bytes: bytes, text: text)
    else { return fail(.protocolViolation("multistream: a message that is not text"), into: &outputs) }
    if isDialer, negotiation.hasSeenHeader, let reason = TurnAway.reason(in: message) {
      return fail(TurnAway.error(reason), into: &outputs)
    }
    do throws(ChannelError) {
      if case .agreed = try negotiation.handle(message, supports: { $0 == Multistream.noise }, reply: &clearOutput) {
        try startNoise()
      }
    } catch {
      fail(error, into: &outputs)
    }
  }

  /// What a listener still has to say to a dialler that it turns away; `nil` once they have agreed on Noise.
  func wordsOfRefusal(_ reason: String) -> [UInt8]? {
    guard case .security(let negotiation) = phase, !isDialer else { return nil }
    var words = clearOutput
    if !negotiation.hasSeenHeader { Multistream.append(Multistream.header, to: &words) }
    Multistream.append(TurnAway.line(reason), to: &words)
    return words
  }

  func startEarlyHandshake() {
    let handshake = NoiseHandshake(isInitiator: true, staticKey: staticKey, ephemeralSecret: ephemeralSecret, crypto: crypto)
    if let message = try? handshake.writeMessage(payload: []) {
      appendHandshake(message)
      earlyHandshake = handshake
    }
  }

  private func startNoise() throws(ChannelError) {
    if let earlyHandshake {
      phase = .noise(earlyHandshake)
      self.earlyHandshake = nil
      return
    }
    let handshake = NoiseHandshake(isInitiator: isDialer, staticKey: staticKey, ephemeralSecret: ephemeralSecret, crypto: crypto)
    phase = .noise(handshake)
    if isDialer { appendHandshake(try handshake.writeMessage(payload: [])) }
  }

  private func appendHandshake(_ message: [UInt8]) {
    clearOutput.append(UInt8(truncatingIfNeeded: message.count >> 8))
    clearOutput.append(UInt8(truncatingIfNeeded: message.count))
    clearOutput.append(contentsOf: message)
  }

  // MARK: Noise

  private func readHandshake(_ span: RawSpan, _ handshake: NoiseHandshake, into outputs: inout [Output]) throws(ChannelError) {
    let payload = try handshake.readMessage(span)
    var muxers: [String] = []
    if handshake.messages > 1 { muxers = try verify(payload, handshake) }
    if handshake.isTurnToWrite {
      let own = configuration.negotiatesMuxerEarly ? staticKey.payloadWithMuxer : staticKey.payload
      appendHandshake(try handshake.writeMessage(payload: own))
    }
    guard handshake.isComplete else { return }
    let keys = handshake.split()
    sendCipher = crypto.makeCipher(key: keys.send)
    receiveCipher = crypto.makeCipher(key: keys.receive)
    // Both sides offer one muxer, so the initiator's order cannot matter.
    if configuration.negotiatesMuxerEarly && muxers.contains(Yamux.protocolID.name) {
      openMuxer(into: &outputs)
    } else if isDialer {
      phase = .muxer(Negotiation(proposing: [Yamux.protocolID], flight: &control))
    } else {
      phase = .muxer(Negotiation())
    }
  }

  /// Checks who the remote is; returns the muxers that it offers.
  private func verify(_ bytes: [UInt8], _ handshake: NoiseHandshake) throws(ChannelError) -> [String] {
    let payload = try NoisePayload(bytes.rawSpan)
    let signed = NoisePayload.signedBytes(staticKey: handshake.remoteStatic)
    guard crypto.verify(payload.signature.rawSpan, of: signed.rawSpan, by: payload.publicKey) else { throw .badSignature }
    let peer = PeerID(payload.publicKey, crypto: crypto)
    if case .dialer(let expected?) = role, expected != peer { throw .wrongPeer(expected: expected, actual: peer) }
    remoteKey = (peer, payload.publicKey)
    return payload.muxers
  }

  // MARK: Muxer

  private func handleMuxer(_ span: RawSpan, _ negotiation: Negotiation, into outputs: inout [Output]) {
    var offset = 0
    while offset < span.byteCount {
      switch Multistream.unit(span, at: offset) {
      case .needs:
        inner = [UInt8](span.extracting(offset..<span.byteCount))
        return
      case .violation(let rule): return fail(.protocolViolation(rule), into: &outputs)
      case .whole(let bytes, let text):
        guard let message = Multistream.text(span, at: offset, bytes: bytes, text: text) else {
          return fail(.protocolViolation("multistream: a message that is not text"), into: &outputs)
        }
        offset += bytes
        do throws(ChannelError) {
          guard case .agreed = try negotiation.handle(message, supports: { $0 == Yamux.protocolID }, reply: &control) else { continue }
        } catch {
          return fail(error, into: &outputs)
        }
        openMuxer(into: &outputs)
        return receiveFrames(span.extracting(offset..<span.byteCount), into: &outputs)
      }
    }
  }

  private func openMuxer(into outputs: inout [Output]) {
    guard let remoteKey else { return }
    phase = .open
    let identity = RemoteIdentity(
      peer: remoteKey.peer, publicKey: remoteKey.key, muxer: Yamux.protocolID, setUpTime: clock - start)
    remote = identity
    self.remoteKey = nil
    ephemeralSecret = nil
    outputs.append(.established(identity))
    measureRoundTrip()
  }
}
