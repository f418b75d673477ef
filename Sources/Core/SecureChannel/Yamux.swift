import Wire

/// The numbers of Yamux (hashicorp/yamux `spec.md`).
enum Yamux {
  static let protocolID: ProtocolID = "/yamux/1.0.0"
  static let headerBytes = 12
  static let initialWindow = 256 << 10

  static let data: UInt32 = 0
  static let windowUpdate: UInt32 = 1
  static let ping: UInt32 = 2
  static let goAway: UInt32 = 3

  static let syn: UInt32 = 1
  static let ack: UInt32 = 2
  static let fin: UInt32 = 4
  static let rst: UInt32 = 8

  /// Appends a header: version 0, type, flags, stream and length, all big-endian.
  static func append(type: UInt32, flags: UInt32, stream: UInt32, length: UInt32, to buffer: inout [UInt8]) {
    let high = (UInt64(type << 16 | flags) << 32 | UInt64(stream)).bigEndian
    let low = length.bigEndian
    unsafe withUnsafeBytes(of: high) { unsafe buffer.append(contentsOf: $0) }
    unsafe withUnsafeBytes(of: low) { unsafe buffer.append(contentsOf: $0) }
  }
}

/// A header as it came from the wire.
struct YamuxHeader: Hashable {
  let version: UInt32
  let type: UInt32
  let flags: UInt32
  let stream: UInt32
  let length: UInt32

  /// Reads 12 bytes at `offset`, which lie inside the span.
  init(_ span: RawSpan, at offset: Int) {
    precondition(offset >= 0 && span.byteCount - offset >= Yamux.headerBytes, "a Yamux header needs 12 bytes")
    let word = unsafe span.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt32.self).bigEndian
    version = word >> 24
    type = word >> 16 & 0xff
    flags = word & 0xffff
    stream = unsafe span.unsafeLoadUnaligned(fromUncheckedByteOffset: offset + 4, as: UInt32.self).bigEndian
    length = unsafe span.unsafeLoadUnaligned(fromUncheckedByteOffset: offset + 8, as: UInt32.self).bigEndian
  }

  func has(_ flag: UInt32) -> Bool { flags & flag != 0 }
}
