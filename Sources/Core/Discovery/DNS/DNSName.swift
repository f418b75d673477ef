import Wire

/// A domain name: labels of 1 to 63 bytes, at most 255 bytes as they travel (RFC 1035 §2.3.4).
///
/// Letters are kept in lower case, since names that differ in case only are the same (RFC 1035 §2.3.3).
public struct DNSName: Hashable, Sendable, CustomStringConvertible {
  /// The labels, the most special one first. None of them is empty; the root has none.
  public let labels: [[UInt8]]

  /// The most bytes of a name as it travels, with the length of each label and the root's.
  public static let bytesMaximum = 255

  /// Makes a name; `nil` when a label is empty or longer than 63 bytes, or the whole is too long.
  public init?(labels: [[UInt8]]) {
    guard labels.allSatisfy({ (1...63).contains($0.count) }), labels.reduce(1, { $0 + $1.count + 1 }) <= Self.bytesMaximum else {
      return nil
    }
    self.labels = labels.map { $0.map(Self.lowercased) }
  }

  /// Reads `example.com` or `example.com.`; `nil` for what is no name of printable ASCII. Every dot separates labels.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { return nil }
    var parts = text.split(separator: ".", omittingEmptySubsequences: false)
    if parts.last?.isEmpty == true { parts.removeLast() }
    guard !parts.isEmpty else { return nil }
    self.init(labels: parts.map { Array($0.utf8) })
  }

  /// The labels with dots between them, without one at the end; bytes that are not printable as `\DDD` (RFC 1035 §5.1).
  public var description: String {
    labels.map { label in
      label.map { byte in
        if byte > 0x20, byte < 0x7f, byte != UInt8(ascii: "."), byte != UInt8(ascii: "\\") { return String(Unicode.Scalar(byte)) }
        let number = String(byte)
        return "\\" + String(repeating: "0", count: 3 - number.count) + number
      }.joined()
    }.joined(separator: ".")
  }

  /// Whether the name is `other` or stands below it.
  public func isWithin(_ other: DNSName) -> Bool {
    labels.count >= other.labels.count && labels.suffix(other.labels.count).elementsEqual(other.labels)
  }

  /// Appends the name uncompressed.
  func append(to bytes: inout [UInt8]) {
    for label in labels {
      bytes.append(UInt8(label.count))
      bytes.append(contentsOf: label)
    }
    bytes.append(0)
  }

  /// Reads a name at `offset`, which becomes the offset behind it. A pointer must lead backwards, so that reading ends (RFC 1035 §4.1.4).
  static func read(_ span: RawSpan, _ offset: inout Int) throws(DNSError) -> DNSName {
    var labels: [[UInt8]] = []
    var total = 1
    var at = offset
    var limit = span.byteCount
    var hasJumped = false
    while true {
      guard at < limit else { throw .truncated }
      let length = Int(span.byte(at))
      switch length >> 6 {
      case 0 where length == 0:
        if !hasJumped { offset = at + 1 }
        guard let name = DNSName(labels: labels) else { throw .badName }
        return name
      case 0:
        guard at + 1 + length <= limit else { throw .truncated }
        total += length + 1
        guard total <= bytesMaximum else { throw .badName }
        labels.append((0..<length).map { span.byte(at + 1 + $0) })
        at += 1 + length
      case 3:
        guard at + 1 < limit else { throw .truncated }
        let target = (length & 0x3f) << 8 | Int(span.byte(at + 1))
        guard target < at else { throw .badName }
        if !hasJumped { offset = at + 2 }
        hasJumped = true
        // What a pointer leads to ends before the pointer, or a chain of them could read one label for ever.
        limit = at
        at = target
      default: throw .badName
      }
    }
  }

  private static func lowercased(_ byte: UInt8) -> UInt8 { (0x41...0x5a).contains(byte) ? byte | 0x20 : byte }
}

/// Why bytes are not a DNS message.
public enum DNSError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The message ends within a part of it.
  case truncated
  /// A name that is too long, or whose pointers lead forwards.
  case badName
  /// A record whose data have another form than its type asks for.
  case badRecord
  /// More questions or records than ``DNSMessage/recordsMaximum``.
  case tooMany

  /// What is wrong, in words.
  public var description: String {
    switch self {
    case .truncated: "it ends inside a part of it"
    case .badName: "a name is too long or badly written"
    case .badRecord: "a record is badly written"
    case .tooMany: "it has too many records"
    }
  }
}
