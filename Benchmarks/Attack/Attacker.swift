import EventLoop
import Foundation
import HostCore
import Identity
import SecureChannel
import Wire

/// One attack on a node of the loopback, for some seconds; prints what it did.
enum Attacker {
  static let kinds = ["idle", "loris", "scan", "half-open", "headers", "flood", "requests", "gossip", "requests-many"]
  /// Those of a node with a chain.
  static let chainKinds = ["chain-idle", "orphans", "forged-parents", "ids", "json", "providers", "heights"]

  static func run(_ arguments: [String]) throws {
    let settings = Settings(arguments)
    Platform.raiseDescriptorLimit()
    guard let port = settings["port"].flatMap({ UInt16($0) }), let network = settings["network"],
      let remote = SocketAddress("\(network).0.0.1", port: port)
    else { return }
    let kind = settings["kind"] ?? "idle"
    let attack = Attack(
      remote, in: network, end: Platform.now + .seconds(settings.number("seconds", 5)), round: settings.number("round", 1),
      place: (kinds + chainKinds).firstIndex(of: kind) ?? 0)
    let facts = ChainFacts(settings)
    switch (kind, facts) {
    case ("loris", _): attack.loris()
    case ("scan", _): attack.scan()
    case ("half-open", _): attack.halfOpen()
    case ("headers", _): try attack.proven { HeaderSender($0) }
    case ("flood", _): try attack.proven(fromOneAddress: true) { Flooder($0, .pings) }
    case ("requests", _): try attack.proven(fromOneAddress: true) { Flooder($0, .requests) }
    case ("gossip", _): try attack.proven(fromOneAddress: true) { Flooder($0, .gossip) }
    case ("requests-many", _): try attack.proven { Flooder($0, .requests) }
    case ("orphans", let facts?): try attack.orphans(facts)
    case ("forged-parents", let facts?): try attack.forgedParents(facts)
    case ("ids", let facts?): try attack.identifiers(facts)
    case ("json", let facts?): attack.json(facts)
    case ("providers", let facts?): try attack.providers(facts)
    case ("heights", let facts?): try attack.heights(facts)
    default: while Platform.now < attack.end { usleep(10_000) }
    }
    print(attack.report)
    fflush(nil)
    while readLine() != nil {}
  }
}

/// The sockets of an attack and the attacker's addresses.
final class Attack: @unchecked Sendable {
  let remote: SocketAddress
  let end: Instant
  private let network: String
  private let round: Int
  private let place: Int
  private var number = 0
  private let before = ChildProcess.processorSeconds()
  private(set) var opened = 0
  var closed = 0
  var messages = 0

  init(_ remote: SocketAddress, in network: String, end: Instant, round: Int, place: Int) {
    self.remote = remote
    self.network = network
    self.end = end
    self.round = round
    self.place = place
  }

  /// What it did, and what it has computed since it began.
  var report: String {
    let cpu = String(format: "%.4f", ChildProcess.processorSeconds() - before)
    return "\(opened) connections, \(closed) of them ended by the node, \(messages) messages cpu=\(cpu)"
  }

  /// A connection from the next of 250 addresses, or from always the same; to the node, or to the port of its API on the loopback.
  func connect(fromOneAddress: Bool = false, to target: SocketAddress? = nil) -> Int32? {
    number += 1
    let network = target == nil ? network : "127"
    let source = fromOneAddress ? "\(network).3.\(round % 250).\(1 + place)" : "\(network).\(20 + place).\(round % 250).\(1 + number % 250)"
    guard let descriptor = BarePeer.connect(to: target ?? remote, from: source) else { return nil }
    opened += 1
    return descriptor
  }

  /// Five hundred connections that say a byte every half second; those that the node ends are opened again, two hundred a second at most.
  func loris() {
    let words = Array("\u{13}/multistream/1.0.0\n\u{7}/noise\n".utf8)
    var sockets: [(descriptor: Int32, said: Int)] = []
    while Platform.now < end {
      for _ in 0..<10 where sockets.count < 500 { if let socket = connect() { sockets.append((socket, 0)) } }
      sockets = sockets.compactMap { descriptor, said in
        let isDue = said < words.count && Int.random(in: 0..<10) == 0
        if isDue { messages += 1 }
        if isOver(descriptor) || (isDue && send(descriptor, [words[said]], 1, Int32(MSG_NOSIGNAL)) != 1) {
          close(descriptor)
          closed += 1
          return nil
        }
        return (descriptor, said + (isDue ? 1 : 0))
      }
      usleep(50_000)
    }
    for socket in sockets { close(socket.descriptor) }
  }

