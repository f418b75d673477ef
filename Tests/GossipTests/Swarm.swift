import Identity
import Wire

@testable import Gossip

/// Routers in virtual time, joined by links with latency; everything follows from one seed.
final class Swarm {
  struct Event {
    let time: Instant
    let order: Int
    let node: Int
    let input: Gossip.Input
  }

  private(set) var nodes: [Gossip] = []
  private(set) var names: [PeerID] = []
  private var numbers: [PeerID: Int] = [:]
  private var links: [Set<Int>] = []
  private var events: [Event] = []
  private var order = 0
  private(set) var now = Instant.zero
  private var generator: SeededGenerator

  /// Who got which data, and when.
  private(set) var deliveries: [[[UInt8]: Instant]] = []
  private(set) var offences: [GossipOffence] = []
  /// Every output in order, folded into one number.
  private(set) var fingerprint: UInt64 = 14_695_981_039_346_656_037
  private(set) var broken: [String] = []
  /// The sends that never arrive.
  var loses: (_ from: Int, _ to: Int, _ bytes: [UInt8]) -> Bool = { _, _, _ in false }
  /// The application's word on every message of topics with validation.
  var verdict: (_ node: Int, _ message: GossipMessage) -> ValidationVerdict = { _, _ in .accept }
  var validationTime: Duration = .milliseconds(20)

  init(_ count: Int, seed: UInt64, rules: TopicConfiguration = .unsigned, configuration: Gossip.Configuration = .init()) {
    generator = SeededGenerator(seed: seed)
    for number in 0..<count {
      let key = rules.signing == .strictSign ? nodeKey(number) : nil
      let name = key?.peerID ?? peer(number)
      names.append(name)
      numbers[name] = number
      nodes.append(Gossip(configuration: configuration, key: key, crypto: crypto, seed: generator.next(), now: .zero))
      links.append([])
      deliveries.append([:])
    }
    for number in 0..<count { input(number, .subscribe(blocks, rules)) }
  }

  /// Gives each node links to `degree` others, dialled by it.
  func connectAtRandom(degree: Int) {
    for number in nodes.indices { for _ in 0..<degree { connect(number, generator.index(below: nodes.count)) } }
  }

  func connect(_ a: Int, _ b: Int) {
    if a == b || links[a].contains(b) { return }
    links[a].insert(b)
    links[b].insert(a)
    for (node, other, direction) in [(a, b, Direction.outbound), (b, a, .inbound)] {
      input(node, .peerConnected(names[other], .meshsub12, direction))
      input(node, .writable(names[other]))
    }
  }

  func disconnect(_ a: Int, _ b: Int) {
    links[a].remove(b)
    links[b].remove(a)
    input(a, .peerDisconnected(names[b]))
    input(b, .peerDisconnected(names[a]))
  }

  func disconnectAll(_ node: Int) { for other in links[node].sorted() { disconnect(node, other) } }

  func neighbours(_ node: Int) -> [Int] { links[node].sorted() }

  func input(_ node: Int, _ input: Gossip.Input) {
    for output in nodes[node].handle(input, now: now) { perform(output, at: node) }
  }

  private func perform(_ output: Gossip.Output, at node: Int) {
    switch output {
    case .send(let peer, let bytes):
      fold(node)
      for byte in bytes { fingerprint = (fingerprint ^ UInt64(byte)) &* 1_099_511_628_211 }
      guard let other = numbers[peer], links[node].contains(other), !loses(node, other, bytes) else { return }
      // Links keep their order: the latency depends on the pair only.
      let latency = Duration.milliseconds(5 + (node * 7 + other * 13) % 40)
      schedule(latency, other, .received(names[node], bytes))
    case .deliver(let message): deliveries[node][message.data] = now
    case .validate(let message):
      schedule(validationTime, node, .validated(message.id, topic: message.topic, verdict(node, message)))
    case .report(_, let offence): offences.append(offence)
    default: fold(node)
    }
  }

  private func fold(_ number: Int) { fingerprint = (fingerprint ^ UInt64(number)) &* 1_099_511_628_211 }

  private func schedule(_ delay: Duration, _ node: Int, _ input: Gossip.Input) {
    order += 1
    push(Event(time: now + delay, order: order, node: node, input: input))
  }

  /// Runs for a while.
  func run(_ seconds: Double) {
    let end = now + .nanoseconds(Int64(seconds * 1e9))
    while true {
      var timerNode: Int?
      var next = end
      for number in nodes.indices {
        if let deadline = nodes[number].nextDeadline, deadline < next { (timerNode, next) = (number, deadline) }
      }
      if let event = events.first, event.time <= next, event.time <= end {
        popEvent()
        now = max(now, event.time)
        input(event.node, event.input)
        if order % 64 == 0 { check(event.node) }
      } else if let timerNode {
        now = max(now, next)
        input(timerNode, .timer)
        check(timerNode)
      } else {
        now = end
        return
      }
    }
  }

  func check(_ node: Int) {
    if let fault = nodes[node].checkInvariants() { broken.append("node \(node) at \(now): \(fault)") }
  }

  var meshDegrees: [Int] { nodes.map { $0.meshPeers(blocks).count } }

  // A binary heap by time and order.
  private func push(_ event: Event) {
    events.append(event)
    var child = events.count - 1
    while child > 0, isBefore(events[child], events[(child - 1) / 2]) {
      events.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  private func popEvent() {
    events.swapAt(0, events.count - 1)
    events.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < events.count && isBefore(events[child], events[least]) { least = child }
      if least == parent { return }
      events.swapAt(parent, least)
      parent = least
    }
  }

  private func isBefore(_ a: Event, _ b: Event) -> Bool { (a.time, a.order) < (b.time, b.order) }
}
