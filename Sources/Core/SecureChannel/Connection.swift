import Identity
import Wire

/// One TCP link as a pure machine: multistream-select, Noise XX and Yamux between bytes and streams.
///
/// Owned and called by one thread of a shell; it has no socket, clock or timer of its own. Every call may append to `outputs`,
/// afterwards the shell asks ``hasPendingOutput`` (then ``produce(into:maximumBytes:now:outputs:)``) and ``nextDeadline`` (then
/// ``handleTimer(now:into:)``). `now` never goes backwards; a needless timer is harmless. Calls for streams that are gone are ignored,
/// because the owner may not yet know.
///
/// Output is pulled: data is framed and encrypted only when the socket takes it, straight into the buffer that is written.
///
/// Before the remote has proven its key it can make this side keep at most ``Configuration/handshakeMessageMaximum`` (16 KiB) of input
/// and about 2 KiB of answers, for ``Configuration/handshakeTimeout``. An idle connection takes about 4 KiB afterwards.
///
/// After ``Output/closed(_:)`` nothing is reported and input is ignored; what is left to send (a go-away) can still be produced
/// until ``isDrained``. The link's streams end with it, without a report for each.
public final class Connection {
  /// Which side of the link this is.
  public enum Role: Hashable, Sendable {
    /// This side dialled; the handshake fails unless it proves `expecting`, when that is given.
    case dialer(expecting: PeerID?)
    /// The remote dialled.
    case listener
  }

  /// What the owner is told.
  public enum Output: Hashable, Sendable {
    /// The remote has proven its key and streams may be used.
    indirect case established(RemoteIdentity)
    /// The remote opened a stream and named a protocol of the table.
    case streamOpened(StreamID, ProtocolID)
    /// The remote confirmed a stream that this side opened, with the protocol chosen.
    case streamAccepted(StreamID, ProtocolID)
    /// One whole message of a framed stream.
    case message(StreamID, [UInt8])
    /// Bytes of a raw stream; the reader grants them back with ``Connection/consumed(_:on:)``.
    case data(StreamID, [UInt8])
    /// The remote will send no more on the stream.
    case streamFinished(StreamID)
    /// The stream is gone: reset, refused, or against a limit.
    indirect case streamFailed(StreamID, ChannelError)
    /// Both sides finished; the stream is gone.
    case streamClosed(StreamID)
    /// A stream's queue, which had exceeded the high watermark, fell below the low one.
    case writable(StreamID)
    /// A round trip was measured.
    case roundTrip(Duration)
    /// The link is over; nothing follows.
    indirect case closed(ChannelError)
  }

  /// Figures about a link.
  public struct Statistics: Hashable, Sendable {
    /// Bytes from the transport.
    public var bytesReceived: UInt64 = 0
    /// Yamux frames received.
    public var framesReceived: UInt64 = 0
    /// Bytes for the transport.
    public var bytesSent: UInt64 = 0
    /// Streams open or being opened, of both sides.
    public var streams = 0
    /// Bytes queued for sending over all streams.
    public var queuedBytes = 0
    /// Bytes of messages that have not wholly arrived.
    public var reassemblyBytes = 0
    /// The smoothed round trip, once measured.
    public var roundTrip: Duration?
    /// Inbound streams refused because there were too many.
    public var refusedStreams: UInt64 = 0
    /// Bytes reserved in the link's memory scope.
    public var reservedBytes = 0
  }

  /// Where the link stands; goes through the cases in order and may skip `muxer`.
  enum Phase {
    /// Agreeing on Noise, in the clear.
    case security(Negotiation)
    /// The three Noise messages.
    case noise(NoiseHandshake)
    /// Agreeing on Yamux inside Noise.
    case muxer(Negotiation)
    /// Yamux frames.
    case open
    /// Over; `close` was reported.
    case closed
  }

  let role: Role
  let staticKey: NoiseStaticKey
  let crypto: any CryptoSuite
  let configuration: Configuration
  /// The protocols that inbound streams may name, and the framing of those that are opened here. May be replaced at any time;
  /// streams that exist keep their framing.
  public var protocols: ProtocolTable

