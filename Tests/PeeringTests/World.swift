import Identity
import Peering
import Wire

/// Nodes, links and delays in virtual time: nothing but machines and a heap of events, replayed from a seed.
final class World {
  struct Setting {
    var delay: ClosedRange<Double> = 0.001...0.2
    /// Whether a crash is seen by the other ends (a reset), or leaves them with a dead link.
    var crashesAreSilent = false
    /// What each node listens on besides its own address.
    var alsoListening: [Multiaddr] = []
    var configure: (inout PeeringConfiguration) -> Void = { _ in }
  }

  final class Pipe {
    let number: Int
    let nodes: [Int]
    var ids: [ConnectionID?]
    var isOpen = [true, true]
    var isProven = [false, false]
    var isAdmitted = [false, false]
    /// The last news on its way to each side: bytes arrive in order.
    var lastNews = [Instant.zero, .zero]
    init(number: Int, dialler: Int, id: ConnectionID, listener: Int) {
      self.number = number
      nodes = [dialler, listener]
      ids = [id, nil]
    }
  }

  final class Node {
    let peer: PeerID
    let address: Multiaddr
    var machine: PeeringMachine
    var isUp = true
    var isFrozen = false
    var epoch = 0
    var accepted: UInt64 = 0
    var dials: [(at: Instant, address: Multiaddr)] = []
    var timerAt: Instant?
    var book: [[UInt8]: [UInt8]] = [:]
    var pipes: [ConnectionID: (pipe: Pipe, side: Int)] = [:]
    var admitted: [PeerID: ConnectionID] = [:]
    var events: [(at: Instant, event: PeeringEvent)] = []
    init(peer: PeerID, address: Multiaddr, machine: PeeringMachine) {
      self.peer = peer
      self.address = address
      self.machine = machine
    }
  }

  let setting: Setting
  var generator: SeededGenerator
  private(set) var now = Instant.zero
  private(set) var nodes: [Node] = []
  private(set) var violations: [String] = []
  private var heap: [(at: Instant, order: Int, action: () -> Void)] = []
  private var order = 0
  private var pipeCount = 0

  init(seed: UInt64, _ setting: Setting = .init()) {
    self.setting = setting
    generator = SeededGenerator(seed: seed)
  }

  // MARK: Nodes

  private func makeMachine(_ peer: PeerID, _ book: [[UInt8]: [UInt8]]) -> PeeringMachine {
    var configuration = PeeringConfiguration()
    configuration.allowsPrivateAddresses = true
    setting.configure(&configuration)
    let rows = book.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { (key: $0.key, value: $0.value) }
    let clock = WallClock(now: .zero, wall: WallTime(milliseconds: 1_800_000_000_000))
    return PeeringMachine(localPeer: peer, configuration: configuration, book: rows, clock: clock, seed: generator.next(), now: now)
  }

  @discardableResult
  func add(_ peer: PeerID) -> Int {
    let index = nodes.count
    let address = try! Multiaddr("/ip4/10.\(index / 200).\(index % 200).1/tcp/4001")
    nodes.append(Node(peer: peer, address: address, machine: makeMachine(peer, [:])))
    send(index, .listening([address] + setting.alsoListening))
    return index
  }

  func crash(_ index: Int) {
    let node = nodes[index]
    guard node.isUp else { return }
    node.isUp = false
    node.epoch += 1
    node.timerAt = nil
    node.admitted = [:]
    for (_, end) in node.pipes.sorted(by: { $0.key < $1.key }) {
      end.pipe.isOpen[end.side] = false
      if !setting.crashesAreSilent { tellEnd(end.pipe, 1 - end.side, .transport("reset")) }
    }
    node.pipes = [:]
  }

  func restart(_ index: Int, keepingBook: Bool = true) {
    let node = nodes[index]
    guard !node.isUp else { return }
    node.isUp = true
    if !keepingBook { node.book = [:] }
    node.machine = makeMachine(node.peer, node.book)
    send(index, .listening([node.address] + setting.alsoListening))
  }

  func send(_ index: Int, _ input: PeeringMachine.Input) {
    let node = nodes[index]
    guard node.isUp else { return }
    let outputs = node.machine.handle(input, now: now)
    node.machine.checkInvariants()
    for output in outputs { perform(output, index) }
    arm(index)
  }

