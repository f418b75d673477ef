import Discovery
import Foundation
import Identity

/// One key of the configuration: the same for files, environment, flags, help and documentation.
public struct ConfigurationKey: Sendable {
  /// What a value may be.
  public enum Kind: Hashable, Sendable {
    /// Any text; the argument says of what, for help.
    case text(String)
    /// A whole number in a range.
    case integer(ClosedRange<Int>)
    /// True or false; a flag without a value means true, `--no-…` false.
    case boolean
    /// Seconds, or a text such as `500ms`, `10s` or `2m`, up to so many seconds.
    case duration(maximumSeconds: Int)
    /// Texts; comma-separated in an environment variable, repeated as a flag.
    case list(String)
    /// One of these words.
    case choice([String])
  }

  /// The name in files.
  public let name: String
  /// What a value may be.
  public let kind: Kind
  /// Other spellings that files may use, from other systems.
  public let aliases: [String]
  /// One line of help.
  public let help: String
  /// The flag without its dashes.
  public let flag: String
  /// Whether the value must not be shown.
  public let isSecret: Bool
  /// Whether the key is only another system's way to say what further keys say.
  public let isLegacy: Bool
  /// The value as text.
  let show: @Sendable (NodeConfiguration) -> String
  private let setter: Setter

  typealias Setter = @Sendable (inout NodeConfiguration, ConfigurationValue, ConfigurationKey) throws(ValueError) -> Void

  /// The environment variable.
  public var environment: String { "STARLING_" + name.uppercased() }

  /// What stands for the value in help; `nil` for a switch.
  public var placeholder: String? {
    switch kind {
    case .text(let what), .list(let what): what
    case .integer: "N"
    case .boolean: nil
    case .duration: "SECONDS"
    case .choice(let words): words.joined(separator: "|")
    }
  }

  var expected: String {
    switch kind {
    case .text: "a text"
    case .integer(let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
    case .boolean: "true or false"
    case .duration(let maximum): "seconds from 0.001 to \(maximum), or a text such as \"10s\""
    case .list: "a list of texts"
    case .choice(let words): "one of " + words.joined(separator: ", ")
    }
  }

  func apply(_ configuration: inout NodeConfiguration, _ value: ConfigurationValue) throws(ValueError) {
    try setter(&configuration, try value.tidied(), self)
  }

  /// A text from the environment or a flag as a value of the key's kind. White space round it means nothing, as everywhere.
  func value(of given: String, separated: Bool) -> ConfigurationValue {
    let text = given.trimmed
    switch kind {
    case .text, .choice: return .text(text)
    case .integer: return Int(text).map { .integer($0) } ?? .text(text)
    case .boolean:
      switch text.lowercased() {
      case "true", "1", "yes", "on", "": return .boolean(true)
      case "false", "0", "no", "off": return .boolean(false)
      default: return .text(text)
      }
    case .duration: return Int(text).map { .integer($0) } ?? Double(text).map { .number($0) } ?? .text(text)
    case .list:
      let items = separated ? text.split(separator: ",").map { String($0).trimmed } : [text]
      return .list(items.filter { !$0.isEmpty }.map { .text($0) })
    }
  }

  func mismatch(_ value: ConfigurationValue) -> ValueError {
    if case .text(let text) = value { return ValueError("must be \(expected), not \"\(text.prefix(40))\"") }
    if case .integer(let number) = value { return ValueError("must be \(expected), not \(number)") }
    return ValueError("must be \(expected), not \(value.typeName)")
  }
}

extension ConfigurationKey {
  typealias Path<T> = any WritableKeyPath<NodeConfiguration, T> & Sendable
  typealias Check = @Sendable (String) -> String?

  private init(
    _ name: String, _ kind: Kind, _ aliases: [String], _ help: String, flag: String? = nil, secret: Bool = false, legacy: Bool = false,
    show: @escaping @Sendable (NodeConfiguration) -> String,
    setter: @escaping Setter
  ) {
    self.name = name
    self.kind = kind
    self.aliases = aliases
    self.help = help
    self.flag = flag ?? name.replacing("_", with: "-")
    isSecret = secret
    isLegacy = legacy
    self.show = show
    self.setter = setter
  }

  static func text(
    _ name: String, _ path: Path<String>, _ what: String, _ help: String, aliases: [String] = [], flag: String? = nil, secret: Bool = false,
    check: @escaping Check = { _ in nil }
  ) -> ConfigurationKey {
    ConfigurationKey(name, .text(what), aliases, help, flag: flag, secret: secret, show: { $0[keyPath: path] }) {
      (configuration, value, key) throws(ValueError) in
      guard case .text(let text) = value else { throw key.mismatch(value) }
      if let fault = check(text) { throw ValueError(fault) }
      configuration[keyPath: path] = text
    }
  }