  var phase: Phase
  let start: Instant
  /// The latest `now`.
  var clock: Instant
  var remote: RemoteIdentity?
  var remoteKey: (peer: PeerID, key: PublicKey)?
  var ephemeralSecret: [UInt8]?
  /// What lies between the transport and all else in a private network.
  let privateStream: PrivateStream?
  var statisticsStore = Statistics()

  // Input.
  /// A unit (negotiation message, Noise message) that has not wholly arrived.
  var carry: [UInt8] = []
  /// A muxer negotiation message that has not wholly arrived.
  var inner: [UInt8] = []
  var receiveCipher: (any FrameCipher)?
  var receiveCounter: UInt64 = 0
  var headerBytes: [UInt8] = []
  /// What is left of the data frame being read, and whose it is; `nil` for one that is discarded.
  var bodyRemaining = 0
  var bodyStream: ChannelStream?
  var bodyFinishes = false

  // Output.
  /// Bytes in the clear; all of them go before the first encrypted one.
  var clearOutput: [UInt8] = []
  var sendCipher: (any FrameCipher)?
  var sendCounter: UInt64 = 0
  /// Whole frames (or negotiation messages) that go before any stream's data.
  var control: [UInt8] = []
  /// The go-away that follows the last data.
  var finalGoAway: UInt32?
  var updates = StreamQueue()
  var ready = StreamQueue()

  // Streams.
  var byWire: [UInt32: ChannelStream] = [:]
  var byID: [StreamID: ChannelStream] = [:]
  /// The stream of the latest frame, for the next one is mostly the same one's.
  var latest: ChannelStream?
  var waiting = StreamQueue()
  var negotiating = StreamQueue()
  var inboundCount = 0
  var outboundCount = 0
  var unacknowledged = 0
  /// What the remote may still send for streams that are gone: what their windows admitted when they ended.
  var lateAllowance = 0
  var nextInbound: UInt32 = 1
  var nextWire: UInt32
  /// What the remote makes this side keep.
  let memory: MemoryScope
  /// What of that is for bytes that belong to no stream.
  var bufferCharge = 0
  var remoteGoAway: UInt32?

  // Round trips.
  var pingValue: UInt32 = 0
  var pingSent: Instant?
  var pingLatest: Instant = .zero

  /// Makes the machine of a link whose transport has just connected.
  ///
  /// - Parameters:
  ///   - staticKey: this host's Noise key, made once for the process.
  ///   - memory: the scope that the link's own is made in; without one the link is bounded by its configuration alone.
  ///   - ephemeralSecret: only for tests with a known transcript; drawn from `crypto` when absent.
  public init(
    role: Role, staticKey: NoiseStaticKey, crypto: any CryptoSuite, configuration: Configuration = .init(),
    protocols: ProtocolTable = .init(), memory: MemoryScope? = nil, now: Instant, ephemeralSecret: [UInt8]? = nil
  ) {
    self.role = role
    self.staticKey = staticKey
    self.crypto = crypto
    self.configuration = configuration
    self.protocols = protocols
    self.memory = MemoryScope(limit: configuration.memoryMaximum, in: memory, keptForLife: configuration.memoryMaximum / 16)
    _ = self.memory.reserve(min(Connection.baseBytes, configuration.memoryMaximum), .life)
    self.ephemeralSecret = ephemeralSecret
    privateStream = configuration.networkKey.map { PrivateStream($0, crypto: crypto) }
    start = now
    clock = now
    switch role {
    case .listener:
      nextWire = 2
      phase = .security(Negotiation())
    case .dialer:
      nextWire = 1
      phase = .security(Negotiation(proposing: [Multistream.noise], flight: &clearOutput))
      if configuration.sendsHandshakeEarly { startEarlyHandshake() }
    }
  }

  /// The first Noise message of a dialer that does not wait for the answer to its proposal.
  var earlyHandshake: NoiseHandshake?

  // MARK: Input

  /// What a link costs that carries nothing; whoever makes one sees that its scope has room for it.
  public static let baseBytes = 8 << 10

