/// What differs between the settings that a node runs with and those that were read again.
struct Reload {
  /// Keys whose new values are in force.
  private(set) var applied: [String] = []
  /// Keys whose new values wait for a restart.
  private(set) var waiting: [String] = []
  /// Peers and seeds that are new, and nothing else that differs.
  private(set) var added: NodeConfiguration

  init(from old: NodeConfiguration, to new: NodeConfiguration) {
    added = new
    var removed: Set<String> = []
    for (name, list) in Self.lists {
      let before = old[keyPath: list]
      added[keyPath: list] = new[keyPath: list].filter { !before.contains($0) }
      if !Set(before).isSubset(of: new[keyPath: list]) { removed.insert(name) }
    }
    for key in NodeConfiguration.keys where !key.isLegacy && key.show(old) != key.show(new) {
      let list = Self.lists.first { $0.name == key.name }?.path
      if key.name == "log_level" || list.map({ !added[keyPath: $0].isEmpty }) ?? false { applied.append(key.name) }
      if key.name != "log_level" && (list == nil || removed.contains(key.name)) { waiting.append(key.name) }
    }
  }

  /// The lists of which additions are taken over. What left one stays known until a restart, or until an operator drops it.
  private static let lists: [(name: String, path: any WritableKeyPath<NodeConfiguration, [String]> & Sendable)] = [
    ("bootstrap_peers", \.bootstrapPeers), ("seed_peers", \.seedPeers), ("dns_seeds", \.dnsSeeds), ("peers", \.peers),
  ]
}
