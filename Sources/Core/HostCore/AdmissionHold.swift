import SecureChannel

/// What happens on a link's streams before the core admits the link: kept in order until then. Each kind of link has one.
///
/// The goodbye alone does not wait. A link may end before it is admitted, and the core must hear the reason before the end.
public struct AdmissionHold<Element> {
  /// Whether the core has admitted the link.
  public private(set) var isAdmitted = false
  private var held: [Element] = []
  private var heldBytes = 0
  private var goodbye: StreamID?

  /// Holds nothing.
  public init() {}

  /// Whether no more should be read from the link before it is admitted: 256 events or 256 KiB are held, of which the link itself keeps
  /// `besides` as parts of messages. What one read brings may exceed it.
  public func isFull(besides bytes: @autoclosure () -> Int = 0) -> Bool {
    !isAdmitted && (held.count >= Self.countMaximum || heldBytes + bytes() >= Self.bytesMaximum)
  }

  /// Keeps what happened on a stream.
  ///
  /// - Parameters:
  ///   - name: the protocol, when the remote opened the stream with it.
  ///   - bytes: how many bytes of the remote's are kept with it.
  /// - Returns: `false` when it does not wait: the core is to be told now.
  public mutating func keeps(_ element: Element, on stream: StreamID, opening name: ProtocolID? = nil, bytes: Int = 0) -> Bool {
    if isAdmitted || stream == goodbye { return false }
    if goodbye == nil && name == HostProtocols.goodbye {
      goodbye = stream
      return false
    }
    held.append(element)
    heldBytes += bytes
    return true
  }

  /// The link is admitted: returns what was held, in order. Nothing is held any more.
  public mutating func admit() -> [Element] {
    isAdmitted = true
    defer { held = [] }
    return held
  }

  private static var countMaximum: Int { 256 }
  private static var bytesMaximum: Int { 256 << 10 }
}

extension AdmissionHold where Element == Connection.Output {
  /// Keeps what a connection reports of a stream; `false` when the core is to be told now.
  public mutating func keeps(_ output: Connection.Output) -> Bool {
    switch output {
    case .streamOpened(let stream, let name): keeps(output, on: stream, opening: name)
    case .message(let stream, let bytes), .data(let stream, let bytes): keeps(output, on: stream, bytes: bytes.count)
    case .streamAccepted(let stream, _), .streamFailed(let stream, _), .streamFinished(let stream), .streamClosed(let stream),
      .writable(let stream):
      keeps(output, on: stream)
    case .established, .closed, .roundTrip: false
    }
  }
}
