import Wire

/// Reading of messages that have one form only: every field present, in ascending order.
/// What a padded number could still hide is found by encoding the result again.
extension ProtobufReader {
  /// Takes the next field, which must be this one.
  @_lifetime(self: copy self)
  mutating func expect(_ field: Field) throws(ProtobufError) {
    guard try nextField() == field else { throw .badField(field.number) }
  }

  /// The expected field as a number.
  @_lifetime(self: copy self)
  mutating func uint64(expected field: Int) throws(ProtobufError) -> UInt64 {
    try expect(.number(field))
    return uint64
  }

  /// The expected field as a digest.
  @_lifetime(self: copy self)
  mutating func hash(expected field: Int) throws(ProtobufError) -> Hash256 {
    try expect(.bytes(field))
    guard let hash = Hash256(span) else { throw .badField(field) }
    return hash
  }

  /// The expected field as an address.
  @_lifetime(self: copy self)
  mutating func address(expected field: Int) throws(ProtobufError) -> Address {
    try expect(.bytes(field))
    guard let address = Address(span) else { throw .badField(field) }
    return address
  }

  /// The expected field as at most `limit` bytes.
  @_lifetime(self: copy self)
  mutating func bytes(expected field: Int, limit: Int) throws(ProtobufError) -> [UInt8] {
    try expect(.bytes(field))
    guard range.count <= limit else { throw .badField(field) }
    return bytes
  }

  /// Refuses anything behind the last field.
  @_lifetime(self: copy self)
  mutating func expectEnd() throws(ProtobufError) {
    if let field = try nextField() { throw .badField(field.number) }
  }
}

extension ProtobufWriter {
  mutating func address(_ field: Int, _ value: Address) { data(field, value.bytes) }
}
