import Identity
import Peering
import Wire

/// The attacked node, as far as the attack is concerned.
protocol EclipseVictim {
  mutating func handle(_ input: EclipseInput, now: Instant) -> [EclipseOutput]
  var nextDeadline: Instant? { get }
  /// The links that the node opened and keeps.
  func outbound(now: Instant) -> [ConnectionID]
  /// The process ends and begins again with what it has persisted.
  mutating func restart(now: Instant) -> [EclipseOutput]
  /// The part of the tried table that these peers hold.
  func shareOfTried(_ isMeant: (PeerID) -> Bool) -> Double
}

enum EclipseInput {
  case seeds([PeerAddress])
  case learned([PeerAddress], from: PeerID, isOwn: Bool)
  case accepted(ConnectionID, PeerID, remote: Multiaddr)
  case proven(ConnectionID, PeerID, remote: Multiaddr)
  case failed(ConnectionID)
  case closed(ConnectionID)
  case timer
}

enum EclipseOutput {
  case dial(ConnectionID, Multiaddr)
  case close(ConnectionID)
}

/// A node that decides as Starling does.
struct MachineVictim: EclipseVictim {
  private var machine: PeeringMachine
  private var rows: [[UInt8]: [UInt8]] = [:]
  private var generator: SeededGenerator
  private let localPeer: PeerID
  private static let clock = WallClock(now: .zero, wall: WallTime(milliseconds: 1_800_000_000_000))

  init(_ localPeer: PeerID, seed: UInt64) {
    self.localPeer = localPeer
    generator = SeededGenerator(seed: seed)
    machine = MachineVictim.makeMachine(localPeer, [:], generator.next(), .zero)
  }

  private static func makeMachine(_ localPeer: PeerID, _ rows: [[UInt8]: [UInt8]], _ seed: UInt64, _ now: Instant) -> PeeringMachine {
    var configuration = PeeringConfiguration()
    // Links of this world answer pings; asking would only cost time.
    configuration.firstPingDelay = .seconds(1_000_000_000)
    let book = rows.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { (key: $0.key, value: $0.value) }
    return PeeringMachine(localPeer: localPeer, configuration: configuration, book: book, clock: clock, seed: seed, now: now)
  }

  var nextDeadline: Instant? { machine.nextDeadline }

  mutating func handle(_ input: EclipseInput, now: Instant) -> [EclipseOutput] {
    switch input {
    case .seeds(let addresses): return perform(machine.handle(.learned(addresses, .seed), now: now))
    case .learned(let addresses, let peer, let isOwn):
      return perform(machine.handle(.learned(addresses, isOwn ? .identify(peer) : .exchange(peer)), now: now))
    case .accepted(let id, let peer, let remote):
      let outputs = perform(machine.handle(.accepted(id, remote: remote), now: now))
      return outputs + perform(machine.handle(.proven(id, peer, remote: remote, setUpTime: .zero), now: now))
    case .proven(let id, let peer, let remote):
      return perform(machine.handle(.proven(id, peer, remote: remote, setUpTime: .zero), now: now))
    // The other links answer meanwhile: a silent address counts as much as one that refuses.
    case .failed(let id): return perform(machine.handle(.dialFailed(id, .refused), now: now))
    case .closed(let id): return perform(machine.handle(.closed(id, .transport("gone")), now: now))
    case .timer: return perform(machine.handle(.timerFired, now: now))
    }
  }

  private mutating func perform(_ outputs: [PeeringMachine.Output]) -> [EclipseOutput] {
    outputs.compactMap { output in
      switch output {
      case .dial(let id, let address, _, _): return .dial(id, address)
      case .close(let id, _), .cancelDial(let id), .yieldDial(let id): return .close(id)
      case .book(.put(let key, let value)): rows[key] = value
      case .book(.remove(let key)): rows[key] = nil
      case .admit, .retire, .ping, .operated, .event: break
      }
      return nil
    }
  }

  func outbound(now: Instant) -> [ConnectionID] {
    machine.links(now: now).filter { $0.direction == .outbound && $0.state == .active }.map(\.connection)
  }

  mutating func restart(now: Instant) -> [EclipseOutput] {
    machine = MachineVictim.makeMachine(localPeer, rows, generator.next(), now)
    return handle(.timer, now: now)
  }

  func shareOfTried(_ isMeant: (PeerID) -> Bool) -> Double {
    let peers = rows.keys.filter { $0.first == UInt8(ascii: "p") }.compactMap { try? PeerID(bytes: Array($0.dropFirst())) }
    return peers.isEmpty ? 0 : Double(peers.filter(isMeant).count) / Double(peers.count)
  }
}

/// A node with one list of all that it has heard of, from which it dials at random.
struct FlatVictim: EclipseVictim {
  private var known: [PeerAddress] = []
  private var isKnown: Set<PeerAddress> = []
  private var dialled: [ConnectionID: PeerAddress] = [:]
  private var linked: [ConnectionID: PeerAddress] = [:]
  private var inbound: Set<ConnectionID> = []
  private var first: [PeerAddress] = []
  private let anchors: Int
  private var number: UInt64 = 0
  private var generator: SeededGenerator
  private(set) var nextDeadline: Instant?

  init(anchors: Int, seed: UInt64) {
    self.anchors = anchors
    generator = SeededGenerator(seed: seed)
  }

  mutating func handle(_ input: EclipseInput, now: Instant) -> [EclipseOutput] {
    var outputs: [EclipseOutput] = []
    switch input {
    case .seeds(let addresses), .learned(let addresses, _, _):
      for address in addresses where isKnown.insert(address).inserted {
        known.append(address)
        // Full: a random one makes room.
        if known.count > 20_480 { isKnown.remove(known.remove(at: generator.index(below: known.count))) }
      }
    case .accepted(let id, _, _): if inbound.count < 42 { inbound.insert(id) } else { outputs.append(.close(id)) }
    case .proven(let id, _, _): linked[id] = dialled.removeValue(forKey: id)
    case .failed(let id):
      guard let address = dialled.removeValue(forKey: id), isKnown.remove(address) != nil else { break }
      known.removeAll { $0 == address }
    case .closed(let id):
      linked[id] = nil
      inbound.remove(id)
    case .timer: break
    }
    nextDeadline = nil
    while linked.count + dialled.count < 8, !known.isEmpty {
      let address = first.popLast() ?? known[generator.index(below: known.count)]
      if linked.values.contains(address) || dialled.values.contains(address) {
        nextDeadline = now + .seconds(1)
        break
      }
      number += 1
      dialled[.outbound(number)] = address
      outputs.append(.dial(.outbound(number), address.address))
    }
    return outputs
  }

  func outbound(now: Instant) -> [ConnectionID] { linked.keys.sorted() }

  mutating func restart(now: Instant) -> [EclipseOutput] {
    first = linked.sorted { $0.key < $1.key }.prefix(anchors).map(\.value)
    (linked, dialled, inbound) = ([:], [:], [])
    return handle(.timer, now: now)
  }

  func shareOfTried(_ isMeant: (PeerID) -> Bool) -> Double { 0 }
}
