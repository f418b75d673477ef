import CFYAML
import CTOML
import Foundation

/// A parsed file: its top-level keys with their places, in the order of the lines.
struct ConfigurationFile {
  struct Entry {
    let key: String
    let value: ConfigurationValue
    let source: ConfigurationSource
  }

  let entries: [Entry]

  /// Reads TOML (`.toml`) or YAML and JSON (`.yaml`, `.yml`, `.json`).
  init(path: String) throws(ConfigurationError) {
    let text: [UInt8]
    do throws(TextFile.Failure) { text = try TextFile.read(path, maximumBytes: Self.bytesMaximum) } catch {
      throw ConfigurationError(.file(path: path, line: error.line, column: 0), "", error.description)
    }
    try self.init(clean: text, path: path)
  }

  /// Reads a file's bytes.
  init(text: [UInt8], path: String) throws(ConfigurationError) {
    let clean: [UInt8]
    do throws(TextFile.Failure) { clean = try TextFile.text(text) } catch {
      throw ConfigurationError(.file(path: path, line: error.line, column: 0), "", error.description)
    }
    try self.init(clean: clean, path: path)
  }

  private init(clean text: [UInt8], path: String) throws(ConfigurationError) {
    switch URL(fileURLWithPath: path).pathExtension.lowercased() {
    case "toml": entries = try Self.toml(text, path)
    case "yaml", "yml", "json": entries = try Self.yaml(text, path)
    default:
      throw ConfigurationError(.file(path: path, line: 0, column: 0), "", "the file's name must end in .toml, .yaml or .json")
    }
  }

  // MARK: TOML

  private static func toml(_ text: [UInt8], _ path: String) throws(ConfigurationError) -> [Entry] {
    var output: UnsafeMutablePointer<CChar>?
    var line: UInt32 = 0
    var column: UInt32 = 0
    let code = withText(text) { ctoml_to_json($0, $1, &output, &line, &column) }
    defer { free(output) }
    let result = output.map { String(cString: $0) } ?? ""
    guard code == 0 else { throw ConfigurationError(.file(path: path, line: Int(line), column: Int(column)), "", result) }
    guard let table = try? JSONDecoder().decode([String: ConfigurationValue].self, from: Data(result.utf8)) else {
      throw ConfigurationError(.file(path: path, line: 0, column: 0), "", "the file holds a value that is not supported")
    }
    let places = tomlPlaces(text)
    return table.map { key, value in
      let place = places[key] ?? (0, 0)
      return Entry(key: key, value: value, source: .file(path: path, line: place.line, column: place.column))
    }.sorted { left, right in
      let (l, r) = (places[left.key]?.line ?? 0, places[right.key]?.line ?? 0)
      return l != r ? l < r : left.key < right.key
    }
  }

  /// Where the top-level keys and tables of a valid document stand. The JSON that the parser gives has lost it.
  private static func tomlPlaces(_ text: [UInt8]) -> [String: (line: Int, column: Int)] {
    var places: [String: (line: Int, column: Int)] = [:]
    var inTable = false
    for (index, line) in String(decoding: text, as: UTF8.self).split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      .enumerated()
    {
      let body = line.drop { $0 == " " || $0 == "\t" }
      let isHeader = body.hasPrefix("[")
      if inTable && !isHeader { continue }
      let start = isHeader ? body.drop { $0 == "[" || $0 == " " } : body
      let key =
        start.prefix { !" \t=.]\"'".contains($0) }.isEmpty
        ? start.dropFirst().prefix { !"\"'".contains($0) } : start.prefix { !" \t=.]".contains($0) }
      // An element of a list over several lines looks like a table's head at the most, and then has no such name.
      guard !key.isEmpty, isHeader ? body.contains("]") && !body.contains(",") : body.contains("=") else { continue }
      if isHeader { inTable = true }
      if places[String(key)] == nil { places[String(key)] = (index + 1, line.distance(from: line.startIndex, to: start.startIndex) + 1) }
    }
    return places
  }

  // MARK: YAML

