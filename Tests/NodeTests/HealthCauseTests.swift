import Crypto
import EventLoop
import Foundation
import HTTPAPI
import Identity
import Ledger
import NodeCore
import Peering
import Store
import Testing
import Wire

@testable import Node

/// A node that isn't well names the cause, and says it with the status that load balancers look at.
@Suite(.serialized) struct HealthCauseTests {
  private static func health(_ node: Node) throws -> (code: Int, body: HealthResponse) {
    let client = try HTTPClient("http://127.0.0.1:\(node.httpPort!)")
    return (try client.request("GET", "/api/v1/node/health").status, try client.get("/api/v1/node/health"))
  }

  /// Wrong genesis at both ends, also that of a node which is only dialled; nobody listens; an operator's own ban.
  @Test func whatStandsInTheWayIsNamed() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      func serve(_ configuration: inout NodeConfiguration) {
        configuration.httpEnabled = true
        configuration.httpPort = 0
        configuration.reconnectionInterval = .seconds(1)
      }
      let hub = try flock.start("hub") { serve(&$0) }
      let authority = NodeKey(seed: [UInt8](repeating: 6, count: 32), crypto: SystemCrypto.shared)
      try GenesisFile(
        chainID: "flock", genesisTimeMilliseconds: 2_000, blockTimeMilliseconds: 1_000, authorities: [Address(authority.publicKey)!.hex],
        balances: [:]
      ).write(path: flock.folder + "/other.json")
      let stranger = try flock.start("stranger", "n.yaml", "bootstrap_peers: [\"\(try hub.hostPort())\"]") {
        serve(&$0)
        $0.genesisFile = flock.folder + "/other.json"
      }
      try waitUntil("both name the genesis") {
        try [hub, stranger].allSatisfy { try Self.health($0).body.reason.contains("genesis") }
      }
      for node in [hub, stranger] {
        let health = try Self.health(node)
        #expect(health.code == 503 && health.body.status == .isolated, "\(health.body.reason)")
      }
      let unheard = try flock.start("unheard", "n.yaml", "bootstrap_peers: [\"127.0.0.1:1\"]") { serve(&$0) }
      try waitUntil("the refused dial is named") { try Self.health(unheard).body.reason.contains("refused") }
      let banner = try flock.start("banner", "n.yaml", "bootstrap_peers: [\"\(try hub.hostPort())\"]") { serve(&$0) }
      try waitUntil("linked") { try banner.activePeers().contains(hub.peerID) }
      _ = try banner.askAndWait(.operate(.ban(.peer(hub.peerID), for: nil, "tested")))
      try waitUntil("the own ban is named") { try Self.health(banner).body.reason.contains("banned by an operator: tested") }
      #expect(try Self.health(banner).code == 503)
    }
  }

  /// No block comes: a node that makes none names the producers.
  @Test func aChainThatStandsStillIsNamed() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      func serve(_ configuration: inout NodeConfiguration) {
        configuration.httpEnabled = true
        configuration.httpPort = 0
      }
      let hub = try flock.start("hub") { serve(&$0) }
      try flock.start("peer", "n.yaml", "bootstrap_peers: [\"\(try hub.hostPort())\"]")
      try waitUntil("it says that nothing comes") { try Self.health(hub).body.status == .stalled }
      let health = try Self.health(hub)
      #expect(health.code == 503 && health.body.reason.hasSuffix("none of the 1 producers was heard"), "\(health.body.reason)")
      try waitUntil("the log says it too") { flock.log("hub").contains("why=\"none of the 1 producers was heard\"") }
    }
  }

  /// No block comes from the chain's only producer, whose clock was ahead, so that its newest block is: it names itself, its last and next slot, and what
  /// it waits for, and doesn't blame "the producers".
  @Test func aProducerThatStandsStillNamesItself() async throws {
    try await onOwnThread {
      let network = try Network(authorities: 1)
      defer { network.stop() }
      let lines = Lines()
      func start(ahead: Duration) throws -> Node {
        let node = try Node(
          configuration: try network.configuration(0),
          logger: Logger(level: .info, format: .text, now: { Date() }, sink: { lines.append($0) }),
          rig: Node.Rig(wallTime: { Platform.wallTime + ahead }))
        try node.start()
        network.nodes.append(node)
        return node
      }
      let early = try start(ahead: .seconds(3_600))
      try waitUntil("it makes a block, an hour too early") { try early.information().head.height >= 1 }
      early.stop()
      let node = try start(ahead: .zero)
      try network.start(network.configuration(1, seed: node))
      try waitUntil("it says that nothing comes") { try Self.health(node).body.status == .stalled }
      let health = try Self.health(node)
      let named =
        /: this node is a producer itself: last slot [0-9]+ \(in .*\), next slot [0-9]+ \(in .*\); .* is ahead of this node's clock/
      #expect(health.code == 503 && health.body.reason.contains(named), "\(health.body.reason)")
      #expect(!health.body.reason.contains("producers"))
      #expect(health.body.warnings?.contains { $0.contains(" is ahead of this node's clock") } == true, "\(health.body.warnings ?? [])")
      let client = try HTTPClient("http://127.0.0.1:\(node.httpPort!)")
      let info: NodeInfoResponse = try client.get("/api/v1/node/info")
      let production = try #require(info.production)
      #expect(production.obstacle == "head-ahead" && production.words.contains(" is ahead of this node's clock"), "\(production)")
      let (last, next) = (try #require(production.last), try #require(production.next))
      #expect(last.time > Platform.wallTime.milliseconds && next.slot > last.slot, "\(production)")
      let metrics = String(decoding: try client.request("GET", "/metrics").body, as: UTF8.self)
      for line in [
        "starling_producer_last_slot \(last.slot)", "starling_producer_next_slot \(next.slot)",
        #"starling_producer_held{reason="head-ahead"} 1"#,
      ] { #expect(metrics.split(separator: "\n").contains { $0 == line }, "\(line)") }
      #expect(lines.all.contains(/this producer makes no blocks last_slot=[0-9]+ next_slot=[0-9]+ why="the newest block's slot/))
      try waitUntil("the log says it too") {
        lines.all.contains("no new block") && lines.all.contains("why=\"this node is a producer itself")
      }
    }
  }

  /// A disk that takes no more: health says so, and who submits is not left waiting, whether the node knew of it before or not.
  @Test func aFullDiskIsNamedAndNobodyWaits() async throws {
    try await onOwnThread {
      let network = try Network(authorities: 1)
      defer { network.stop() }
      let store = FaultingStore(durability: .immediate)
      var rig = Node.Rig()
      rig.wrapStore = { _ in store }
      let node = try network.start(network.configuration(0), rig: rig)
      try waitUntil("it takes transactions") { try node.information().head.height >= 1 }
      let genesis = try node.chainInformation().genesis
      let first = network.transfer(of: 1, nonce: 0, on: genesis)
      store.failAllCommits()
      guard case .notDurable(let error, let isPending) = try node.askAndWait(.submit(first.encoded)) else { throw Missing("no 507") }
      #expect(error.message == "the disk is full")
      try waitUntil("health names the disk") { try node.information().health.status == "disk" }
      let health = try Self.health(node)
      #expect(health.code == 503 && health.body.status == .disk && health.body.reason.contains("the disk is full"), "\(health.body.reason)")
      #expect(health.body.warnings?.contains { $0.contains("blocks can't be stored (the disk is full)") } == true)
      let second = network.transfer(of: 1, nonce: isPending ? 1 : 0, on: genesis)
      guard case .notDurable(_, isPending: false) = try node.askAndWait(.submit(second.encoded)) else { throw Missing("it was taken") }
      let client = try HTTPClient("http://127.0.0.1:\(node.httpPort!)")
      let answer = #expect(throws: HTTPClientError.self) {
        let _: SubmittedResponse = try client.post(
          "/api/v1/transaction", ["transaction": second.encoded.map { String(format: "%02x", $0) }.joined()])
      }
      #expect(answer?.status == 507 && answer?.reason == "not_stored")
      store.heal()
      try waitUntil("it is well again") { try node.information().health.status != "disk" }
      if isPending {
        try waitUntil("what was pending is in a block") {
          if case .transaction(_, .confirmed) = try node.askAndWait(.transaction(first.id(crypto: Network.crypto))) { true } else { false }
        }
      }
      guard case .submitted = try node.askAndWait(.submit(second.encoded)) else { throw Missing("it is not taken again") }
    }
  }

  /// A peer book that cannot be written is warned of for as long as that lasts.
  @Test func aBookThatIsNotWrittenIsWarnedOf() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let store = FaultingStore(durability: .immediate)
      var rig = Node.Rig()
      rig.book = store
      let node = try flock.start("node", rig: rig) {
        $0.httpEnabled = true
        $0.httpPort = 0
      }
      store.failAllCommits()
      _ = try node.askAndWait(.operate(.ban(.network(IPNetwork("10.0.0.1")!), for: nil, "tested")))
      let warning = "the peer book can't be written (the disk is full)"
      #expect(try Self.health(node).body.warnings?.contains { $0.hasPrefix(warning) } == true)
      store.heal()
      try waitUntil("it is written again") { try Self.health(node).body.warnings?.contains { $0.hasPrefix(warning) } != true }
    }
  }

  /// Two machines with one producer's key, whose first blocks are equal to the byte: both say so.
  @Test func oneProducerKeyOnTwoMachinesIsTold() async throws {
    try await onOwnThread {
      let network = try Network(authorities: 1)
      defer { network.stop() }
      let lines = [Lines(), Lines()]
      var nodes: [Node] = []
      for (index, lines) in lines.enumerated() {
        var configuration = try network.configuration(0)
        configuration.dataDirectory += "-\(index)"
        if let first = nodes.first { configuration.bootstrapPeers = [try first.hostPort()] }
        let node = try Node(
          configuration: configuration, logger: Logger(level: .info, format: .text, now: { Date() }, sink: { lines.append($0) }))
        try node.start()
        network.nodes.append(node)
        nodes.append(node)
      }
      for (index, node) in nodes.enumerated() {
        try waitUntil("node \(index) warns") {
          try node.information().warnings.contains { $0.contains("\(nodes[1 - index].peerID) makes blocks with this node's producer key") }
        }
        #expect(lines[index].all.contains(" another machine makes blocks with this node's producer key; stop one of the two "))
      }
      nodes[1].stop()
      try waitUntil("the other one is told of in the past") {
        try nodes[0].information().warnings.contains {
          $0.contains("\(nodes[1].peerID), which is no longer linked, made blocks with this node's producer key")
        }
      }
    }
  }

  /// Keys that others can read, and an API that others can reach.
  @Test func whatIsOpenToOthersIsWarnedOf() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      try flock.start("node")
      flock.stop("node")
      #expect(!flock.log("node").contains("others can read") && !flock.log("node").contains("other machines can reach the HTTP API"))
      chmod(flock.folder + "/node/node.key", 0o644)
      try flock.start("node") {
        $0.httpEnabled = true
        $0.httpPort = 0
        $0.httpBind = "0.0.0.0"
      }
      let log = flock.log("node")
      #expect(log.contains("WARN") && log.contains("others can read the node's key, and act in this node's name; give the file mode 0600"))
      #expect(log.contains("other machines can reach the HTTP API") && log.contains("http_bind=0.0.0.0"))
    }
  }

  /// What a running node takes over of settings that are read again, and what it says of the rest.
  @Test func settingsAreReadAgain() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let hub = try flock.start("hub")
      let node = try flock.start("node")
      var settings = node.configuration
      settings.logLevel = .warning
      settings.bootstrapPeers = [try hub.hostPort()]
      settings.maxPeers += 1
      node.reload(settings)
      try waitUntil("the added peer is dialled") { try node.activePeers().contains(hub.peerID) }
      #expect(flock.log("node").contains("some of it waits for a restart applied=\"bootstrap_peers log_level\" waiting=max_peers"))
      let before = flock.log("node").count
      node.reload(settings)
      #expect(flock.log("node").count == before, "nothing has changed, and that is below the level")
      settings.logLevel = .debug
      settings.bootstrapPeers = []
      node.reload(settings)
      #expect(flock.log("node").contains("applied=log_level waiting=bootstrap_peers"))
      settings.logLevel = .error
      node.reload(settings)
      #expect(
        flock.log("node").contains("INFO node the configuration was read again applied=log_level"),
        "though such lines are hidden from now on")
    }
  }

  /// The four lines of seed S2's document, from nodes that do what they say.
  @Test func connectionsAreLoggedAsS2Does() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let hub = try flock.start("hub")
      let third = try flock.start("third", "n.yaml", "bootstrap_peers: [\"\(try hub.hostPort())\"]")
      try waitUntil("the hub knows the third") { try hub.activePeers().contains(third.peerID) }
      let bootstrap = "bootstrap_peers: [\"\(try hub.hostPort())\"]"
      try flock.start("node", "n.yaml", bootstrap)
      for line in [
        "INFO peers Loaded 0 persisted peers from database",
        "INFO peers Attempting to establish outbound connections attempting_connections=",
        "INFO peers Successfully established outbound connection peer=", "INFO peers Received peer list from peer peer=",
      ] { try waitUntil(line) { flock.log("node").contains(line) } }
      try waitUntil("the hub is stored") { try flock.nodes["node"]!.counts().stored > 0 }
      flock.stop("node")
      try flock.start("node", "n.yaml", bootstrap)
      #expect(!flock.log("node").components(separatedBy: " started ")[2].isEmpty)
      #expect(flock.log("node").matches(of: /INFO peers Loaded [1-9][0-9]* persisted peers from database/).count == 1)
    }
  }
}
