import Foundation

extension NodeConfiguration {
  /// Reads files, then the environment, then flags, and checks the whole.
  ///
  /// - Parameters:
  ///   - files: paths of TOML or YAML files; a later one wins.
  ///   - environment: the process's variables; only names that start with `STARLING_` are looked at, but for those of Kubernetes' service
  ///     links. An empty one is as good as none.
  ///   - flags: options without dashes, in order, as a ``ParsedCommand`` holds them; `config` is ignored.
  /// - Throws: a ``ConfigurationError`` with every fault of the layer at which reading stopped.
  public static func load(
    files: [String] = [], environment: [String: String] = [:], flags: [(name: String, value: String)] = []
  ) throws(ConfigurationError) -> NodeConfiguration {
    var configuration = NodeConfiguration()
    for path in files.map(\.trimmed) where !path.isEmpty {
      let file = try ConfigurationFile(path: path)
      try configuration.apply(file)
    }
    try configuration.apply(environment: environment)
    try configuration.apply(flags: flags)
    configuration.fitDefaults()
    try configuration.check()
    return configuration
  }

  /// Reads one file's text; the path's extension tells the format. For tests and tools.
  public static func load(text: String, path: String) throws(ConfigurationError) -> NodeConfiguration {
    var configuration = NodeConfiguration()
    try configuration.apply(ConfigurationFile(text: Array(text.utf8), path: path))
    configuration.fitDefaults()
    try configuration.check()
    return configuration
  }

  private mutating func apply(_ file: ConfigurationFile) throws(ConfigurationError) {
    var layer = Layer()
    let spellings = Self.keys.flatMap { [$0.name] + $0.aliases }
    for entry in file.entries {
      guard let key = Self.keys.first(where: { $0.name == entry.key || $0.aliases.contains(entry.key) }) else {
        layer.report(entry.source, entry.key, Self.unknown("key", suggestion(for: entry.key, among: spellings)))
        continue
      }
      layer.set(key, entry.value, entry.source, spelled: entry.key, on: &self)
    }
    try layer.finish(&self)
  }

  private mutating func apply(environment: [String: String]) throws(ConfigurationError) {
    var layer = Layer()
    for (name, text) in environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix("STARLING_") && name != "STARLING_CONFIG" {
      if ServiceLink.isOne(name, text) {
        ignoredVariables.append(name)
        continue
      }
      if text.trimmed.isEmpty { continue }
      guard let key = Self.keys.first(where: { $0.environment == name }) else {
        layer.report(.environment(name), "", Self.unknown("variable", suggestion(for: name, among: Self.keys.map(\.environment))))
        continue
      }
      layer.set(key, key.value(of: text, separated: true), .environment(name), spelled: "", on: &self)
    }
    try layer.finish(&self)
  }

  private mutating func apply(flags: [(name: String, value: String)]) throws(ConfigurationError) {
    var layer = Layer()
    var lists: [String: [ConfigurationValue]] = [:]
    for (name, text) in flags where name != "config" {
      let negated = name.hasPrefix("no-") ? String(name.dropFirst(3)) : nil
      let key = Self.keys.first { $0.flag == name || ($0.kind == .boolean && $0.flag == negated) }
      guard let key else {
        layer.report(.flag("--" + name), "", Self.unknown("flag", suggestion(for: name, among: Self.keys.map(\.flag)).map { "--" + $0 }))
        continue
      }
      var value = key.flag == name ? key.value(of: text, separated: false) : .boolean(false)
      if case .list(let items) = value {
        lists[name, default: []] += items
        value = .list(lists[name] ?? [])
        layer.forget(key)
      }
      layer.set(key, value, .flag("--" + name), spelled: "", on: &self)
    }
    try layer.finish(&self)
  }

  private static func unknown(_ what: String, _ near: String?) -> String {
    "unknown \(what)" + (near.map { "; did you mean \($0)?" } ?? "")
  }

  /// Defaults give way to what was set: a file that says only `max_peers: 5` is not contradictory.
  private mutating func fitDefaults() {
    if identity == .ip && sources["listen"] == nil { listen = ["/ip4/0.0.0.0/tcp/\(defaultPort)"] }
    if sources["max_outbound"] == nil { maxOutbound = min(max(maxOutbound, sources["min_outbound"] == nil ? 0 : minOutbound), maxPeers) }
    if sources["min_outbound"] == nil { minOutbound = min(minOutbound, maxOutbound) }
  }

  /// What only shows when all layers are in.
  private func check() throws(ConfigurationError) {
    var problems: [ConfigurationError.Problem] = []
    func report(_ key: String, _ other: String, _ message: String) {
      let source = sources[key] ?? sources[other] ?? .default
      problems.append(.init(source: source, key: sources[key] == nil && sources[other] != nil ? other : key, message: message))
    }
    if minOutbound > maxOutbound {
      report("min_outbound", "max_outbound", "min_outbound (\(minOutbound)) must not be above max_outbound (\(maxOutbound))")
    }
    if maxOutbound > maxPeers {
      report("max_outbound", "max_peers", "max_outbound (\(maxOutbound)) must not be above max_peers (\(maxPeers))")
    }
    if nodeType == .authority && producerKeyFile.isEmpty {
      report("node_type", "producer_key", "node_type authority needs producer_key")
    }
    if nodeType == .full && !producerKeyFile.isEmpty {
      report("producer_key", "node_type", "producer_key is for node_type authority")
    }
    if !problems.isEmpty { throw ConfigurationError(problems) }
  }

  /// The values of one file, of the environment or of the command line.
  private struct Layer {
    private var problems: [ConfigurationError.Problem] = []
    private var seen: [String: (spelled: String, source: ConfigurationSource)] = [:]

    mutating func report(_ source: ConfigurationSource, _ key: String, _ message: String) {
      problems.append(.init(source: source, key: key, message: message))
    }

    mutating func forget(_ key: ConfigurationKey) { seen[key.name] = nil }

    mutating func set(
      _ key: ConfigurationKey, _ value: ConfigurationValue, _ source: ConfigurationSource, spelled: String,
      on configuration: inout NodeConfiguration
    ) {
      if let earlier = seen[key.name] {
        let other = earlier.spelled == spelled ? "set twice" : "says the same as \(earlier.spelled) (\(earlier.source)); keep one of them"
        report(source, spelled, other)
        return
      }
      seen[key.name] = (spelled, source)
      do throws(ValueError) {
        try key.apply(&configuration, value)
        configuration.sources[key.name] = source
      } catch {
        report(source, spelled, error.message)
      }
    }

    mutating func finish(_ configuration: inout NodeConfiguration) throws(ConfigurationError) {
      if let legacy = seen["p2p_port"] ?? seen["p2p_bind_addr"] {
        if seen["listen"] != nil {
          report(legacy.source, legacy.spelled, "contradicts listen; keep one of them")
        } else {
          let address = configuration.p2pBindAddress ?? "0.0.0.0"
          let family = address.contains(":") ? "ip6" : "ip4"
          configuration.listen = ["/\(family)/\(address)/tcp/\(configuration.p2pPort ?? 9_000)"]
          configuration.sources["listen"] = legacy.source
        }
      }
      if !problems.isEmpty { throw ConfigurationError(problems) }
    }
  }
}
