import Wire

/// The key of a private network: who does not have it cannot say a word to its members (libp2p/specs `pnet`).
public struct NetworkKey: Hashable, Sendable, CustomStringConvertible {
  /// Why bytes are not a key file.
  public enum FileError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The first line is another.
    case notAKeyFile
    /// The second line names no encoding that is known.
    case unknownEncoding(String)
    /// What follows does not encode 32 bytes.
    case badKey

    /// A sentence for the operator.
    public var description: String {
      switch self {
      case .notAKeyFile: "the first line is not \(NetworkKey.header)"
      case .unknownEncoding(let text): "the second line is \"\(text)\" instead of /base16/, /base64/ or /bin/"
      case .badKey: "the key behind the second line has not 32 bytes"
      }
    }
  }

  /// The 32 bytes.
  public let bytes: [UInt8]

  /// Makes a key of 32 bytes; `nil` for any other count.
  public init?(bytes: [UInt8]) {
    guard bytes.count == NetworkKey.byteCount else { return nil }
    self.bytes = bytes
  }

  /// Reads a key file as go-libp2p and IPFS have it: a line `/key/swarm/psk/1.0.0/`, a line `/base16/`, `/base64/` or `/bin/`, and the key.
  public init(file: [UInt8]) throws(FileError) {
    let lines = file.split(separator: 0x0a, maxSplits: 2, omittingEmptySubsequences: false)
    func text(_ index: Int) -> String {
      index < lines.count ? String(decoding: lines[index].prefix(100).filter { $0 != 0x0d }, as: UTF8.self) : ""
    }
    guard text(0) == NetworkKey.header else { throw .notAKeyFile }
    let rest = lines.count > 2 ? Array(lines[2]) : []
    let word = String(decoding: rest.prefix(200), as: UTF8.self).filter { !$0.isWhitespace && $0 != "=" }
    let decoded: [UInt8]?
    switch text(1) {
    case "/base16/": decoded = Base16.decode(word)
    case "/base64/": decoded = Base64URL.decode(String(word.map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 }))
    case "/bin/": decoded = Array(rest.prefix(NetworkKey.byteCount))
    default: throw .unknownEncoding(text(1))
    }
    guard let decoded, let key = NetworkKey(bytes: decoded) else { throw .badKey }
    self = key
  }

  /// The key file, in base16.
  public var file: String { "\(NetworkKey.header)\n/base16/\n\(Base16.encode(bytes))\n" }

  /// Never the key itself.
  public var description: String { "a network key" }

  static let header = "/key/swarm/psk/1.0.0/"
  static let byteCount = 32
}
