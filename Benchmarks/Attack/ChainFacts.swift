import HostCore
import Identity
import Ledger
import SecureChannel
import Sync
import Wire

/// What every peer of the benchmark's chain knows, honest or not; it goes to other processes as words `name=value`.
struct ChainFacts {
  static let network = "benchmark"

  let genesis: Hash256
  let producer: Address
  /// When slot 0 began, in milliseconds since 1970.
  let start: Int64
  /// The port of the node's HTTP API.
  let api: UInt16
  /// The height of a block as full as the chain allows.
  let fullHeight: UInt64

  init(genesis: Hash256, producer: Address, start: Int64, api: UInt16, fullHeight: UInt64) {
    self.genesis = genesis
    self.producer = producer
    self.start = start
    self.api = api
    self.fullHeight = fullHeight
  }

  init?(_ settings: Settings) {
    guard let genesis = settings["genesis"].flatMap({ Hash256(hex: $0) }),
      let producer = settings["producer"].flatMap({ Address(hex: $0) }),
      let start = settings["start"].flatMap({ Int64($0) }), let api = settings["api"].flatMap({ UInt16($0) }),
      let fullHeight = settings["full"].flatMap({ UInt64($0) })
    else { return nil }
    self.init(genesis: genesis, producer: producer, start: start, api: api, fullHeight: fullHeight)
  }

  var words: [String] { ["genesis=\(genesis.hex)", "producer=\(producer.hex)", "start=\(start)", "api=\(api)", "full=\(fullHeight)"] }

  /// One of the chain's protocols.
  static func protocolID(_ name: String) -> ProtocolID { ProtocolID("/starling/\(network)/\(name)") }

  /// The topic of new blocks.
  static var blockTopic: String { "/starling/\(network)/\(network)/blocks" }

  /// Says what a peer has to say before it is served.
  func introduce(_ peer: BarePeer, height: UInt64 = 0) -> StreamID {
    let status = Status(network: Self.network, chainID: Self.network, genesis: genesis, height: height, head: genesis, nodeType: "full")
    let stream = peer.open(Self.protocolID("status/1"), .lengthPrefixed(maximumBytes: Status.maximumBytes))
    peer.send(status.encoded, on: stream)
    peer.connection.finish(stream)
    return stream
  }
}
