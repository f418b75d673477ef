import Conformance
import Crypto
import Foundation
import Identity
import SecureChannel
import Wire

let crypto = SystemCrypto.shared
let dialerKey = NodeKey(seed: [UInt8](repeating: 1, count: 32), crypto: crypto)
let listenerKey = NodeKey(seed: [UInt8](repeating: 2, count: 32), crypto: crypto)
let dialerStatic = NoiseStaticKey(dialerKey, crypto: crypto, secret: [UInt8](repeating: 3, count: 32))
let listenerStatic = NoiseStaticKey(listenerKey, crypto: crypto, secret: [UInt8](repeating: 4, count: 32))

let echo: ProtocolID = "/test/echo/1"
let raw: ProtocolID = "/test/raw/1"
let ping: ProtocolID = "/ipfs/ping/1.0.0"
let table = ProtocolTable([
  echo: .init(framing: .lengthPrefixed(maximumBytes: 10 << 20)), raw: .init(framing: .raw), ping: .init(framing: .fixed(bytes: 32)),
])

func makeDialer(
  expecting peer: PeerID? = listenerKey.peerID, _ configuration: Connection.Configuration = .init(), ephemeral: [UInt8]? = nil
) -> Connection {
  Connection(
    role: .dialer(expecting: peer), staticKey: dialerStatic, crypto: crypto, configuration: configuration, protocols: table, now: .zero,
    ephemeralSecret: ephemeral)
}

func makeListener(_ configuration: Connection.Configuration = .init(), ephemeral: [UInt8]? = nil) -> Connection {
  Connection(
    role: .listener, staticKey: listenerStatic, crypto: crypto, configuration: configuration, protocols: table, now: .zero,
    ephemeralSecret: ephemeral)
}

func makePair(
  dialer: Connection.Configuration = .init(), listener: Connection.Configuration = .init(), cut: ConnectionPair.Cut = .whole
) -> ConnectionPair {
  ConnectionPair(dialer: makeDialer(dialer), listener: makeListener(listener), cut: cut)
}

/// A pair whose handshake is over and whose reports of it are taken.
func makeOpenPair(
  dialer: Connection.Configuration = .init(), listener: Connection.Configuration = .init(), cut: ConnectionPair.Cut = .whole
) -> ConnectionPair {
  let pair = makePair(dialer: dialer, listener: listener, cut: cut)
  pair.run()
  for side in ConnectionPair.Side.allCases { _ = pair.takeOutputs(side) }
  return pair
}

extension [Connection.Output] {
  /// The reports without round trips, whose number depends on time.
  var withoutRoundTrips: [Connection.Output] { filter { if case .roundTrip = $0 { false } else { true } } }
  var closed: ChannelError? { compactMap { if case .closed(let error) = $0 { error } else { nil } }.first }
  var isEstablished: Bool { contains { if case .established = $0 { true } else { false } } }
  /// All bytes of a raw stream.
  func data(_ id: StreamID) -> [UInt8] {
    var all: [UInt8] = []
    for case .data(id, let bytes) in self { all += bytes }
    return all
  }
  func messages(_ id: StreamID) -> [[UInt8]] { compactMap { if case .message(id, let bytes) = $0 { bytes } else { nil } } }
}

/// The Noise transcript of the fixture, made and checked with a second implementation.
func noiseVector() throws -> [String: [UInt8]] {
  struct File: Decodable {
    let noise: [String: String]
    enum CodingKeys: String, CodingKey { case noise = "noise_xx" }
  }
  return try fixture("vectors.json", as: File.self).noise.compactMapValues { Base16.decode($0) }
}

/// A file of `Tests/Fixtures`.
func fixture<T: Decodable>(_ name: String, as type: T.Type) throws -> T {
  let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fixtures")
  return try JSONDecoder().decode(type, from: Data(contentsOf: folder.appending(path: name)))
}

/// A multistream message.
func multistream(_ texts: String...) -> [UInt8] {
  var bytes: [UInt8] = []
  for text in texts {
    Varint.append(UInt64(text.utf8.count + 1), to: &bytes)
    bytes += Array(text.utf8) + [0x0a]
  }
  return bytes
}

/// A Yamux frame.
func frame(_ type: UInt8, _ flags: UInt16, _ stream: UInt32, _ length: UInt32, _ body: [UInt8] = [], version: UInt8 = 0) -> [UInt8] {
  var bytes: [UInt8] = [version, type]
  bytes.appendBigEndian(flags)
  bytes.appendBigEndian(stream)
  bytes.appendBigEndian(length)
  return bytes + body
}

/// Bytes that differ from place to place: a block of prime length, repeated.
func pattern(_ count: Int) -> [UInt8] {
  var bytes = patternBlock
  while bytes.count < count { bytes += bytes }
  bytes.removeLast(bytes.count - count)
  return bytes
}

private let patternBlock: [UInt8] = {
  var generator = SeededGenerator(seed: 4099)
  return generator.bytes(4099)
}()