  private static func yaml(_ text: [UInt8], _ path: String) throws(ConfigurationError) -> [Entry] {
    var configuration = fy_diag_cfg()
    fy_diag_cfg_default(&configuration)
    configuration.fp = nil
    configuration.output_fn = { _, _, _, _ in }
    guard let diagnostics = fy_diag_create(&configuration) else {
      throw ConfigurationError(.file(path: path, line: 0, column: 0), "", "no memory")
    }
    defer { fy_diag_destroy(diagnostics) }
    fy_diag_set_collect_errors(diagnostics, true)
    var parsing = fy_parse_cfg()
    parsing.diag = diagnostics
    // The document points into the text, so that it must outlive it.
    let copy = UnsafeMutableBufferPointer<CChar>.allocate(capacity: text.count + 1)
    defer { copy.deallocate() }
    _ = copy.initialize(from: (text + [0]).map { CChar(bitPattern: $0) })
    let document = fy_document_build_from_string(&parsing, copy.baseAddress, text.count)
    guard let document else {
      var previous: UnsafeMutableRawPointer?
      // An empty file gives neither a document nor an error.
      guard let error = fy_diag_errors_iterate(diagnostics, &previous)?.pointee else { return [] }
      let place = ConfigurationSource.file(path: path, line: Int(error.line), column: Int(error.column))
      throw ConfigurationError(place, "", error.msg.map { String(cString: $0) } ?? "the file is not valid YAML")
    }
    defer { fy_document_destroy(document) }
    guard let root = fy_document_root(document) else { return [] }
    let source = { (node: OpaquePointer?) -> ConfigurationSource in
      guard let token = fy_node_get_scalar_token(node), let mark = fy_token_start_mark(token) else {
        return .file(path: path, line: 0, column: 0)
      }
      return .file(path: path, line: Int(mark.pointee.line) + 1, column: Int(mark.pointee.column) + 1)
    }
    guard fy_node_get_type(root) == FYNT_MAPPING else {
      if yamlValue(root, depth: 0) == .null { return [] }
      throw ConfigurationError(.file(path: path, line: 1, column: 1), "", "the file must be a list of 'key: value' lines")
    }
    var entries: [Entry] = []
    var previous: UnsafeMutableRawPointer?
    while let pair = fy_node_mapping_iterate(root, &previous) {
      let keyNode = fy_node_pair_key(pair)
      guard let key = scalar(keyNode), let value = yamlValue(fy_node_pair_value(pair), depth: 0) else {
        throw ConfigurationError(source(keyNode), scalar(keyNode) ?? "", "aliases and nested keys are not supported here")
      }
      entries.append(Entry(key: key, value: value, source: source(keyNode)))
    }
    return entries
  }

  private static func scalar(_ node: OpaquePointer?) -> String? {
    guard fy_node_get_type(node) == FYNT_SCALAR, fy_node_get_style(node) != FYNS_ALIAS else { return nil }
    var length = 0
    guard let text = fy_node_get_scalar(node, &length) else { return "" }
    return String(decoding: UnsafeRawBufferPointer(start: text, count: length), as: UTF8.self)
  }

  /// The value of a node; plain scalars by the core schema (YAML 1.2.2 section 10.3.2).
  private static func yamlValue(_ node: OpaquePointer?, depth: Int) -> ConfigurationValue? {
    guard let node else { return .null }
    guard depth < Self.depthMaximum else { return nil }
    switch fy_node_get_type(node) {
    case FYNT_SEQUENCE:
      var items: [ConfigurationValue] = []
      var previous: UnsafeMutableRawPointer?
      while let item = fy_node_sequence_iterate(node, &previous) {
        guard let value = yamlValue(item, depth: depth + 1) else { return nil }
        items.append(value)
      }
      return .list(items)
    case FYNT_MAPPING: return .table([:])
    default:
      guard let text = scalar(node) else { return nil }
      guard fy_node_get_style(node) == FYNS_PLAIN else { return .text(text) }
      switch text {
      case "", "~", "null", "Null", "NULL": return .null
      case "true", "True", "TRUE": return .boolean(true)
      case "false", "False", "FALSE": return .boolean(false)
      default: break
      }
      if let number = Int(text) { return .integer(number) }
      if text.hasPrefix("0x"), let number = Int(text.dropFirst(2), radix: 16) { return .integer(number) }
      if text.wholeMatch(of: /[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?/) != nil, let number = Double(text) {
        return .number(number)
      }
      return .text(text)
    }
  }

  /// The text as a C string; also an empty one has an address.
  private static func withText<R>(_ text: [UInt8], _ body: (UnsafePointer<CChar>, Int) -> R) -> R {
    let terminated = (text + [0]).map { CChar(bitPattern: $0) }
    return terminated.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else { preconditionFailure("a buffer with one element has an address") }
      return body(base, text.count)
    }
  }

  private static let bytesMaximum = 1 << 20
  private static let depthMaximum = 8
}
