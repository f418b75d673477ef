import Crypto
import HostCore
import Identity
import Ledger
import Peering
import SecureChannel
import Store
import Sync
import Wire

@testable import NodeCore

/// A node's machine with the shell's part played by hand, and one peer.
final class NodeBench {
  typealias Core = NodeCore<AccountLedger, ProofOfAuthority>

  let crypto = SystemCrypto()
  /// The node's key, which is the chain's authority's and a rich user's too.
  let key: NodeKey
  let peer: NodeKey
  let genesis: GenesisConfiguration
  let core: Core
  let remote = try! Multiaddr("/ip4/8.8.8.8/tcp/4001")
  var now = Instant.zero + .seconds(1)
  /// What users were answered, by their questions' numbers.
  private(set) var answers: [UInt64: Answer] = [:]
  /// Work that was handed out and is not done.
  var work: [(WorkID, Chain<AccountLedger, ProofOfAuthority>.Work)] = []
  /// The batch that is under way.
  private(set) var batch: CommitID?
  private var nextStream: UInt32 = 1

  /// The peer has the lower name: of two links that come up at one moment the one that it dialled is kept.
  init() throws {
    let keys = [2, 3].map { [crypto] in NodeKey(seed: [UInt8](repeating: $0, count: 32), crypto: crypto) }.sorted { $0.peerID < $1.peerID }
    (peer, key) = (keys[0], keys[1])
    guard let address = Address(key.publicKey) else { throw Missing("an address") }
    genesis = GenesisConfiguration(
      chainID: "test", time: WallTime(milliseconds: 1_000_000), authorities: [address], balances: [address: 1_000_000])
    let clock = WallClock(now: .zero, wall: genesis.time)
    let chain = try Chain.open(
      genesis: genesis, ledger: AccountLedger(genesis: genesis, crypto: crypto), consensus: ProofOfAuthority(genesis: genesis),
      store: MemoryStore(), crypto: crypto, clock: clock, now: .zero)
    var configuration = Core.Configuration()
    configuration.host.peering.outboundMinimum = 0
    core = NodeCore(
      key: key, crypto: crypto, configuration: configuration, genesis: genesis, chain: chain, clock: clock, seed: 1, now: .zero)
  }

  /// Hands an input over; what the host wants done is returned.
  @discardableResult
  func send(_ input: Core.Input) -> [HostCore.Output] {
    var wanted: [HostCore.Output] = []
    for output in core.handle(input, now: now) {
      switch output {
      case .host(let output): wanted.append(output)
      case .answer(let query, let answer): answers[query.rawValue] = answer
      case .store(let id, _): batch = id
      case .work(let id, let item): work.append((id, item))
      case .read, .event: break
      }
    }
    return wanted
  }

  func commit() {
    while let id = batch {
      batch = nil
      send(.committed(id))
    }
  }

  func doWork() {
    while !work.isEmpty {
      let (id, item) = work.removeFirst()
      send(.workDone(id, item.run(crypto: crypto)))
    }
  }

  /// Lets ten seconds pass, in which nobody answers: the node goes on alone.
  func settle() {
    for _ in 1...10 {
      now += .seconds(1)
      send(.timer)
      commit()
    }
  }

  // MARK: The peer

  func prove(_ connection: ConnectionID) -> [HostCore.Output] {
    let identity = RemoteIdentity(peer: peer.peerID, publicKey: peer.publicKey, muxer: "/yamux/1.0.0", setUpTime: .zero)
    return send(.host(.established(connection, identity, remote: remote)))
  }

  /// The peer opens a stream and says something.
  func say(_ bytes: [UInt8], _ name: ProtocolID, on connection: ConnectionID) -> StreamRef {
    let stream = StreamRef(connection: connection, stream: StreamID(rawValue: nextStream))
    nextStream += 1
    send(.host(.streamOpened(stream, name)))
    send(.host(.message(stream, bytes)))
    return stream
  }

  /// The peer dials, and is introduced.
  func enter() {
    send(.host(.accepted(.inbound(1), remote: remote)))
    _ = prove(.inbound(1))
    _ = say(core.status(now: now).encoded, core.protocolNames.status, on: .inbound(1))
  }

  struct Missing: Error {
    init(_ what: String) {}
  }
}
