import Starling

/// `/harness/xfer/1.0.0`: two big-endian 64-bit counts, that many bytes there, one byte 0x01 back, that many bytes back.
enum Transfer {
  static let blockBytes = 256 << 10

  /// Serves a transfer.
  @Sendable static func serve(_ stream: PeerStream) async throws {
    let counts = try await stream.readExactly(16)
    try await drop(number(counts[..<8]), from: stream)
    try await stream.write([1])
    try await fill(number(counts[8...]), stream, block: blockBytes)
  }

  /// Runs a transfer; gives megabytes a second there and back.
  static func run(_ stream: PeerStream, up: Int, down: Int, block: Int) async throws -> (up: Double, down: Double) {
    guard up >= 0, down >= 0, block > 0 else { throw CommandError("up, down and block are counts of bytes") }
    let start = ContinuousClock.now
    try await stream.write(bytes(UInt64(up)) + bytes(UInt64(down)))
    try await fill(UInt64(up), stream, block: block)
    guard try await stream.readExactly(1) == [1] else { throw CommandError("a wrong acknowledgement") }
    let middle = ContinuousClock.now
    try await drop(UInt64(down), from: stream)
    let end = ContinuousClock.now
    stream.finish()
    return (Double(up) / (middle - start).seconds / 1e6, Double(down) / max((end - middle).seconds, 1e-9) / 1e6)
  }

  private static func fill(_ count: UInt64, _ stream: PeerStream, block: Int) async throws {
    let zeros = [UInt8](repeating: 0, count: block)
    var rest = count
    while rest > 0 {
      try await stream.write(rest >= UInt64(block) ? zeros : Array(zeros[..<Int(rest)]))
      rest -= min(rest, UInt64(block))
    }
  }

  private static func drop(_ count: UInt64, from stream: PeerStream) async throws {
    var rest = count
    while rest > 0 {
      guard let chunk = try await stream.read() else { throw CommandError("the peer finished \(rest) bytes too early") }
      guard UInt64(chunk.count) <= rest else { throw CommandError("the peer sent too much") }
      rest -= UInt64(chunk.count)
    }
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
  private static func bytes(_ number: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) } }
}
