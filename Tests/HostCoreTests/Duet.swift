import Crypto
import Gossip
import HostCore
import Identity
import Peering
import SecureChannel
import Testing
import Wire

/// A host and one peer of another kind, which opens streams where it likes and knows nothing of goodbyes. Both dialled at the same moment:
/// two links are proven.
final class Duet {
  let crypto = SystemCrypto()
  let host: HostCore
  let peer: PeerID
  private let key: NodeKey
  private let remote: Multiaddr
  /// The link that the host uses, and the one that it does not.
  private(set) var kept = ConnectionID.inbound(1)
  private(set) var loser = ConnectionID.inbound(1)
  var now = Instant.zero + .seconds(1)
  /// The stream that the host writes gossip to, as long as nothing has happened to it.
  private(set) var gossipOut: StreamRef?
  private var nextStream: UInt32 = 1

  static let meshsub: ProtocolID = "/meshsub/1.2.0"
  static let topic: Topic = "topic"

  /// `isLower`: whether the host has the lower PeerID, so that its own dial is kept. `dialledFirst`: which link is proven first.
  /// `introduction`: a protocol that the peer may use before it is introduced.
  init(isLower: Bool = true, dialledFirst: Bool = true, introduction: ProtocolID? = nil) throws {
    var configuration = HostCore.Configuration()
    configuration.exchangesPeers = false
    configuration.peering.outboundMinimum = 0
    configuration.peering.firstPingDelay = .seconds(3_600)
    if let introduction { configuration.introductionProtocols = [introduction] }
    // Who is lower is a matter of the keys.
    let keys = [
      NodeKey(seed: [UInt8](repeating: 1, count: 32), crypto: crypto), NodeKey(seed: [UInt8](repeating: 2, count: 32), crypto: crypto),
    ]
    .sorted { $0.peerID < $1.peerID }
    key = keys[isLower ? 1 : 0]
    peer = key.peerID
    remote = try Multiaddr("/ip4/8.8.8.8/tcp/4001")
    host = HostCore(
      key: keys[isLower ? 0 : 1], crypto: crypto, configuration: configuration,
      clock: WallClock(now: .zero, wall: WallTime(milliseconds: 0)), seed: 1, now: .zero)
    send(.command(.subscribe(Self.topic, TopicConfiguration(signing: .strictNoSign))))
    let dials = send(.command(.dial(PeerAddress(peer: peer, address: remote), keep: false)))
    guard let outbound = dials.lazy.compactMap({ if case .dial(let id, _, _, _) = $0 { id } else { nil } }).first else {
      throw Missing("the dial")
    }
    send(.accepted(.inbound(1), remote: remote))
    var outputs: [HostCore.Output] = []
    for connection in dialledFirst ? [outbound, .inbound(1)] : [.inbound(1), outbound] { outputs += prove(connection) }
    kept = try #require(host.link(of: peer)).connection
    loser = kept == outbound ? .inbound(1) : outbound
    identify(outputs)
  }

  @discardableResult
  func send(_ input: HostCore.Input) -> [HostCore.Output] {
    let outputs = host.handle(input, now: now)
    host.peering.checkInvariants()
    #expect(host.gossip?.checkInvariants() == nil)
    if let stream = outputs.openings(Self.meshsub).last { gossipOut = stream }
    // Nothing but the goodbye is ever opened on the link that is not used.
    for case .open(let stream, let names) in outputs where stream.connection == loser && loser != kept {
      #expect(names == [HostProtocols.goodbye])
    }
    return outputs
  }

  private func prove(_ connection: ConnectionID) -> [HostCore.Output] {
    let identity = RemoteIdentity(peer: peer, publicKey: key.publicKey, muxer: "/yamux/1.0.0", setUpTime: .zero)
    return host.handle(.established(connection, identity, remote: remote), now: now)
  }

  /// The peer answers the host's question on the link in use.
  func identify(_ outputs: [HostCore.Output], names: [ProtocolID] = [Duet.meshsub, HostProtocols.identifyPush]) {
    for case .open(let stream, [HostProtocols.identify]) in outputs where stream.connection == kept {
      send(.message(stream, IdentifyInfo(protocols: names).encoded))
      send(.streamEnded(stream, nil))
    }
  }

  /// The peer opens a stream; what the host does then.
  func open(_ name: ProtocolID, on connection: ConnectionID) -> (stream: StreamRef, outputs: [HostCore.Output]) {
    let stream = StreamRef(connection: connection, stream: StreamID(rawValue: nextStream))
    nextStream += 1
    return (stream, send(.streamOpened(stream, name)))
  }

  /// The peer opens its gossip stream and says what it subscribes to.
  @discardableResult
  func openGossip(on connection: ConnectionID) -> (stream: StreamRef, outputs: [HostCore.Output]) {
    let (stream, outputs) = open(Self.meshsub, on: connection)
    return (stream, outputs + send(.message(stream, Self.rpc(subscribing: true))))
  }

  /// Whether a message of the peer on this stream reaches the host's program.
  func isHeard(_ byte: UInt8, on stream: StreamRef) -> Bool {
    send(.message(stream, Self.rpc(publishing: [byte]))).contains { if case .event(.gossip) = $0 { true } else { false } }
  }

  /// Lets time pass; everything that the host does meanwhile.
  func wait(_ duration: Duration) -> [HostCore.Output] {
    let end = now + duration
    var all: [HostCore.Output] = []
    while let next = host.nextDeadline, next <= end {
      now = max(now, next)
      all += send(.timer)
    }
    now = end
    return all
  }

  private static func rpc(subscribing: Bool) -> [UInt8] {
    var writer = ProtobufWriter()
    writer.message(1) {
      $0.bool(1, subscribing)
      $0.string(2, topic.name)
    }
    return writer.bytes
  }

  private static func rpc(publishing data: [UInt8]) -> [UInt8] {
    var writer = ProtobufWriter()
    writer.message(2) {
      $0.data(2, data)
      $0.string(4, topic.name)
    }
    return writer.bytes
  }
}

struct Missing: Error {
  let what: String
  init(_ what: String) { self.what = what }
}

extension [HostCore.Output] {
  /// The streams of this name that the host opens.
  func openings(_ name: ProtocolID) -> [StreamRef] { compactMap { if case .open(let stream, [name]) = $0 { stream } else { nil } } }
  var closings: [ConnectionID] { compactMap { if case .close(let id, _) = $0 { id } else { nil } } }
  var drains: [ConnectionID] { compactMap { if case .drain(let id) = $0 { id } else { nil } } }
  var resetStreams: [StreamRef] { compactMap { if case .reset(let stream, _) = $0 { stream } else { nil } } }
  func sent(on stream: StreamRef) -> [[UInt8]] { compactMap { if case .send(stream, let bytes) = $0 { bytes } else { nil } } }
  /// How long the host waits before it opens its gossip stream again, for each one that it lost; -1 where it gives up.
  var waits: [Int] {
    compactMap { if case .event(.mesh(.streamLost(_, _, let wait))) = $0 { wait.map { Int($0.seconds) } ?? -1 } else { nil } }
  }
}
