import Identity
import Wire

/// A message of the DNS (RFC 1035 §4), also as multicast DNS uses it (RFC 6762 §18).
///
/// Written without compression; read with it. What a message may cost to read is bounded by ``recordsMaximum`` and by its length.
public struct DNSMessage: Hashable, Sendable {
  /// The number that an answer echoes; 0 in multicast DNS.
  public var id: UInt16 = 0
  /// Whether this is an answer.
  public var isResponse = false
  /// Whether a part did not fit (the TC bit).
  public var isTruncated = false
  /// The outcome; 0 is good, 3 means that there is no such name.
  public var responseCode: UInt8 = 0
  /// What is asked.
  public var questions: [Question] = []
  /// What answers it.
  public var answers: [Record] = []
  /// What speaks for an authority; read past in ordinary answers.
  public var authorities: [Record] = []
  /// What the asker will probably want next.
  public var additionals: [Record] = []

  /// The most questions and records that a message may have.
  public static let recordsMaximum = 256

  /// Makes an empty message.
  public init() {}

  /// The kinds of record that discovery reads (IANA DNS parameters).
  public enum Kind: UInt16, Hashable, Sendable {
    /// An IPv4 address.
    case a = 1
    /// A name that stands for another one.
    case cname = 5
    /// A name for a name.
    case ptr = 12
    /// Texts.
    case txt = 16
    /// An IPv6 address.
    case aaaa = 28
    /// Host and port of a service.
    case srv = 33
    /// In questions: any kind.
    case any = 255
  }

  /// A question.
  public struct Question: Hashable, Sendable {
    /// About what.
    public var name: DNSName
    /// The kind of record asked for, as a number: askers may want kinds that this side does not know.
    public var kind: UInt16
    /// Multicast DNS: whether the answer may come to the asker alone (RFC 6762 §5.4).
    public var wantsUnicast: Bool

    /// Makes a question.
    public init(_ name: DNSName, _ kind: Kind, wantsUnicast: Bool = false) {
      self.name = name
      self.kind = kind.rawValue
      self.wantsUnicast = wantsUnicast
    }

    init(name: DNSName, kind: UInt16, wantsUnicast: Bool) {
      self.name = name
      self.kind = kind
      self.wantsUnicast = wantsUnicast
    }

    /// Whether a record of this kind is asked for.
    public func asks(for kind: Kind) -> Bool { self.kind == kind.rawValue || self.kind == Kind.any.rawValue }
  }

  /// A record.
  public struct Record: Hashable, Sendable {
    /// About what.
    public var name: DNSName
    /// What it says.
    public var data: Data
    /// For how many seconds it holds; 0 takes it back.
    public var lifetimeSeconds: UInt32
    /// Multicast DNS: whether older records of the same name and kind are void (RFC 6762 §10.2).
    public var isUnique: Bool

    /// Makes a record.
    public init(_ name: DNSName, _ data: Data, lifetimeSeconds: UInt32, isUnique: Bool = false) {
      self.name = name
      self.data = data
      self.lifetimeSeconds = lifetimeSeconds
      self.isUnique = isUnique
    }
  }

  /// What a record says.
  public enum Data: Hashable, Sendable {
    /// A or AAAA.
    case address(IPAddress)
    /// PTR.
    case pointer(DNSName)
    /// CNAME: the name that has the records.
    case alias(DNSName)
    /// TXT: byte strings of at most 255 bytes each.
    case texts([[UInt8]])
    /// SRV.
    case service(port: UInt16, host: DNSName)
    /// Any other kind, unread.
    case other(kind: UInt16)
  }
}

// MARK: Writing

extension DNSMessage {
  /// The encoded message. Texts longer than 255 bytes are cut.
  public var encoded: [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(512)
    bytes.appendBigEndian(id)
    // QR, AA on every answer (RFC 6762 §18.4), TC, and the code.
    let flags = (isResponse ? 0x8400 : 0) | (isTruncated ? 0x0200 : 0) | UInt16(responseCode & 0xf)
    bytes.appendBigEndian(flags)
    for count in [questions.count, answers.count, authorities.count, additionals.count] { bytes.appendBigEndian(UInt16(clamping: count)) }
    for question in questions {
      question.name.append(to: &bytes)
      bytes.appendBigEndian(question.kind)
      bytes.appendBigEndian(Self.internet | (question.wantsUnicast ? Self.topBit : 0))
    }
    for record in answers + authorities + additionals { record.append(to: &bytes) }
    return bytes
  }

  fileprivate static let internet: UInt16 = 1
  fileprivate static let topBit: UInt16 = 0x8000
}

