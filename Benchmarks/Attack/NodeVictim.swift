import Crypto
import EventLoop
import Foundation
import HTTPAPI
import Identity
import Ledger
import Wire

/// What is attacked: a process that listens, and tells in words `name=count` what it has refused.
protocol Victim: AnyObject {
  var port: UInt16 { get }
  var identifier: Int32 { get }
  /// The chain that it follows, if any.
  var chain: ChainFacts? { get }
  func figures() -> AttackBenchmark.Figures
  func stop()
}

/// A host without a chain.
final class HostVictim: Victim {
  private let process: ChildProcess
  let port: UInt16
  let chain: ChainFacts? = nil

  init() throws {
    process = try ChildProcess(["host"])
    guard let text = process.line(), let address = try? Multiaddr(text), let port = address.tcpPort else {
      throw VictimFailure("the host did not start")
    }
    self.port = port
  }

  var identifier: Int32 { process.identifier }
  func figures() -> AttackBenchmark.Figures { .init(process.ask("figures")) }
  func stop() { process.stop() }
}

/// `starling node`, the one authority of a chain with a block a second, one of which is as full as the chain allows.
final class NodeVictim: Victim {
  private struct Ready: Decodable {
    let addresses: [String]
    let api: String
  }

  private let folder = FileManager.default.temporaryDirectory.appending(path: "starling-attack-\(getpid())")
  private let process: ChildProcess
  private let client: HTTPClient
  /// How often an operator's question was not answered.
  private var metricsRefused = 0
  let port: UInt16
  private(set) var chain: ChainFacts?

  init() throws {
    var isReady = false
    let files = folder
    defer { if !isReady { try? FileManager.default.removeItem(at: files) } }
    let crypto = SystemCrypto.shared
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().appending(path: "starling")
      .path
    let authority = NodeKey(seed: [UInt8](repeating: 1, count: 32), crypto: crypto)
    let users = (0..<20).map { NodeKey(seed: [UInt8](repeating: 2, count: 31) + [UInt8($0)], crypto: crypto) }
    func address(_ key: NodeKey) -> Address { Address(key.publicKey)! }
    let start = Platform.wallTime.milliseconds
    func call(_ words: [String]) throws {
      let process = try ChildProcess(words, program: program)
      while process.line() != nil {}
      process.stop()
    }
    let (key, genesis) = (folder.appending(path: "authority.key").path, folder.appending(path: "genesis.json").path)
    try call(["keygen", "--out", key, "--seed", String(repeating: "01", count: 32)])
    try call(
      ["genesis", "--chain-id", ChainFacts.network, "--authority", address(authority).hex, "--block-time", "1s", "--time", "\(start)"]
        + ["--out", genesis] + users.flatMap { ["--balance", "\(address($0).hex)=1000000000"] })
    process = try ChildProcess(
      [
        "node", "--json", "--until-stdin-closes", "--data-dir", folder.appending(path: "data").path, "--genesis", genesis, "--producer-key",
        key,
        "--network", ChainFacts.network, "--node-type", "authority", "--listen", "/ip4/0.0.0.0/tcp/0", "--http-port", "0", "--log-level",
        "error",
      ], program: program)
    guard let text = process.line() else { throw VictimFailure("the node did not start") }
    let ready = try JSONDecoder().decode(Ready.self, from: Data(text.utf8))
    guard let port = try ready.addresses.lazy.compactMap({ try Multiaddr($0).tcpPort }).first, let api = URL(string: ready.api)?.port else {
      throw VictimFailure("the node tells no address")
    }
    self.port = port
    client = try HTTPClient(ready.api, token: nil, timeout: .seconds(10))
    let info: ChainInfoResponse = try client.get("/api/v1/chain/info")
    guard let hash = Hash256(hex: info.genesisHash) else { throw VictimFailure("the node tells no genesis") }
    let full = try fillBlock(users, hash)
    chain = ChainFacts(genesis: hash, producer: address(authority), start: start, api: UInt16(api), fullHeight: full)
    isReady = true
  }

  var identifier: Int32 { process.identifier }

  func stop() {
    process.stop()
    try? FileManager.default.removeItem(at: folder)
  }

  /// Submits a thousand transactions of a kibibyte, which go into one block: each sender's first, without which no other is valid, comes last.
  /// The height of that block.
  private func fillBlock(_ users: [NodeKey], _ genesis: Hash256) throws -> UInt64 {
    for nonce in (0..<UInt64(50)).reversed() {
      for user in users {
        let payload = Transaction.Payload.setData(key: [UInt8(nonce)], value: [UInt8](repeating: 7, count: 830))
        let transaction = Transaction(
          chain: genesis, nonce: nonce, fee: GenesisConfiguration.Limits().sufficientFee(for: payload), payload: payload, key: user,
          crypto: SystemCrypto.shared)
        try submit(Submission(transaction: Base16.encode(transaction.encoded)))
      }
    }
    let deadline = Date().addingTimeInterval(30)
    var height: UInt64 = 1
    while Date() < deadline {
      let info: ChainInfoResponse = try client.get("/api/v1/chain/info")
      while height <= info.height {
        let block: BlockResponse = try client.get("/api/v1/block/height/\(height)")
        if block.transactions.count >= 500 { return height }
        height += 1
      }
      usleep(100_000)
    }
    throw VictimFailure("no block has 500 transactions")
  }

  private struct Submission: Encodable { let transaction: String }

  /// Tries again while the node starts or its pool is full.
  private func submit(_ submission: Submission) throws {
    let deadline = Date().addingTimeInterval(30)
    while true {
      do throws(HTTPClientError) {
        let _: SubmittedResponse = try client.post("/api/v1/transaction", submission)
        return
      } catch {
        guard error.status == 503 || error.status == 429, Date() < deadline else { throw error }
        usleep(100_000)
      }
    }
  }

  func figures() -> AttackBenchmark.Figures {
    var text = ""
    var refusals = 0
    while text.isEmpty, refusals < 50 {
      if let answer = try? client.request("GET", "/metrics"), answer.status == 200 {
        text = String(decoding: answer.body, as: UTF8.self)
      } else {
        refusals += 1
        usleep(100_000)
      }
    }
    metricsRefused += refusals
    var words = ["metrics/refused=\(metricsRefused)"]
    for line in text.split(separator: "\n") where line.hasPrefix("starling_") {
      let parts = line.split(separator: " ")
      guard parts.count == 2, let value = Double(parts[1]), value < 1e15 else { continue }
      if parts[0] == "starling_chain_height" { words.append("height=\(Int(value))") }
      if parts[0] == "starling_memory_links_bytes" { words.append("memory=\(Int(value))") }
      guard parts[0].contains("_total{") else { continue }
      // starling_links_closed_total{reason="low-score"} becomes links_closed/low-score.
      let name = parts[0].dropFirst("starling_".count).replacing("_total{", with: "/").replacing("reason=", with: "").filter {
        !"\"}".contains($0)
      }
      words.append("\(name)=\(Int(value))")
    }
    return .init(words.joined(separator: " "))
  }
}

/// Why there is nothing to attack.
struct VictimFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
