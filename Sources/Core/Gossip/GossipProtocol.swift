/// The versions of pubsub that a peer may speak, in ascending order of ability.
public enum GossipProtocol: Int, Hashable, Comparable, Sendable, CaseIterable {
  /// `/floodsub/1.0.0`: no mesh and no control messages; is sent every message of its topics.
  case floodsub = 0
  /// `/meshsub/1.0.0`: mesh and lazy gossip.
  case meshsub10 = 10
  /// `/meshsub/1.1.0`: adds backoff and peer exchange to PRUNE.
  case meshsub11 = 11
  /// `/meshsub/1.2.0`: adds IDONTWANT.
  case meshsub12 = 12

  /// The name as multistream-select writes it.
  public var name: String {
    switch self {
    case .floodsub: "/floodsub/1.0.0"
    case .meshsub10: "/meshsub/1.0.0"
    case .meshsub11: "/meshsub/1.1.0"
    case .meshsub12: "/meshsub/1.2.0"
    }
  }

  /// The version of a protocol name, or `nil`.
  public init?(name: String) {
    guard let version = GossipProtocol.allCases.first(where: { $0.name == name }) else { return nil }
    self = version
  }

  /// All versions, the best first: the order in which to propose them.
  public static let preferred: [GossipProtocol] = [.meshsub12, .meshsub11, .meshsub10, .floodsub]

  /// Whether the left one is the older.
  public static func < (left: GossipProtocol, right: GossipProtocol) -> Bool { left.rawValue < right.rawValue }
}