  /// Takes bytes from the transport, any number at a time. They may be decrypted in place; nothing keeps a reference to them.
  public func receive(_ bytes: UnsafeMutableRawBufferPointer, now: Instant, into outputs: inout [Output]) {
    unsafe takeUnits(bytes, now: now, into: &outputs)
    settleBuffers(into: &outputs)
  }

  private func takeUnits(_ bytes: UnsafeMutableRawBufferPointer, now: Instant, into outputs: inout [Output]) {
    advance(now)
    statisticsStore.bytesReceived &+= UInt64(bytes.count)
    var rest = unsafe bytes
    if let privateStream, !isClosing {
      do throws(ChannelError) { unsafe rest = try privateStream.open(rest) } catch { return fail(error, into: &outputs) }
    }
    // First complete the unit that began in earlier calls.
    while !carry.isEmpty && !isClosing {
      switch unit(carry.rawSpan) {
      case .violation(let rule): return fail(.protocolViolation(rule), into: &outputs)
      case .needs(let total):
        let part = min(total - carry.count, rest.count)
        if part == 0 { return }
        if carry.capacity < total { carry.reserveCapacity(total) }
        unsafe carry.append(contentsOf: UnsafeRawBufferPointer(rebasing: rest[..<part]))
        unsafe rest = UnsafeMutableRawBufferPointer(rebasing: rest[part...])
      case .whole:
        var whole = carry
        carry = []
        unsafe whole.withUnsafeMutableBytes { unsafe handleUnit($0, into: &outputs) }
      }
    }
    // Then take whole units where they are.
    while unsafe !rest.isEmpty && !isClosing {
      switch unsafe unit(UnsafeRawBufferPointer(rest).bytes) {
      case .violation(let rule): return fail(.protocolViolation(rule), into: &outputs)
      case .needs:
        unsafe carry.append(contentsOf: rest)
        return
      case .whole(let size, _):
        unsafe handleUnit(UnsafeMutableRawBufferPointer(rebasing: rest[..<size]), into: &outputs)
        unsafe rest = UnsafeMutableRawBufferPointer(rebasing: rest[size...])
      }
    }
  }

  /// Takes a copy of bytes from the transport; for tests and simulators.
  public func receive(_ bytes: [UInt8], now: Instant, into outputs: inout [Output]) {
    var copy = bytes
    unsafe copy.withUnsafeMutableBytes { unsafe receive($0, now: now, into: &outputs) }
  }

  /// The transport ended, or failed with `error`. Nothing can be sent any more.
  public func receiveEnd(_ error: ChannelError = .endOfFile, now: Instant, into outputs: inout [Output]) {
    advance(now)
    guard !isClosing else { return discardOutput() }
    var reason = privateStream?.explain(error) ?? error
    if error == .endOfFile, let code = remoteGoAway { reason = .remoteGoAway(code) }
    if statisticsStore.bytesReceived <= (privateStream == nil ? 0 : PrivateStream.nonceBytes), case .dialer = role {
      // A limit before the handshake, whose name the other end cannot say yet.
      reason = TurnAway.silence(isPrivate: privateStream != nil)
    }
    shut(reason, into: &outputs)
    discardOutput()
  }

  /// A deadline may have passed. Harmless when none has.
  public func handleTimer(now: Instant, into outputs: inout [Output]) {
    advance(now)
    switch phase {
    case .security, .noise, .muxer:
      if now - start >= configuration.handshakeTimeout {
        fail(privateStream?.explain(.handshakeTimeout) ?? .handshakeTimeout, into: &outputs)
      }
    case .open: expireNegotiations(into: &outputs)
    case .closed: break
    }
  }