  static func integer(
    _ name: String, _ path: Path<Int>, _ range: ClosedRange<Int>, _ help: String, aliases: [String] = []
  ) -> ConfigurationKey {
    ConfigurationKey(name, .integer(range), aliases, help, show: { "\($0[keyPath: path])" }) {
      (configuration, value, key) throws(ValueError) in
      guard case .integer(let number) = value, range.contains(number) else { throw key.mismatch(value) }
      configuration[keyPath: path] = number
    }
  }

  static func boolean(_ name: String, _ path: Path<Bool>, _ help: String) -> ConfigurationKey {
    ConfigurationKey(name, .boolean, [], help, show: { "\($0[keyPath: path])" }) { (configuration, value, key) throws(ValueError) in
      guard case .boolean(let flag) = value else { throw key.mismatch(value) }
      configuration[keyPath: path] = flag
    }
  }

  static func duration(
    _ name: String, _ path: Path<Duration>, maximumSeconds: Int, _ help: String, aliases: [String] = []
  ) -> ConfigurationKey {
    ConfigurationKey(name, .duration(maximumSeconds: maximumSeconds), aliases, help, show: { "\(seconds($0[keyPath: path]))" }) {
      (configuration, value, key) throws(ValueError) in
      let seconds: Double? =
        switch value {
        case .integer(let number): Double(number)
        case .number(let number): number
        case .text(let text): parseSeconds(text)
        default: nil
        }
      guard let seconds, seconds >= 0.001, seconds <= Double(maximumSeconds) else { throw key.mismatch(value) }
      configuration[keyPath: path] = .milliseconds(Int64((seconds * 1_000).rounded()))
    }
  }

  static func list(
    _ name: String, _ path: Path<[String]>, _ what: String, _ help: String, flag: String? = nil, check: @escaping Check = { _ in nil }
  ) -> ConfigurationKey {
    ConfigurationKey(name, .list(what), [], help, flag: flag, show: { $0[keyPath: path].joined(separator: ",") }) {
      (configuration, value, key) throws(ValueError) in
      var texts: [String] = []
      switch value {
      case .null: break
      case .list(let items):
        for (index, item) in items.enumerated() {
          guard case .text(let text) = item else { throw ValueError("entry \(index + 1) must be a text, not \(item.typeName)") }
          if let fault = check(text) { throw ValueError("entry \(index + 1): \(fault)") }
          texts.append(text)
        }
      default: throw key.mismatch(value)
      }
      guard texts.count <= listMaximum else { throw ValueError("has more than \(listMaximum) entries") }
      configuration[keyPath: path] = texts
    }
  }

  static func choice<T: RawRepresentable<String> & CaseIterable & Sendable>(
    _ name: String, _ path: Path<T>, _ help: String
  ) -> ConfigurationKey {
    let words = T.allCases.map(\.rawValue)
    return ConfigurationKey(name, .choice(words), [], help, show: { $0[keyPath: path].rawValue }) {
      (configuration, value, key) throws(ValueError) in
      guard case .text(let text) = value, let word = T(rawValue: text) else {
        if case .text(let text) = value, let near = suggestion(for: text, among: words) {
          throw ValueError("must be \(key.expected), not \"\(text.prefix(40))\"; did you mean \(near)?")
        }
        throw key.mismatch(value)
      }
      configuration[keyPath: path] = word
    }
  }

  static func legacyPort(_ name: String, _ help: String) -> ConfigurationKey {
    ConfigurationKey(name, .integer(1...65_535), [], help, legacy: true, show: { $0.p2pPort.map { "\($0)" } ?? "" }) {
      (configuration, value, key) throws(ValueError) in
      guard case .integer(let number) = value, (1...65_535).contains(number) else { throw key.mismatch(value) }
      configuration.p2pPort = number
    }
  }

  static func legacyBind(_ name: String, _ help: String) -> ConfigurationKey {
    ConfigurationKey(name, .text("IP"), [], help, legacy: true, show: { $0.p2pBindAddress ?? "" }) {
      (configuration, value, key) throws(ValueError) in
      guard case .text(let text) = value else { throw key.mismatch(value) }
      if let fault = Checks.address(text) { throw ValueError(fault) }
      configuration.p2pBindAddress = text
    }
  }

  private static func seconds(_ duration: Duration) -> String {
    let milliseconds = duration.components.seconds * 1_000 + duration.components.attoseconds / 1_000_000_000_000_000
    return milliseconds.isMultiple(of: 1_000) ? "\(milliseconds / 1_000)" : "\(Double(milliseconds) / 1_000)"
  }

  private static func parseSeconds(_ text: String) -> Double? {
    for (suffix, factor) in [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3_600)] where text.hasSuffix(suffix) {
      return Double(text.dropLast(suffix.count)).map { $0 * factor }
    }
    return Double(text)
  }

  private static let listMaximum = 1_024
}