  private func arm(_ index: Int) {
    let node = nodes[index]
    guard let deadline = node.machine.nextDeadline else { return }
    let due = max(deadline, now)
    if let timer = node.timerAt, timer <= due { return }
    node.timerAt = due
    let epoch = node.epoch
    schedule(at: due) { [self] in
      guard node.epoch == epoch, node.timerAt == due else { return }
      node.timerAt = nil
      send(index, .timerFired)
      if let next = node.machine.nextDeadline, next <= now { violations.append("node \(index) spins at \(now)") }
    }
  }

  // MARK: What machines ask for

  private func perform(_ output: PeeringMachine.Output, _ index: Int) {
    let node = nodes[index]
    switch output {
    case .dial(let id, let address, let expecting, let timeout): dial(index, id, address, expecting, timeout)
    case .cancelDial(let id), .yieldDial(let id), .close(let id, _):
      guard let end = node.pipes.removeValue(forKey: id) else { return }
      if let (peer, _) = node.admitted.first(where: { $0.value == id }) { node.admitted[peer] = nil }
      end.pipe.isOpen[end.side] = false
      var cause = LinkEnd.transport("cancelled")
      if case .close(_, let reason) = output { cause = end.pipe.isProven[end.side] ? .goodbye(reason) : .remoteClosed }
      tellEnd(end.pipe, 1 - end.side, cause)
    case .retire(let id, let reason):
      guard let end = node.pipes[id] else { return }
      if let (peer, _) = node.admitted.first(where: { $0.value == id }) { node.admitted[peer] = nil }
      // The other end closes at this word.
      tellEnd(end.pipe, 1 - end.side, .goodbye(reason))
    case .admit(let id): admit(index, id)
    case .ping(let id, let nonce):
      guard let end = node.pipes[id] else { return violations.append("ping on a link that is gone") }
      let other = nodes[end.pipe.nodes[1 - end.side]]
      if end.pipe.isOpen == [true, true], other.isUp, !other.isFrozen {
        later { [self] in if node.pipes[id]?.pipe === end.pipe { send(index, .pong(id, nonce: nonce)) } }
      }
    case .book(.put(let key, let value)): node.book[key] = value
    case .book(.remove(let key)): node.book[key] = nil
    case .operated: break
    case .event(let event): node.events.append((now, event))
    }
  }

  private func dial(_ index: Int, _ id: ConnectionID, _ address: Multiaddr, _ expecting: PeerID?, _ timeout: Duration) {
    let node = nodes[index]
    let epoch = node.epoch
    node.dials.append((now, address))
    guard let listener = nodes.firstIndex(where: { $0.address == address }) else {
      return later { [self] in if node.epoch == epoch { send(index, .dialFailed(id, .unreachable)) } }
    }
    pipeCount += 1
    let pipe = Pipe(number: pipeCount, dialler: index, id: id, listener: listener)
    node.pipes[id] = (pipe, 0)
    later { [self] in
      let target = nodes[listener]
      guard pipe.isOpen[0], node.epoch == epoch else { return }
      guard target.isUp else {
        if setting.crashesAreSilent { return }
        node.pipes[id] = nil
        return send(index, .dialFailed(id, .refused))
      }
      target.accepted += 1
      let inbound = ConnectionID.inbound(target.accepted)
      pipe.ids[1] = inbound
      target.pipes[inbound] = (pipe, 1)
      let port = 30_000 + pipe.number % 30_000
      let remote = Multiaddr(ip: node.address.ipAddress ?? .any, port: UInt16(port))
      send(listener, .accepted(inbound, remote: remote))
      guard pipe.isOpen[1] else { return }
      let isWrong = expecting.map { $0 != target.peer } ?? false
      later(pipe, 0) { [self] in
        guard pipe.isOpen[0], node.epoch == epoch else { return }
        if isWrong {
          pipe.isOpen[0] = false
          node.pipes[id] = nil
          tellEnd(pipe, 1, .handshake("wrong peer"))
          return send(index, .dialFailed(id, .wrongPeer(target.peer)))
        }
        pipe.isProven[0] = true
        send(index, .proven(id, target.peer, remote: address, setUpTime: .milliseconds(5)))
      }
      let targetEpoch = target.epoch
      later(pipe, 1) { [self] in
        guard pipe.isOpen[1], target.epoch == targetEpoch, !isWrong else { return }
        pipe.isProven[1] = true
        send(listener, .proven(inbound, node.peer, remote: remote, setUpTime: .milliseconds(5)))
      }
    }
  }

