import Identity
import Wire

@testable import Peering

/// The peer with this number: PeerIDs compare as their numbers do.
func peer(_ number: UInt64) -> PeerID {
  var bytes: [UInt8] = [0, 8]
  bytes.appendBigEndian(number)
  return try! PeerID(bytes: bytes)
}

func at(_ seconds: Double) -> Instant { Instant(nanoseconds: Int64(seconds * 1e9)) }

func address(_ text: String) -> Multiaddr { try! Multiaddr(text) }

/// A public address of its own netgroup for each number below 200.
func publicAddress(_ number: Int, port: Int = 4001) -> Multiaddr { address("/ip4/\(20 + number % 80).\(number / 80).0.1/tcp/\(port)") }

let testClock = WallClock(now: .zero, wall: WallTime(milliseconds: 1_800_000_000_000))

/// One machine with a script's view of it.
struct Bench {
  var machine: PeeringMachine
  var now = Instant.zero
  private var inboundNumber: UInt64 = 0

  init(
    local: UInt64 = 1_000, book: [(key: [UInt8], value: [UInt8])] = [], seed: UInt64 = 1, at now: Instant = .zero,
    _ change: (inout PeeringConfiguration) -> Void = { _ in }
  ) {
    var configuration = PeeringConfiguration()
    change(&configuration)
    self.now = now
    machine = PeeringMachine(localPeer: peer(local), configuration: configuration, book: book, clock: testClock, seed: seed, now: now)
  }

  @discardableResult
  mutating func send(_ input: PeeringMachine.Input, at seconds: Double? = nil) -> [PeeringMachine.Output] {
    if let seconds { now = at(seconds) }
    let outputs = machine.handle(input, now: now)
    machine.checkInvariants()
    return outputs
  }

  /// Fires timers until `seconds`, answering pings when asked to.
  @discardableResult
  mutating func run(to seconds: Double, answeringPings: Bool = true) -> [(at: Instant, output: PeeringMachine.Output)] {
    var all: [(at: Instant, output: PeeringMachine.Output)] = []
    while let next = machine.nextDeadline, next <= at(seconds) {
      now = max(now, next)
      let outputs = send(.timerFired)
      all += outputs.map { (now, $0) }
      if answeringPings {
        for case .ping(let id, let nonce) in outputs { send(.pong(id, nonce: nonce)) }
      }
      precondition(machine.nextDeadline.map { $0 > now } ?? true, "the machine spins at \(now)")
    }
    now = at(seconds)
    return all
  }

  /// Fires timers until the machine dials; the first dial, or `nil` when none comes by `seconds`.
  mutating func nextDial(by seconds: Double) -> (id: ConnectionID, address: Multiaddr)? {
    while let next = machine.nextDeadline, next <= at(seconds) {
      now = max(now, next)
      let outputs = send(.timerFired)
      for ping in outputs.pings { send(.pong(ping.id, nonce: ping.nonce)) }
      if let dial = outputs.dials.first { return dial }
    }
    now = at(seconds)
    return nil
  }

  mutating func accept(_ remote: String, seconds: Double? = nil) -> (id: ConnectionID, outputs: [PeeringMachine.Output]) {
    inboundNumber += 1
    let id = ConnectionID.inbound(inboundNumber)
    return (id, send(.accepted(id, remote: address(remote)), at: seconds))
  }

  /// Accepts a link and proves it.
  mutating func enter(_ number: UInt64, from remote: String) -> (id: ConnectionID, outputs: [PeeringMachine.Output]) {
    let id = accept(remote).id
    return (id, send(.proven(id, peer(number), remote: address(remote), setUpTime: .milliseconds(3))))
  }

  @discardableResult
  mutating func prove(_ dial: (id: ConnectionID, address: Multiaddr), _ number: UInt64) -> [PeeringMachine.Output] {
    send(.proven(dial.id, peer(number), remote: dial.address, setUpTime: .milliseconds(3)))
  }
}

extension [PeeringMachine.Output] {
  var dials: [(id: ConnectionID, address: Multiaddr)] {
    compactMap { if case .dial(let id, let address, _, _) = $0 { (id, address) } else { nil } }
  }
  var admitted: [ConnectionID] { compactMap { if case .admit(let id) = $0 { id } else { nil } } }
  var closed: [(id: ConnectionID, code: Reason.Code)] {
    compactMap { if case .close(let id, let reason) = $0 { (id, reason.code) } else { nil } }
  }
  var retired: [(id: ConnectionID, code: Reason.Code)] {
    compactMap { if case .retire(let id, let reason) = $0 { (id, reason.code) } else { nil } }
  }
  var cancelled: [ConnectionID] {
    compactMap {
      switch $0 {
      case .cancelDial(let id), .yieldDial(let id): id
      default: nil
      }
    }
  }
  var pings: [(id: ConnectionID, nonce: UInt64)] { compactMap { if case .ping(let id, let nonce) = $0 { (id, nonce) } else { nil } } }
  var book: [BookChange] { compactMap { if case .book(let change) = $0 { change } else { nil } } }
  /// The peers' rows that are written.
  var rows: [[UInt8]] {
    book.compactMap { if case .put(let key, _) = $0, key.first == UInt8(ascii: "p") { key } else { nil } }
  }
  var events: [PeeringEvent] { compactMap { if case .event(let event) = $0 { event } else { nil } } }
}

extension [(at: Instant, output: PeeringMachine.Output)] {
  var outputs: [PeeringMachine.Output] { map(\.output) }
}

/// The table `peers` as the shell keeps it.
struct TestBook {
  private var rows: [[UInt8]: [UInt8]] = [:]

  mutating func apply(_ outputs: [PeeringMachine.Output]) {
    for change in outputs.book {
      switch change {
      case .put(let key, let value): rows[key] = value
      case .remove(let key): rows[key] = nil
      }
    }
  }

  mutating func put(_ key: [UInt8], _ value: [UInt8]) { rows[key] = value }

  func value(_ key: [UInt8]) -> [UInt8]? { rows[key] }

  /// How many peers have a row.
  var peers: Int { rows.keys.filter { $0.first == UInt8(ascii: "p") }.count }

  var all: [(key: [UInt8], value: [UInt8])] { rows.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { ($0.key, $0.value) } }
}
