extension ChannelError: CustomStringConvertible {
  /// The error in words for an operator.
  public var description: String {
    switch self {
    case .endOfFile: "the other end closed the connection"
    case .transport(let fault): fault.description
    case .turnedAway(let text, _): "closed before the handshake: \(text)"
    case .handshakeTimeout: "the handshake took too long"
    case .negotiationFailed(let text): "no protocol in common: \(text)"
    case .negotiationTimeout(let time): "no protocol agreed within \(time.words)"
    case .protocolViolation(let text): "protocol violation: \(text)"
    case .wrongPeer(let expected, let actual): "expected \(expected) and found \(actual)"
    case .notInNetwork(let text): "not of this private network: \(text)"
    case .badSignature: "the handshake's signature is not the key's"
    case .decryptionFailed: "decryption failed"
    case .remoteGoAway(let code): "the other end said go-away with code \(code)"
    case .streamReset(.unspecified): "the other end reset the stream"
    case .streamReset(let code): "the other end reset the stream: \(code)"
    case .messageTooLarge(let bytes, let maximum): "a message of \(bytes) bytes where at most \(maximum) are allowed"
    case .limit(let text): "limit reached: \(text)"
    case .keepAliveTimeout: "no answer to keep-alive"
    case .closedLocally(let text): "closed here: \(text)"
    }
  }
}

extension ChannelError {
  /// Whether a stream that ends with this error was answered by the other end, which refused or reset it or broke a rule: the other end is
  /// there. A limit or a time of this side's shows nothing.
  public var isAnswer: Bool {
    switch self {
    case .streamReset, .negotiationFailed, .protocolViolation, .messageTooLarge: true
    default: false
    }
  }
}
