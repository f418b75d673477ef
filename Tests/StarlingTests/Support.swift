import EventLoop
import Starling
@_exported import TestKit
import Testing
import Threads

let loopback = "/ip4/127.0.0.1/tcp/0"
let echo: ProtocolID = "/test/echo/1"

/// A host on loopback with one thread for links, which gives a slow machine its time; the body may change the configuration.
func makeHost(_ change: (inout Host.Configuration) -> Void = { _ in }, key: NodeKey? = nil) async throws -> Host {
  var configuration = try Host.Configuration(listen: [loopback])
  configuration.swarm.shards = 1
  configuration.core.peering.outboundMinimum = 0
  configuration.core.gossip?.heartbeatInterval = .milliseconds(100)
  configuration.core.peering.connectTimeout = patience
  configuration.core.peering.handshakeTimeout = patience
  configuration.swarm.connection.handshakeTimeout = patience
  configuration.swarm.connection.streamNegotiationTimeout = patience
  change(&configuration)
  let host = try await Host(configuration: configuration, key: key)
  try await host.start()
  return host
}

/// Two hosts, the first connected to the second, which echoes.
func makePair(_ change: (inout Host.Configuration) -> Void = { _ in }) async throws -> (Host, Host) {
  let first = try await makeHost(change)
  let second = try await makeHost(change)
  await second.handle(echo) { stream in for try await chunk in stream { try await stream.write(chunk) } }
  try await first.connect(second.address)
  return (first, second)
}

func close(_ hosts: Host...) async { for host in hosts { await host.close() } }

extension Host {
  /// The first address, with the PeerID.
  var address: Multiaddr { get async { await addresses[0] } }
}

/// The error code that `body` ends with; `nil` when it ends well.
func code(_ body: () async throws -> Void) async -> HostError.Code? {
  do {
    try await body()
    return nil
  } catch {
    return (error as? HostError)?.code ?? HostError.Code(rawValue: "\(error)")
  }
}

func pattern(_ count: Int) -> [UInt8] {
  var generator = SeededGenerator(seed: UInt64(count))
  return generator.bytes(count)
}

/// A store in memory.
final class MemoryBook: KeyValueStore, @unchecked Sendable {
  private let lock = Lock()
  private var rows: [[UInt8]: [UInt8]] = [:]

  /// How many peers have a row.
  var peerCount: Int { lock.withLock { rows.keys.filter { $0.first == UInt8(ascii: "p") }.count } }
  func get(_ table: StoreTable, _ key: [UInt8]) throws(StoreError) -> [UInt8]? { lock.withLock { rows[key] } }
  func scan(_ table: StoreTable, from start: [UInt8], limit: Int) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
    lock.withLock { rows.map { (key: $0.key, value: $0.value) } }
  }
  func commit(_ batch: WriteBatch) throws(StoreError) {
    lock.withLock { for operation in batch.operations { rows[operation.key] = operation.value } }
  }
}
