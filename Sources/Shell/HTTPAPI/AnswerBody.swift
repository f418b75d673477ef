import Wire

/// A long body that is made while it is sent, piece by piece, as its client reads it: a client that does not read has nothing made for it. Called
/// by one thread at a time, on the server's event thread: a piece must not take long.
public protocol PiecewiseBody: AnyObject, Sendable {
  /// Bytes that are kept until the body is sent.
  var keptBytes: Int { get }

  /// The next piece, not empty and best of some ten kilobytes; `nil` at the end.
  func next() -> [UInt8]?
}

/// A long answer on its way: sent from where it is, and given up when its client is too slow. Used by the event thread of its connection.
final class AnswerBody: @unchecked Sendable {
  private var piece: [UInt8]
  private var position = 0
  private let pieces: (any PiecewiseBody)?
  /// Told of the length of each piece.
  private let charge: (Int) -> Void
  private var deadline: ContinuousClock.Instant

  /// - Parameter timeout: the time that its client has, and a second more for each ``slowestBytesPerSecond``.
  init(_ response: HTTPResponse, within timeout: Duration, charge: @escaping (Int) -> Void) {
    piece = response.body
    pieces = response.pieces
    self.charge = charge
    deadline = .now + timeout
    begin()
  }

  private func begin() {
    position = 0
    charge(piece.count)
    deadline += .milliseconds(piece.count * 1_000 / Self.slowestBytesPerSecond)
  }

  /// Copies what comes next; negative to end the connection.
  func read(into buffer: UnsafeMutablePointer<CChar>, maximum: Int) -> Int {
    guard ContinuousClock.now < deadline else { return Self.endWithError }
    if position == piece.count {
      // A body of one piece has a length, beyond which nobody asks.
      guard let pieces else { return Self.endWithError }
      guard let next = pieces.next(), !next.isEmpty else { return Self.endOfStream }
      piece = next
      begin()
    }
    let count = min(maximum, piece.count - position)
    piece.withUnsafeBytes { UnsafeMutableRawPointer(buffer).copyMemory(from: $0.baseAddress! + position, byteCount: count) }
    position += count
    return count
  }

  /// `MHD_CONTENT_READER_END_OF_STREAM`
  private static let endOfStream = -1
  /// `MHD_CONTENT_READER_END_WITH_ERROR`
  private static let endWithError = -2
  /// Clients that read more slowly than this are given up.
  private static let slowestBytesPerSecond = 65_536
}