  /// Five hundred connections a second, each closed at once.
  func scan() {
    while Platform.now < end {
      if let socket = connect() { close(socket) }
      usleep(2_000)
    }
  }

  /// Ten thousand connections that say nothing and stay.
  func halfOpen() {
    var sockets: [Int32] = []
    while Platform.now < end {
      for _ in 0..<50 where opened < 10_000 { if let socket = connect() { sockets.append(socket) } }
      usleep(10_000)
    }
    closed = sockets.count { isOver($0) }
    for socket in sockets { close(socket) }
  }

  /// Peers with proven keys, a new one for each that the node ends, twenty a second at most.
  func proven(fromOneAddress: Bool = false, _ make: @escaping @Sendable (Attack) -> any Misbehaviour) throws {
    let loop = EventLoop(name: "attack")
    try loop.start()
    let done = Flag()
    loop.execute {
      let behaviour = make(self)
      var peer: BarePeer?
      var beat: LoopTimer?
      var next = Instant.zero
      beat = LoopTimer(on: loop) { now in
        guard now < self.end else {
          peer?.close()
          beat?.close()
          beat = nil
          return done.set()
        }
        beat?.arm(after: .milliseconds(5))
        if let peer, !peer.isOver {
          if peer.isEstablished { behaviour.act(peer) }
        } else if now >= next, let descriptor = self.connect(fromOneAddress: fromOneAddress) {
          if peer != nil { self.closed += 1 }
          next = now + .milliseconds(50)
          behaviour.begin()
          peer = BarePeer(descriptor, to: self.remote, on: loop)
        }
      }
      beat?.arm(after: .milliseconds(1))
    }
    done.wait()
    loop.stop()
  }

  func isOver(_ descriptor: Int32) -> Bool {
    var byte: UInt8 = 0
    let count = recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT) | Int32(MSG_PEEK))
    return count == 0 || (count < 0 && errno != EAGAIN)
  }
}

protocol Misbehaviour: AnyObject {
  /// A new connection.
  func begin()
  /// Two hundred times a second.
  func act(_ peer: BarePeer)
}

/// Announces messages of 11 MB, ten a second.
private final class HeaderSender: Misbehaviour {
  private let attack: Attack
  private var beats = 0
  init(_ attack: Attack) { self.attack = attack }
  func begin() {}

  func act(_ peer: BarePeer) {
    beats += 1
    guard beats % 10 == 0 else { return }
    var bytes: [UInt8] = []
    Varint.append(11_000_000, to: &bytes)
    for name in [HostProtocols.peers("main"), HostProtocols.identifyPush, "/meshsub/1.1.0"] {
      let stream = peer.open(name, .raw)
      peer.send(bytes + [UInt8](repeating: 0, count: 10_000), on: stream)
      attack.messages += 1
    }
    peer.flush()
  }
}

/// A hundred thousand messages a second, as fast as the windows let them go.
private final class Flooder: Misbehaviour {
  enum Kind { case pings, requests, gossip }
  /// Every 5 ms, which come to six or so.
  private static let perBeat = 630

  private let attack: Attack
  private let kind: Kind
  private var stream: StreamID?
  init(_ attack: Attack, _ kind: Kind) {
    self.attack = attack
    self.kind = kind
  }
  func begin() { stream = nil }

  func act(_ peer: BarePeer) {
    switch kind {
    case .pings: fill(peer, HostProtocols.ping, .fixed(bytes: 32), [UInt8](repeating: 1, count: 32))
    // A field that nobody knows: good protobuf and of no use.
    case .gossip: fill(peer, "/meshsub/1.1.0", .lengthPrefixed(maximumBytes: 1_000), [0x7a, 0x02, 0x00, 0x00])
    case .requests:
      for _ in 0..<Self.perBeat where peer.connection.statistics.streams < 200 {
        let stream = peer.open(HostProtocols.identify, .raw)
        peer.connection.finish(stream)
        attack.messages += 1
      }
    }
    peer.flush()
  }

  private func fill(_ peer: BarePeer, _ name: ProtocolID, _ framing: Framing, _ message: [UInt8]) {
    let stream = stream ?? peer.open(name, framing)
    self.stream = stream
    // A stream that the node gives up is followed by the next.
    peer.onOutput = { [weak self] _, output in if case .streamFailed(stream, _) = output { self?.stream = nil } }
    for _ in 0..<Self.perBeat where peer.connection.queuedBytes(on: stream) < 100_000 {
      peer.send(message, on: stream)
      attack.messages += 1
    }
  }
}