  private func admit(_ index: Int, _ id: ConnectionID) {
    let node = nodes[index]
    guard let (pipe, side) = node.pipes[id] else { return violations.append("node \(index) admits a link that is gone") }
    let other = nodes[pipe.nodes[1 - side]].peer
    if let former = node.admitted[other] { violations.append("node \(index) admits \(id) beside \(former)") }
    node.admitted[other] = id
    pipe.isAdmitted[side] = true
    guard pipe.isAdmitted == [true, true] else { return }
    for side in 0...1 {
      guard let id = pipe.ids[side] else { continue }
      let index = pipe.nodes[side]
      let peer = nodes[pipe.nodes[1 - side]].peer
      later { [self] in if nodes[index].pipes[id]?.pipe === pipe { send(index, .introduced(peer)) } }
    }
  }

  /// The news of an end travels to a side.
  private func tellEnd(_ pipe: Pipe, _ side: Int, _ cause: LinkEnd) {
    later(pipe, side) { [self] in
      guard pipe.isOpen[side], let id = pipe.ids[side] else { return }
      pipe.isOpen[side] = false
      let node = nodes[pipe.nodes[side]]
      node.pipes[id] = nil
      if let (peer, _) = node.admitted.first(where: { $0.value == id }) { node.admitted[peer] = nil }
      send(pipe.nodes[side], .closed(id, cause))
      if pipe.isOpen[1 - side] { tellEnd(pipe, 1 - side, .remoteClosed) }
    }
  }

  // MARK: Time

  private func later(_ action: @escaping () -> Void) {
    let span = setting.delay.upperBound - setting.delay.lowerBound
    schedule(at: now + .nanoseconds(Int64((setting.delay.lowerBound + span * generator.unit()) * 1e9)), action)
  }

  /// News for one side of a link: never overtakes earlier news.
  private func later(_ pipe: Pipe, _ side: Int, _ action: @escaping () -> Void) {
    let span = setting.delay.upperBound - setting.delay.lowerBound
    let arrival = now + .nanoseconds(Int64((setting.delay.lowerBound + span * generator.unit()) * 1e9))
    pipe.lastNews[side] = max(arrival, pipe.lastNews[side])
    schedule(at: pipe.lastNews[side], action)
  }

  func schedule(at instant: Instant, _ action: @escaping () -> Void) {
    order += 1
    heap.append((max(instant, now), order, action))
    var child = heap.count - 1
    while child > 0, isBefore(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  func run(until end: Instant) {
    while let first = heap.first, first.at <= end {
      heap.swapAt(0, heap.count - 1)
      heap.removeLast()
      sink()
      now = first.at
      first.action()
    }
    now = end
  }

  private func sink() {
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isBefore(child, least) { least = child }
      if least == parent { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }

  private func isBefore(_ a: Int, _ b: Int) -> Bool { (heap[a].at, heap[a].order) < (heap[b].at, heap[b].order) }

  // MARK: What the tests ask

  /// The links that both ends have in use, as pairs of node numbers.
  var sharedLinks: [(pipe: Int, nodes: [Int])] {
    var result: [(pipe: Int, nodes: [Int])] = []
    for (index, node) in nodes.enumerated() {
      for (id, end) in node.pipes where end.side == 0 && end.pipe.isOpen == [true, true] {
        let other = end.pipe.nodes[1]
        guard let otherID = end.pipe.ids[1] else { continue }
        if node.machine.link(of: nodes[other].peer) == id, nodes[other].machine.link(of: node.peer) == otherID,
          node.machine.isActive(nodes[other].peer), nodes[other].machine.isActive(node.peer)
        {
          result.append((end.pipe.number, [index, other]))
        }
      }
    }
    return result.sorted { $0.pipe < $1.pipe }
  }

  /// Whether every node that is up reaches every other over shared links.
  var isConnected: Bool {
    let up = nodes.indices.filter { nodes[$0].isUp }
    guard let first = up.first else { return true }
    var reached: Set<Int> = [first]
    let links = sharedLinks
    while true {
      let before = reached.count
      for link in links where reached.contains(link.nodes[0]) != reached.contains(link.nodes[1]) { reached.formUnion(link.nodes) }
      if reached.count == before { return reached.count == up.count }
    }
  }
}
