/// Writes a protobuf message into a byte array, in the order of the calls.
///
/// Plain calls write a field even when it is zero or empty, as libp2p's key messages need;
/// leave the call out to leave the field out.
public struct ProtobufWriter: Sendable {
  /// What has been written.
  public private(set) var bytes: [UInt8] = []

  /// Makes an empty writer with room for `capacity` bytes.
  public init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

  /// Writes a number.
  public mutating func uint64(_ field: Int, _ value: UInt64) {
    Varint.append(UInt64(field) << 3, to: &bytes)
    Varint.append(value, to: &bytes)
  }

  /// Writes a non-negative number.
  public mutating func int(_ field: Int, _ value: Int) { uint64(field, UInt64(value)) }

  /// Writes a signed number in two's complement (`int64`).
  public mutating func int64(_ field: Int, _ value: Int64) { uint64(field, UInt64(bitPattern: value)) }

  /// Writes a truth value.
  public mutating func bool(_ field: Int, _ value: Bool) { uint64(field, value ? 1 : 0) }

  /// Writes bytes.
  public mutating func data(_ field: Int, _ value: some Collection<UInt8>) {
    Varint.append(UInt64(field) << 3 | 2, to: &bytes)
    Varint.append(UInt64(value.count), to: &bytes)
    bytes.append(contentsOf: value)
  }

  /// Writes text.
  public mutating func string(_ field: Int, _ value: String) { data(field, value.utf8) }

  /// Writes a digest.
  public mutating func hash(_ field: Int, _ value: Hash256) {
    Varint.append(UInt64(field) << 3 | 2, to: &bytes)
    bytes.append(32)
    value.append(to: &bytes)
  }

  /// Writes a nested message.
  public mutating func message(_ field: Int, _ build: (inout ProtobufWriter) -> Void) {
    var nested = ProtobufWriter()
    build(&nested)
    data(field, nested.bytes)
  }
}
