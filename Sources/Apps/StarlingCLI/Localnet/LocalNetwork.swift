import Crypto
import EventLoop
import Foundation
import Identity
import Ledger
import Node
import Wire

/// One node of the local network. The thread that owns the network starts and ends it; what is constant may be read by any.
final class LocalNode: @unchecked Sendable {
  enum Phase: Equatable {
    case notStarted
    case running
    /// By the network, on purpose.
    case killed
    case stopped
    /// By itself.
    case ended(Int32)
  }

  let number: Int
  let isAuthority: Bool
  let directory: String
  let peerID: PeerID
  let address: Multiaddr
  let api: NodeAPI
  let ports: [UInt16]
  fileprivate(set) var phase = Phase.notStarted
  fileprivate var process: ChildProcess?

  fileprivate init(number: Int, isAuthority: Bool, directory: String, key: NodeKey, p2pPort: UInt16, httpPort: UInt16) throws {
    self.number = number
    self.isAuthority = isAuthority
    self.directory = directory
    peerID = key.peerID
    address = try Multiaddr("/ip4/127.0.0.1/tcp/\(p2pPort)")
    api = try NodeAPI("http://127.0.0.1:\(httpPort)", timeout: .seconds(3))
    ports = [p2pPort, httpPort]
  }

  var name: String { "node \(number)" }
  var role: String { isAuthority ? "authority" : "full" }
  var pid: pid_t? { phase == .running ? process?.pid : nil }
  var logFile: String { directory + "/node.log" }
}

/// Keys, genesis and processes of a network on this machine.
final class LocalNetwork {
  struct Options {
    var nodes = 5
    /// Nodes that are only started later, with numbers behind the others'.
    var lateNodes = 1
    var blockTime = Duration.seconds(1)
    var seed: UInt64 = 0
    /// Where everything is put; `nil` for a temporary folder.
    var directory: String?
    var accounts = 8
  }

  static let authorities = 3
  static let balance: UInt64 = 1_000_000_000

  let options: Options
  let directory: String
  let nodes: [LocalNode]
  let accounts: [NodeKey]
  let genesis: GenesisConfiguration
  /// The genesis hash.
  let chain: Hash256
  /// A file with the key of an account, for the user to play with.
  let walletFile: String

  init(_ options: Options) throws {
    self.options = options
    directory = try Self.makeDirectory(options.directory)
    walletFile = directory + "/account.key"
    let crypto = SystemCrypto.shared
    var random = SeededGenerator(seed: options.seed)
    func makeKey() -> NodeKey { NodeKey(seed: random.bytes(32), crypto: crypto) }
    let producers = (0..<Self.authorities).map { _ in makeKey() }
    // One account more than the stream uses: nonces of the user's own transactions must not meet the stream's.
    let wallets = (0...options.accounts).map { _ in makeKey() }
    accounts = Array(wallets.dropLast())
    let file = GenesisFile(
      chainID: "localnet", genesisTimeMilliseconds: Platform.wallTime.milliseconds,
      blockTimeMilliseconds: Int64(options.blockTime.milliseconds), authorities: producers.map { Base16.encode($0.publicKey.data) },
      balances: Dictionary(uniqueKeysWithValues: wallets.map { (Base16.encode($0.publicKey.data), Self.balance) }))
    try file.write(path: directory + "/genesis.json")
    genesis = file.configuration
    chain = genesis.hash(crypto: crypto)
    try KeyFile.write(wallets[options.accounts], to: walletFile)
    let count = options.nodes + options.lateNodes
    let ports = try FreePorts.find(count * 2, start: Int(random.next() % 10_000))
    var nodes: [LocalNode] = []
    for index in 0..<count {
      let folder = directory + "/node\(index + 1)"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      let key = makeKey()
      try KeyFile.write(key, to: folder + "/node.key")
      let isAuthority = index < Self.authorities
      if isAuthority { try KeyFile.write(producers[index], to: folder + "/producer.key") }
      nodes.append(
        try LocalNode(
          number: index + 1, isAuthority: isAuthority, directory: folder, key: key, p2pPort: ports[index * 2],
          httpPort: ports[index * 2 + 1]))
    }
    self.nodes = nodes
    for node in nodes { try writeConfiguration(node) }
  }

  /// What the stream's accounts send to: any of them.
  var addresses: [Address] { accounts.compactMap { Address($0.publicKey) } }

  // MARK: Processes

