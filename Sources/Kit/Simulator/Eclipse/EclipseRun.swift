import Identity
import Peering
import Wire

/// The world round an attacked node, event by event.
struct EclipseRun {
  private struct Node {
    let item: PeerAddress
    let isAttacker: Bool
    var diedAt: Instant?
  }

  private enum Event {
    case replace
    case honestComes
    case attackerComes
    case ask(ConnectionID, life: Int, turn: Int)
    case answer(ConnectionID, life: Int, isGood: Bool)
    case sample
    case crash
    case restart
    case timer
  }

  private let scenario: EclipseScenario
  private var generator: SeededGenerator
  private var victim: any EclipseVictim
  private var queue = EventQueue<Event>()
  private var nodes: [Node] = []
  private var alive: [Int] = []
  private var places: [Multiaddr: Int] = [:]
  private var attackers: Range<Int> = 0..<0
  /// Whom each link and dial of the victim leads to.
  private var links: [ConnectionID: Int] = [:]
  private var active: Set<ConnectionID> = []
  private var inboundNumber: UInt64 = 0
  /// Counts the victim's restarts, so that news of links of an earlier life are dropped.
  private var life = 0
  private var isUp = true
  private var timerAt = Instant.distantFuture
  private var outcome = EclipseOutcome()
  private var samples = 0
  private var mutedUntil = Instant.zero

  init(_ scenario: EclipseScenario, _ defence: EclipseDefence, seed: UInt64) {
    self.scenario = scenario
    generator = SeededGenerator(seed: seed)
    victim =
      switch defence {
      case .book: MachineVictim(EclipseRun.name(generator.next() >> 1), seed: seed)
      case .flat: FlatVictim(anchors: 0, seed: seed)
      case .anchors: FlatVictim(anchors: 2, seed: seed)
      }
  }

  mutating func run() -> EclipseOutcome {
    for _ in 0..<scenario.honest { bear() }
    let networks = (0..<scenario.attackerNetworks).map { _ in generator.index(below: EclipseRun.networks) }
    let first = nodes.count
    for number in 0..<scenario.attackers { add(network: networks[number % networks.count], isAttacker: true) }
    attackers = first..<nodes.count
    let begin = Instant.zero + scenario.peace
    let end = begin + scenario.attack
    let middle = begin + scenario.attack / 2
    queue.schedule(.replace, at: .zero + .seconds(86_400) / scenario.replacedPerDay)
    queue.schedule(.honestComes, at: .zero + scenario.honestPause)
    queue.schedule(.attackerComes, at: begin)
    queue.schedule(.sample, at: begin)
    queue.schedule(.crash, at: middle)
    queue.schedule(.restart, at: middle + .seconds(600))
    send(.seeds(alive.prefix(5).map { nodes[$0].item }), .zero)
    while let next = queue.next, next <= end, let (now, event) = queue.pop() { perform(event, now) }
    measure(end)
    outcome.share /= Double(max(1, samples))
    let isMeant = Set(attackers.compactMap { nodes[$0].item.peer })
    outcome.shareOfTried = victim.shareOfTried { isMeant.contains($0) }
    return outcome
  }

  // MARK: Nodes

  private static let networks = 4_000

  private static func name(_ number: UInt64) -> PeerID {
    var bytes: [UInt8] = [0, 8]
    bytes.appendBigEndian(number)
    guard let peer = try? PeerID(bytes: bytes) else { preconditionFailure("eight bytes are an identity") }
    return peer
  }

  /// A new node at a public address of one of 4,000 networks.
  @discardableResult
  private mutating func add(network: Int, isAttacker: Bool) -> Int {
    while true {
      let ip = IPAddress.v4(0x1400_0000 + UInt32(network) << 16 + UInt32(truncatingIfNeeded: generator.next()) & 0xffff)
      let address = Multiaddr(ip: ip, port: 4001)
      if places[address] != nil { continue }
      places[address] = nodes.count
      nodes.append(Node(item: PeerAddress(peer: EclipseRun.name(generator.next() >> 1), address: address), isAttacker: isAttacker))
      return nodes.count - 1
    }
  }

  private mutating func bear() { alive.append(add(network: generator.index(below: EclipseRun.networks), isAttacker: false)) }

  private func isUnderAttack(_ now: Instant) -> Bool { now >= .zero + scenario.peace }

  // MARK: Events

