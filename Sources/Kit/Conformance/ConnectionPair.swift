import Identity
import SecureChannel
import Wire

/// Two connections back to back on a virtual clock: what one produces the other receives, cut as a test wants it.
public final class ConnectionPair {
  /// One of the two ends.
  public enum Side: Hashable, Sendable, CaseIterable {
    case dialer
    case listener

    /// The other end.
    public var other: Side { self == .dialer ? .listener : .dialer }
  }

  /// How bytes are cut on their way.
  public enum Cut: Sendable {
    /// As they were produced.
    case whole
    /// In pieces of this many bytes.
    case every(Int)
    /// In pieces of 1 to `maximum` bytes, drawn from a seed.
    case random(seed: UInt64, maximum: Int)
  }

  /// The end that dialled.
  public let dialer: Connection
  /// The end that was dialled.
  public let listener: Connection
  /// The virtual time.
  public var now: Instant
  /// What passes in one direction takes this long. Default zero.
  public var latency: Duration = .zero
  /// How bytes are cut.
  public var cut: Cut { didSet { generator = ConnectionPair.generator(cut) } }
  /// The most that is produced at a time. Default 64 KiB and the frame round it.
  public var produceMaximum = 65_537
  /// Whether raw data is granted back as soon as it was received. Default `true`.
  public var readsAtOnce = true
  /// Changes bytes on their way, given the sender; for hostile tests.
  public var tamper: ((Side, inout [UInt8]) -> Void)?

  /// What the dialer reported since the last ``takeOutputs(_:)``.
  private var outputs: [Side: [Connection.Output]] = [.dialer: [], .listener: []]
  private var generator: SeededGenerator

  /// Makes a pair.
  public init(dialer: Connection, listener: Connection, now: Instant = .zero, cut: Cut = .whole) {
    self.dialer = dialer
    self.listener = listener
    self.now = now
    self.cut = cut
    generator = ConnectionPair.generator(cut)
  }

  private static func generator(_ cut: Cut) -> SeededGenerator {
    if case .random(let seed, _) = cut { SeededGenerator(seed: seed) } else { SeededGenerator(seed: 0) }
  }

  /// The connection of one end.
  public subscript(_ side: Side) -> Connection { side == .dialer ? dialer : listener }

  /// What one end reported since the last call.
  public func takeOutputs(_ side: Side) -> [Connection.Output] {
    defer { outputs[side] = [] }
    return outputs[side] ?? []
  }

  /// Calls one end and keeps what it reports.
  @discardableResult
  public func on<T>(_ side: Side, _ body: (Connection, inout [Connection.Output]) -> T) -> T {
    var reports: [Connection.Output] = []
    let result = body(self[side], &reports)
    keep(side, reports)
    return result
  }

  /// Opens a stream at one end.
  public func open(_ side: Side, _ number: UInt32, _ protocols: [ProtocolID], framing: Framing? = nil) -> StreamID {
    let id = StreamID.outbound(number)
    on(side) { $0.openStream(id, protocols: protocols, framing: framing, now: now, into: &$1) }
    return id
  }

  /// Sends a message at one end.
  @discardableResult
  public func send(_ side: Side, _ bytes: [UInt8], on id: StreamID) -> Int { on(side) { $0.send(bytes, on: id, into: &$1) } }

  /// Moves bytes in both directions until both ends are silent, at most `rounds` times; the clock advances by ``latency`` each time.
  /// - Returns: whether they became silent.
  @discardableResult
  public func run(rounds: Int = 100_000) -> Bool {
    for _ in 0..<rounds {
      let first = produce(.dialer)
      let second = produce(.listener)
      if first.isEmpty && second.isEmpty { return true }
      now += latency
      deliver(first, to: .listener)
      deliver(second, to: .dialer)
    }
    return false
  }

  /// Lets time pass and both ends look at their timers.
  public func pass(_ duration: Duration) {
    now += duration
    for side in Side.allCases { on(side) { $0.handleTimer(now: now, into: &$1) } }
  }

  /// What one end has to send, up to ``produceMaximum``.
  public func produce(_ side: Side) -> [UInt8] {
    var bytes: [UInt8] = []
    on(side) { _ = $0.produce(into: &bytes, maximumBytes: produceMaximum, now: now, outputs: &$1) }
    if !bytes.isEmpty { tamper?(side, &bytes) }
    return bytes
  }

  /// Gives bytes to one end, cut as ``cut`` says.
  public func deliver(_ bytes: [UInt8], to side: Side) {
    var offset = 0
    while offset < bytes.count {
      let piece: Int
      switch cut {
      case .whole: piece = bytes.count
      case .every(let count): piece = max(count, 1)
      case .random(_, let maximum): piece = 1 + generator.index(below: maximum)
      }
      let end = min(offset + piece, bytes.count)
      on(side) { $0.receive(Array(bytes[offset..<end]), now: now, into: &$1) }
      offset = end
    }
  }

  private func keep(_ side: Side, _ reports: [Connection.Output]) {
    guard !reports.isEmpty else { return }
    outputs[side, default: []].append(contentsOf: reports)
    guard readsAtOnce else { return }
    for case .data(let id, let bytes) in reports { self[side].consumed(bytes.count, on: id) }
  }
}