extension DNSMessage.Record {
  fileprivate func append(to bytes: inout [UInt8]) {
    name.append(to: &bytes)
    bytes.appendBigEndian(data.kind)
    bytes.appendBigEndian(DNSMessage.internet | (isUnique ? DNSMessage.topBit : 0))
    bytes.appendBigEndian(lifetimeSeconds)
    var content: [UInt8] = []
    switch data {
    case .address(let address): content = address.bytes
    case .pointer(let name), .alias(let name): name.append(to: &content)
    case .texts(let texts):
      for text in texts {
        content.append(UInt8(min(255, text.count)))
        content.append(contentsOf: text.prefix(255))
      }
      // An empty list is one empty text (RFC 6763 §6.1).
      if texts.isEmpty { content.append(0) }
    case .service(let port, let host):
      content.append(contentsOf: [0, 0, 0, 0])
      content.appendBigEndian(port)
      host.append(to: &content)
    case .other: break
    }
    bytes.appendBigEndian(UInt16(clamping: content.count))
    bytes.append(contentsOf: content.prefix(Int(UInt16.max)))
  }
}

extension DNSMessage.Data {
  /// The kind's number.
  public var kind: UInt16 {
    switch self {
    case .address(let address): (address.isV6 ? DNSMessage.Kind.aaaa : .a).rawValue
    case .pointer: DNSMessage.Kind.ptr.rawValue
    case .alias: DNSMessage.Kind.cname.rawValue
    case .texts: DNSMessage.Kind.txt.rawValue
    case .service: DNSMessage.Kind.srv.rawValue
    case .other(let kind): kind
    }
  }
}

extension DNSMessage {
  /// What answers a question for records of a name: those of the name itself, or of the name that it stands for. Records of other names may have
  /// been put in by anybody on the way, and are passed over.
  public func answers(to name: DNSName, _ kind: Kind) -> [Data] {
    var name = name
    for _ in 0..<Self.aliasesMaximum {
      let own = answers.filter { $0.name == name }.map(\.data)
      let found = own.filter { $0.kind == kind.rawValue }
      if !found.isEmpty { return found }
      guard let next = own.lazy.compactMap({ if case .alias(let next) = $0 { next } else { nil } }).first else { break }
      name = next
    }
    return []
  }

  private static let aliasesMaximum = 16
}

// MARK: Reading

extension DNSMessage {
  /// Reads a message.
  public init(encoded span: RawSpan) throws(DNSError) {
    guard span.byteCount >= 12 else { throw .truncated }
    func word(_ offset: Int) -> UInt16 { UInt16(span.byte(offset)) << 8 | UInt16(span.byte(offset + 1)) }
    id = word(0)
    isResponse = word(2) & 0x8000 != 0
    isTruncated = word(2) & 0x0200 != 0
    responseCode = UInt8(word(2) & 0xf)
    let counts = (0..<4).map { Int(word(4 + 2 * $0)) }
    guard counts.reduce(0, +) <= Self.recordsMaximum else { throw .tooMany }
    var offset = 12
    for _ in 0..<counts[0] {
      let name = try DNSName.read(span, &offset)
      guard offset + 4 <= span.byteCount else { throw .truncated }
      questions.append(Question(name: name, kind: word(offset), wantsUnicast: word(offset + 2) & Self.topBit != 0))
      offset += 4
    }
    for _ in 0..<counts[1] { answers.append(try Self.readRecord(span, &offset)) }
    for _ in 0..<counts[2] { authorities.append(try Self.readRecord(span, &offset)) }
    for _ in 0..<counts[3] { additionals.append(try Self.readRecord(span, &offset)) }
  }

  private static func readRecord(_ span: RawSpan, _ offset: inout Int) throws(DNSError) -> Record {
    func word(_ offset: Int) -> UInt16 { UInt16(span.byte(offset)) << 8 | UInt16(span.byte(offset + 1)) }
    let name = try DNSName.read(span, &offset)
    guard offset + 10 <= span.byteCount else { throw .truncated }
    let kind = word(offset)
    let isUnique = word(offset + 2) & topBit != 0
    let lifetime = UInt32(word(offset + 4)) << 16 | UInt32(word(offset + 6))
    let start = offset + 10
    let end = start + Int(word(offset + 8))
    guard end <= span.byteCount else { throw .truncated }
    offset = end
    // Compressed names point at earlier parts of the message, so that data are read in place.
    func readName(at start: Int) throws(DNSError) -> DNSName {
      var inner = start
      let name = try DNSName.read(span, &inner)
      guard inner == end else { throw .badRecord }
      return name
    }
    let data: Data
    switch Kind(rawValue: kind) {
    case .a, .aaaa:
      guard end - start == (kind == Kind.a.rawValue ? 4 : 16), let address = IPAddress(bytes: (start..<end).map { span.byte($0) }) else {
        throw .badRecord
      }
      data = .address(address)
    case .ptr: data = .pointer(try readName(at: start))
    case .cname: data = .alias(try readName(at: start))
    case .srv:
      guard end - start > 6 else { throw .badRecord }
      data = .service(port: word(start + 4), host: try readName(at: start + 6))
    case .txt:
      var texts: [[UInt8]] = []
      var at = start
      while at < end {
        let length = Int(span.byte(at))
        guard at + 1 + length <= end else { throw .badRecord }
        texts.append((0..<length).map { span.byte(at + 1 + $0) })
        at += 1 + length
      }
      data = .texts(texts)
    case .any, nil: data = .other(kind: kind)
    }
    return Record(name, data, lifetimeSeconds: lifetime, isUnique: isUnique)
  }
}
