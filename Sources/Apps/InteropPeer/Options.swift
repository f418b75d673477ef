import FoundationEssentials
import Starling

/// The flags of the command line.
struct Options {
  var listen: [String] = []
  var seed: Int?
  var gossipProtocols: [String] = []
  var isUnsigned = false
  var hasGossip = true
  var hasKademlia = true
  var isKademliaClient = false
  var heartbeat = 1.0
  var isDebugging = false
  var runsTestPlan = false
  var networkKey: NetworkKey?

  init(_ arguments: [String]) throws {
    var rest = arguments[...]
    func value(of flag: String) throws -> String {
      guard let value = rest.popFirst() else { throw CommandError("\(flag) needs a value") }
      return value
    }
    while let flag = rest.popFirst() {
      switch flag {
      case "--listen": listen.append(try value(of: flag))
      case "--seed":
        let text = try value(of: flag)
        guard let number = Int(text), number >= 0 else { throw CommandError("--seed \(text) is not a whole number") }
        seed = number
      case "--gossip-proto": gossipProtocols.append(try value(of: flag))
      case "--nosign": isUnsigned = true
      case "--swarm-key": networkKey = try NetworkKey(file: Array(Data(contentsOf: URL(filePath: try value(of: flag)))))
      case "--no-kad": hasKademlia = false
      case "--kad-client": isKademliaClient = true
      case "--no-pubsub": hasGossip = false
      case "--heartbeat":
        let text = try value(of: flag)
        guard let seconds = Double(text), seconds > 0 else { throw CommandError("--heartbeat \(text) is not a number of seconds") }
        heartbeat = seconds
      case "--debug": isDebugging = true
      case "--test-plans": runsTestPlan = true
      case "--help", "-h": throw CommandError(Self.usage)
      default: throw CommandError("unknown flag \(flag)\n\(Self.usage)")
      }
    }
    if listen.isEmpty { listen = ["/ip4/127.0.0.1/tcp/0"] }
  }

  /// The seed as 32 bytes, the most significant first.
  func key() throws -> NodeKey? {
    try seed.map { number in try NodeKey(seed: (0..<32).map { $0 < 24 ? 0 : UInt8(truncatingIfNeeded: number >> (8 * (31 - $0))) }) }
  }

  var topic: TopicConfiguration {
    isUnsigned ? TopicConfiguration(signing: .strictNoSign, identification: .contentHash(bytes: 20)) : TopicConfiguration()
  }

  func configuration() throws -> Host.Configuration {
    var gossip: Gossip.Configuration?
    if hasGossip {
      var settings = Gossip.Configuration()
      settings.heartbeatInterval = .seconds(heartbeat)
      settings.defaultTopic = topic
      gossip = settings
    }
    var configuration = try Host.Configuration(listen: listen, gossip: gossip)
    if hasKademlia {
      var kademlia = Kademlia.Configuration()
      kademlia.mode = isKademliaClient ? .client : .server
      kademlia.validators["v"] = AnyValueValidator()
      configuration.core.kademlia = kademlia
      configuration.core.kademliaProtocol = HostProtocols.publicKademlia
    }
    configuration.networkKey = networkKey
    configuration.core.agent = "starling-interop-peer/0.1.0"
    // Only what is asked for is dialled.
    configuration.core.peering.outboundMinimum = 0
    configuration.core.exchangesPeers = false
    // One tester plays many peers, good and bad, from one address.
    configuration.core.peering.acceptsPerSecond = 10_000
    configuration.core.peering.acceptBurst = 10_000
    configuration.core.peering.totalMaximum = 2_048
    configuration.core.peering.outboundMaximum = 1_024
    configuration.core.peering.handshakesMaximum = 1_024
    if !gossipProtocols.isEmpty {
      configuration.core.gossipProtocols = try gossipProtocols.map { name in
        guard let version = GossipProtocol(name: name) else { throw CommandError("--gossip-proto \(name) is not a known protocol") }
        return version
      }
    }
    return configuration
  }

  static let usage = """
    usage: interop-peer [--listen MULTIADDR]... [--seed NUMBER] [--gossip-proto NAME]... [--nosign] [--no-pubsub] [--no-kad]
                        [--kad-client] [--swarm-key FILE] [--heartbeat SECONDS] [--debug] [--test-plans]
    Reads commands as JSON lines from standard input, writes answers and events as JSON lines.
    """
}