/// What single values must look like; each returns the fault in words, or `nil`.
enum Checks {
  static func address(_ text: String) -> String? {
    IPAddress(text) == nil ? "\"\(text.prefix(60))\" is not an IP address" : nil
  }

  /// A multiaddr that can be dialled or leads to such ones, or host:port.
  static func peer(_ text: String) -> String? {
    if text.hasPrefix("/dnsaddr/") { return dnsaddr(text) }
    if text.hasPrefix("/") { return remote(text) }
    let fits = text.utf8.count <= 512 && (try? PeerAddress(dialling: text)) != nil
    return fits ? nil : "\"\(shown(text))\" must be a multiaddr or host:port"
  }

  /// Where others can dial: an IP address or a name, and a TCP port.
  static func remote(_ text: String) -> String? {
    multiaddr(text, such: "/ip4/192.0.2.1/tcp/9000") { address throws(AddressFault) in _ = try address.dialable() }
  }

  /// Where this machine can listen: an IP address and a TCP port, 0 for any.
  static func local(_ text: String) -> String? {
    multiaddr(text, such: "/ip4/0.0.0.0/tcp/9000") { address throws(AddressFault) in _ = try address.listenable() }
  }

  /// A name whose records hold addresses, with or without the PeerID that they have to end in.
  private static func dnsaddr(_ text: String) -> String? {
    (try? Multiaddr(text))?.dnsaddrDomain == nil || text.utf8.count > 512
      ? "\"\(shown(text))\" must be a multiaddr such as /dnsaddr/example.org" : nil
  }

  private static func multiaddr(_ text: String, such example: String, _ check: (Multiaddr) throws(AddressFault) -> Void) -> String? {
    let must = "\"\(shown(text))\" must be a multiaddr such as \(example)"
    guard text.utf8.count <= 512 else { return must }
    let address: Multiaddr
    do { address = try Multiaddr(text) } catch {
      // What is wrong with a name in it is seen nowhere else; the rest the example shows.
      if case .badMultiaddr(let fault) = error, text.contains("/p2p/") { return "\(must): \(fault)" }
      return must
    }
    do throws(AddressFault) { try check(address) } catch { return "\(must): \(error)" }
    return nil
  }

  /// What is shown of a value: all of an address with a PeerID, and no screenful.
  private static func shown(_ text: String) -> String { text.count <= 120 ? text : "\(text.prefix(120))…" }

  /// A host name, with or without a port, or a `/dnsaddr/` address.
  static func dnsSeed(_ text: String) -> String? {
    if text.hasPrefix("/dnsaddr/") { return dnsaddr(text) }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard (1...2).contains(parts.count), DNSName(parts[0]) != nil, !text.hasPrefix("/"), parts.count == 1 || UInt16(parts[1]) ?? 0 > 0
    else {
      return "\"\(shown(text))\" must be a host name, with or without :port, or /dnsaddr/ and a name"
    }
    return nil
  }

  /// An IPv4 address, with or without a port.
  static func nameServer(_ text: String) -> String? {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    var four = in_addr()
    let fits =
      inet_pton(AF_INET, String(parts.first ?? ""), &four) == 1 && parts.count <= 2 && (parts.count == 1 || UInt16(parts[1]) ?? 0 > 0)
    return text.isEmpty || fits ? nil : "\"\(shown(text))\" must be an IPv4 address, with or without :port"
  }

  /// `http://host:port`, without a path.
  static func webAddress(_ text: String) -> String? {
    WebAddress(text) == nil ? "\"\(shown(text))\" must be a URL such as http://192.0.2.1:5000, without a path" : nil
  }

  /// An IPv4 address.
  static func gateway(_ text: String) -> String? {
    var four = in_addr()
    return text.isEmpty || inet_pton(AF_INET, text, &four) == 1 ? nil : "\"\(text.prefix(60))\" is not an IPv4 address"
  }

  static func peerID(_ text: String) -> String? { (try? PeerID(text: text)) == nil ? "\"\(text.prefix(60))\" is not a PeerID" : nil }

  /// A network such as `10.0.0.0/8`.
  static func network(_ text: String) -> String? {
    IPNetwork(text) == nil ? "\"\(shown(text))\" must be a network such as 10.0.0.0/8" : nil
  }

  static func networkName(_ text: String) -> String? {
    let fits =
      (1...64).contains(text.utf8.count)
      && text.utf8.allSatisfy {
        switch $0 {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: true
        default: false
        }
      }
    return fits ? nil : "must be 1 to 64 letters, digits, '-', '_' or '.'"
  }

  static func token(_ text: String) -> String? {
    text.isEmpty || AdminToken.isGood(text) ? nil : "must have at least \(AdminToken.charactersMinimum) visible characters"
  }

  static func path(_ text: String) -> String? { text.isEmpty ? "must not be empty" : nil }
}