  /// Closes the link: reports ``Output/closed(_:)`` and queues a go-away.
  ///
  /// - Parameters:
  ///   - code: 0 normal, 1 protocol error, 2 internal error, or an application's code.
  ///   - flush: whether data that is queued and that the remote's windows admit goes first; otherwise it is dropped.
  ///   - telling: the name of the reason, which a dialler is told that has not begun its handshake (``TurnAway``).
  public func close(
    _ reason: ChannelError, code: UInt32 = 0, flush: Bool = false, telling: String? = nil, into outputs: inout [Output]
  ) {
    guard !isClosing else { return }
    let isOpen = if case .open = phase { true } else { false }
    guard isOpen else {
      let words = telling.flatMap { wordsOfRefusal($0) }
      shut(reason, into: &outputs)
      discardOutput()
      if let words { clearOutput = words }
      return
    }
    finalGoAway = code
    if flush {
      phase = .closed
      releaseInput()
      for stream in byID.values { forgetInput(stream) }
      outputs.append(.closed(reason))
    } else {
      shut(reason, into: &outputs)
    }
  }

  // MARK: Queries

  /// Whether ``produce(into:maximumBytes:now:outputs:)`` would append bytes.
  public var hasPendingOutput: Bool {
    if !clearOutput.isEmpty { return true }
    // A remote may wait for the nonce before it says a word.
    if let privateStream, !privateStream.hasSentNonce, !isClosing { return true }
    guard sendCipher != nil else { return false }
    return !control.isEmpty || finalGoAway != nil || !updates.isEmpty || !ready.isEmpty
  }

  /// Whether ``Output/closed(_:)`` was reported.
  public var isClosing: Bool { if case .closed = phase { true } else { false } }

  /// Whether the link is over and nothing is left to send: the transport can be closed.
  public var isDrained: Bool { isClosing && !hasPendingOutput }

  /// Whether streams can be used.
  public var isEstablished: Bool { if case .open = phase { true } else { false } }

  /// The proven identity, once established.
  public var remoteIdentity: RemoteIdentity? { remote }

  /// When ``handleTimer(now:into:)`` is wanted; `nil` for never.
  public var nextDeadline: Instant? {
    switch phase {
    case .security, .noise, .muxer: start + configuration.handshakeTimeout
    case .open: negotiating.first?.negotiationDeadline
    case .closed: nil
    }
  }

  /// The link's figures now.
  public var statistics: Statistics {
    var result = statisticsStore
    result.streams = byID.count
    result.reservedBytes = memory.used
    return result
  }

  /// Bytes that the link keeps at the moment: input that is not whole, and output that was not produced. O(streams).
  public var bufferedBytes: Int {
    var total = carry.count + inner.count + clearOutput.count + control.count + statisticsStore.queuedBytes
    total += statisticsStore.reassemblyBytes
    for stream in byID.values { total += stream.inbox.count + stream.preamble.count }
    return total
  }

  /// Bytes queued on a stream; 0 when it is gone.
  public func queuedBytes(on id: StreamID) -> Int { byID[id]?.queuedBytes ?? 0 }

  // MARK: Ending

  /// Ends the link because of an error, with a go-away where the muxer runs.
  func fail(_ error: ChannelError, into outputs: inout [Output]) {
    guard !isClosing else { return }
    if case .open = phase {
      switch error {
      case .remoteGoAway, .decryptionFailed: break
      case .protocolViolation, .limit: finalGoAway = 1
      default: finalGoAway = 2
      }
    }
    shut(error, into: &outputs)
  }

  private func shut(_ error: ChannelError, into outputs: inout [Output]) {
    guard !isClosing else { return }
    phase = .closed
    releaseInput()
    for stream in byID.values {
      memory.release(stream.reserved)
      stream.drop()
    }
    byID = [:]
    byWire = [:]
    updates.removeAll()
    ready.removeAll()
    statisticsStore.queuedBytes = 0
    statisticsStore.reassemblyBytes = 0
    outputs.append(.closed(error))
  }

  private func releaseInput() {
    carry = []
    inner = []
    receiveCipher = nil
    earlyHandshake = nil
    bodyStream = nil
    latest = nil
    waiting.removeAll()
    negotiating.removeAll()
  }

  private func discardOutput() {
    clearOutput = []
    control = []
    finalGoAway = nil
    updates.removeAll()
    ready.removeAll()
    sendCipher = nil
  }

  func advance(_ now: Instant) { if now > clock { clock = now } }
}