  private mutating func perform(_ event: Event, _ now: Instant) {
    switch event {
    case .replace:
      let index = alive.remove(at: generator.index(below: alive.count))
      nodes[index].diedAt = now
      for (id, node) in links.sorted(by: { $0.key < $1.key }) where node == index && active.contains(id) {
        forget(id)
        send(.closed(id), now)
      }
      bear()
      queue.schedule(.replace, at: now + .seconds(86_400) / scenario.replacedPerDay)
    case .honestComes:
      come(alive[generator.index(below: alive.count)], now)
      queue.schedule(.honestComes, at: now + scenario.honestPause)
    case .attackerComes:
      come(attackers.lowerBound + generator.index(below: attackers.count), now)
      queue.schedule(.attackerComes, at: now + scenario.attackerPause)
    case .ask(let id, let life, let turn): if life == self.life, active.contains(id) { ask(id, turn, now) }
    case .answer(let id, let life, let isGood): if life == self.life, let node = links[id] { answered(id, node, isGood, now) }
    case .sample:
      measure(now)
      queue.schedule(.sample, at: now + .seconds(60))
    case .crash:
      isUp = false
      life += 1
      links = [:]
      active = []
      timerAt = .distantFuture
    case .restart:
      isUp = true
      mutedUntil = now + .seconds(120)
      perform(victim.restart(now: now), now)
    case .timer:
      guard timerAt <= now else { return }
      timerAt = .distantFuture
      send(.timer, now)
    }
  }

  private mutating func measure(_ now: Instant) {
    guard isUp, now >= mutedUntil else { return }
    let outbound = victim.outbound(now: now).compactMap { links[$0] }
    let hostile = outbound.filter { nodes[$0].isAttacker }.count
    outcome.fewestHonest = min(outcome.fewestHonest, outbound.count - hostile)
    outcome.shareAtEnd = outbound.isEmpty ? 1 : Double(hostile) / Double(outbound.count)
    outcome.share += outcome.shareAtEnd
    samples += 1
  }

  /// A node dials the victim, unless they are linked.
  private mutating func come(_ index: Int, _ now: Instant) {
    guard isUp, !links.values.contains(index), let peer = nodes[index].item.peer, let ip = nodes[index].item.address.ipAddress else {
      return
    }
    inboundNumber += 1
    let id = ConnectionID.inbound(inboundNumber)
    links[id] = index
    active.insert(id)
    send(.accepted(id, peer, remote: Multiaddr(ip: ip, port: UInt16(30_000 + inboundNumber % 30_000))), now)
    greet(id, now)
  }

  private mutating func answered(_ id: ConnectionID, _ node: Int, _ isGood: Bool, _ now: Instant) {
    guard isGood, nodes[node].diedAt == nil, let peer = nodes[node].item.peer else {
      forget(id)
      return send(.failed(id), now)
    }
    active.insert(id)
    send(.proven(id, peer, remote: nodes[node].item.address), now)
    greet(id, now)
  }

  /// A new link: the peer says where it listens, and is asked at once.
  private mutating func greet(_ id: ConnectionID, _ now: Instant) {
    guard active.contains(id), let node = links[id], let peer = nodes[node].item.peer else { return }
    send(.learned([nodes[node].item], from: peer, isOwn: true), now)
    queue.schedule(.ask(id, life: life, turn: 0), at: now)
  }

  private mutating func ask(_ id: ConnectionID, _ turn: Int, _ now: Instant) {
    guard let node = links[id], let peer = nodes[node].item.peer else { return }
    let wait = [3, 7, 15][safe: turn].map { Duration.seconds($0) } ?? scenario.askInterval
    queue.schedule(.ask(id, life: life, turn: turn + 1), at: now + wait)
    let list = (0..<scenario.answerMaximum).map { _ -> PeerAddress in
      let isLie = nodes[node].isAttacker || (isUnderAttack(now) && generator.unit() < scenario.taint)
      if isLie { return nodes[attackers.lowerBound + generator.index(below: attackers.count)].item }
      // One in twenty has gone since.
      while generator.unit() < 0.05 {
        let index = generator.index(below: nodes.count)
        if !nodes[index].isAttacker { return nodes[index].item }
      }
      return nodes[alive[generator.index(below: alive.count)]].item
    }
    send(.learned(list, from: peer, isOwn: false), now)
  }

  private mutating func forget(_ id: ConnectionID) {
    links[id] = nil
    active.remove(id)
  }

  // MARK: The victim

  private mutating func send(_ input: EclipseInput, _ now: Instant) {
    guard isUp else { return }
    perform(victim.handle(input, now: now), now)
  }

  private mutating func perform(_ outputs: [EclipseOutput], _ now: Instant) {
    for output in outputs {
      switch output {
      case .dial(let id, let address):
        let node = places[address]
        // The attacker's nodes are not there before the attack.
        let isGood = node.map { nodes[$0].diedAt == nil && (!nodes[$0].isAttacker || isUnderAttack(now)) } ?? false
        links[id] = node
        queue.schedule(.answer(id, life: life, isGood: isGood), at: now + (isGood ? .milliseconds(50) : .seconds(3)))
      case .close(let id): forget(id)
      }
    }
    guard let deadline = victim.nextDeadline, deadline < timerAt else { return }
    timerAt = max(now, deadline)
    queue.schedule(.timer, at: timerAt)
  }
}

extension Array {
  fileprivate subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