  func start(_ node: LocalNode) throws {
    node.process = try ChildProcess(["node", "--config", node.directory + "/node.toml", "--until-stdin-closes"], output: node.logFile)
    node.phase = .running
  }

  /// Ends a node as a power cut would, and returns when the process is gone.
  func killAbruptly(_ node: LocalNode) {
    node.process?.send(SIGKILL)
    node.process?.wait()
    node.process = nil
    node.phase = .killed
  }

  /// Looks for nodes that ended by themselves.
  func findEnded() -> [LocalNode] {
    nodes.filter { node in
      guard node.phase == .running, let process = node.process, process.hasEnded else { return false }
      node.phase = .ended(process.status ?? -1)
      node.process = nil
      return true
    }
  }

  /// Ends all nodes: SIGTERM, and SIGKILL for those that are still there after 5 s.
  ///
  /// - Returns: the nodes that had to be killed, or ended with a status other than 0.
  @discardableResult
  func stop() -> [String] {
    let running = nodes.filter { $0.phase == .running }
    for node in running { node.process?.send(SIGTERM) }
    let deadline = Platform.now + .seconds(5)
    var faults: [String] = []
    for node in running {
      guard let process = node.process else { continue }
      while !process.hasEnded && Platform.now < deadline { usleep(10_000) }
      if !process.hasEnded {
        process.send(SIGKILL)
        process.wait()
        faults.append("\(node.name) did not end within 5 s of SIGTERM")
      } else if let status = process.status, status != 0 {
        faults.append("\(node.name) ended with status \(status)")
      }
      node.process = nil
      node.phase = .stopped
    }
    return faults
  }

  /// Ports that something still listens on or that cannot be bound.
  func portsInUse() -> [UInt16] { nodes.flatMap(\.ports).filter { !FreePorts.isFree($0) } }

  /// Removes the temporary folder.
  func removeDirectory() { if options.directory == nil { try? FileManager.default.removeItem(atPath: directory) } }

  // MARK: Files

  private func writeConfiguration(_ node: LocalNode) throws {
    func quoted(_ text: String) -> String { "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\"" }
    var lines = [
      "# \(node.name) of a local network", "data_dir = \(quoted(node.directory + "/data"))",
      "node_key = \(quoted(node.directory + "/node.key"))", "genesis = \(quoted(directory + "/genesis.json"))", "network = \"localnet\"",
      "listen = [\"\(node.address)\"]", "http_port = \(node.ports[1])", "allow_loopback = true", "store_map_gib = 1",
    ]
    if node.isAuthority { lines += ["node_type = \"authority\"", "producer_key = \(quoted(node.directory + "/producer.key"))"] }
    if node.number != 1 { lines.append("seed_peers = [\"\(nodes[0].address.withPeerID(nodes[0].peerID))\"]") }
    try (lines.joined(separator: "\n") + "\n").write(toFile: node.directory + "/node.toml", atomically: true, encoding: .utf8)
  }

  private static func makeDirectory(_ wanted: String?) throws -> String {
    let files = FileManager.default
    guard let wanted else {
      var template = Array((files.temporaryDirectory.path + "/starling-XXXXXX").utf8CString)
      guard mkdtemp(&template) != nil else { throw Failure("no temporary folder: \(String(cString: strerror(errno)))") }
      return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    let path = URL(fileURLWithPath: wanted).path
    if let content = try? files.contentsOfDirectory(atPath: path), !content.isEmpty { throw Failure("--keep: \(path) is not empty") }
    do { try files.createDirectory(atPath: path, withIntermediateDirectories: true) } catch {
      throw Failure("--keep: the folder \(path) could not be created")
    }
    return path
  }
}

/// TCP ports of the loopback address.
enum FreePorts {
  /// Ports that nobody has. They lie below those that the system gives to outgoing connections, so that none takes a node's port
  /// while the node is down.
  static func find(_ count: Int, start: Int) throws -> [UInt16] {
    var ports: [UInt16] = []
    for offset in 0..<12_000 where ports.count < count {
      let port = UInt16(20_000 + (start + offset) % 12_000)
      if isFree(port) { ports.append(port) }
    }
    guard ports.count == count else {
      throw Failure("found fewer than \(count) free ports between 20000 and 32000; stop other programs that listen there")
    }
    return ports
  }

  static func isFree(_ port: UInt16) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    // Connections that ended a moment ago don't count.
    var on: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<Int32>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
    }
    return bound && listen(descriptor, 1) == 0
  }
}
