import HostCore
import Identity
import Ledger
import NodeCore
import SecureChannel
import Wire

/// A network of nodes in virtual time: one thread, one heap of events, everything from one seed.
///
/// The nodes are ``Core``, the same class that the real node runs; their outputs are performed on a modelled network and store.
/// Two runs of the same scenario, node count, seed and duration take the same steps to the byte, on every machine and in every build.
public final class Simulation {
  /// What happens at a point in virtual time.
  enum Event {
    case start(node: Int)
    case timer(node: Int)
    case linkTimer(LinkEnd)
    /// A dial's first packet reaches the target.
    case knock(Link)
    /// The target's answer reaches the dialler: the transport is there, or refused.
    case answered(Link, isAccepted: Bool)
    /// A dial has taken too long.
    case dialExpired(Link, Duration)
    /// A packet reaches the receiver's downlink.
    case arrive(LinkEnd, Packet, Int)
    /// A packet has come through the receiver's downlink.
    case deliver(LinkEnd, Packet, Int)
    case workDone(node: Int, life: UInt32, WorkID, Chain<AccountLedger, ProofOfAuthority>.WorkResult)
    case readDone(node: Int, life: UInt32, ReadID, ReadResult)
    case stored(node: Int, life: UInt32)
    case load
    case fault(Int)
    case mend(Recovery)
    case sample
    case misbehave(node: Int)
  }

  /// What was asked for.
  public let scenario: Scenario
  /// The seed.
  public let seed: UInt64
  /// The present.
  public private(set) var now = Instant.zero
  /// Steps taken: events that were performed.
  public private(set) var steps: UInt64 = 0

  var queue = EventQueue<Event>()
  /// Choices of the network.
  var generator: SeededGenerator
  let crypto: SimulatedCrypto
  let genesis: GenesisConfiguration
  let ledger: AccountLedger
  let consensus: ProofOfAuthority
  package internal(set) var nodes: [SimulatedNode] = []
  var nodeAt: [Multiaddr: Int] = [:]
  var nodeOf: [PeerID: Int] = [:]
  var linkCount = 0
  /// Whether packets from one group of nodes to another are lost.
  var isBlocked: (from: Int, to: Int, bothWays: Bool)?
  var stalledEnds: [LinkEnd] = []
  /// Ends on which this step sent something.
  var unsentEnds: [LinkEnd] = []
  /// Nodes that did something in this step.
  private var touched: [SimulatedNode] = []
  var trace = Trace()
  var load: Load
  var oracle = Oracle()
  var measures: Measures
  /// When faults and load end.
  let quietFrom: Instant
  let jitterNanoseconds: Double
  /// Where each node is: read for every packet, and nothing else of the far node is.
  let regionOf: [Region]
  /// When the whole time will have passed.
  public let end: Instant
  var outputs: [Core.Output] = []
  var sharedValues = SharedValues()

  static let network = "simulation"
  /// Wall time at the simulation's beginning: 2026-01-01 00:00 UTC.
  static let wallStart = WallTime(milliseconds: 1_767_225_600_000)

  /// Makes a network at its beginning.
  ///
  /// - Parameters:
  ///   - duration: how long the whole run takes; the scenario's own by default.
  public init(_ scenario: Scenario, seed: UInt64, duration: Duration? = nil) {
    self.scenario = scenario
    self.seed = seed
    var generator = SeededGenerator(seed: seed)
    let crypto = SimulatedCrypto(seed: generator.next())
    self.crypto = crypto
    end = Instant.zero + (duration ?? scenario.duration)
    jitterNanoseconds = Double(scenario.jitter.nanoseconds)
    quietFrom = max(Instant.zero, end - scenario.settle)
    // Propagation counts once the first nodes are there and linked, and while there is time left to arrive.
    let warm = min(Instant.zero + scenario.startWithin + .seconds(20), Instant.zero + (end - .zero) / 3)
    measures = Measures(window: warm...max(warm, end - .seconds(10)))

    let plan = Plan(scenario, crypto: crypto, generator: &generator)
    genesis = plan.genesis
    ledger = AccountLedger(genesis: plan.genesis, crypto: crypto)
    consensus = ProofOfAuthority(genesis: plan.genesis)
    load = Load(scenario, accounts: plan.accounts, genesis: plan.genesis, crypto: crypto, seed: generator.next())
    nodes = plan.nodes
    regionOf = plan.nodes.map(\.region)
    self.generator = generator
    for node in nodes {
      nodeAt[node.address] = node.index
      nodeOf[node.key.peerID] = node.index
    }
    for node in nodes {
      let isLate = !node.isSeed && node.producer == nil && self.generator.unit() < scenario.late
      // Seeds are there first: a long start is that of the others.
      let within = node.isSeed ? min(scenario.startWithin, .seconds(2)) : scenario.startWithin
      let start = isLate ? scenario.lateAfter + self.generator.jitter(.seconds(5)) : self.generator.jitter(within)
      queue.schedule(.start(node: node.index), at: Instant.zero + start)
    }
    for index in scenario.faults.indices { queue.schedule(.fault(index), at: Instant.zero + scenario.faults[index].from) }
    queue.schedule(.load, at: Instant.zero + .seconds(5))
    queue.schedule(.sample, at: Instant.zero + .seconds(1))
  }

  /// Gives every line of the trace from here on to somebody; `nil` stops that. Changes nothing in the run, but costs time.
  public func listen(_ sink: ((String) -> Void)?) { trace.sink = sink }

  /// The hash of everything that has happened so far.
  public var traceHash: UInt64 { trace.hash }

  /// How many nodes take part.
  public var nodeCount: Int { nodes.count }

  /// Whether there was time for the network to start and come together, so that its end can be judged.
  public var isLongEnough: Bool { end - .zero >= scenario.startWithin + Self.gathering }

  /// What nodes need to find each other, and to have a block.
  private static let gathering = Duration.seconds(8)

  /// Whether the whole time has passed.
  public var isOver: Bool { now >= end }

  /// Performs the next event. False when the time is over or a property was broken.
  @discardableResult
  public func step() -> Bool {
    guard oracle.violation == nil, let (time, event) = queue.pop(upTo: end) else {
      now = max(now, end)
      return false
    }
    precondition(time >= now, "virtual time went backwards")
    now = time
    steps += 1
    perform(event)
    flush()
    for node in touched { arm(node) }
    touched.removeAll(keepingCapacity: true)
    return true
  }

  /// Runs up to a point in virtual time, or until a property is broken.
  public func run(until time: Instant) { while let next = queue.next, next <= time, step() {} }

  private func perform(_ event: Event) {
    switch event {
    case .start(let index): start(nodes[index])
    case .timer(let index): timer(nodes[index])
    case .linkTimer(let end): if end.socket == .open, nodes[end.node].isUp { onLink(end) { $0.timer(now) } }
    case .knock(let link): knock(link)
    case .answered(let link, let isAccepted): answered(link, isAccepted)
    case .dialExpired(let link, let timeout): dialExpired(link, timeout)
    case .arrive(let end, let packet, let bytes): arrive(end, packet, bytes: bytes)
    case .deliver(let end, let packet, let bytes): deliver(end, packet, bytes: bytes)
    case .workDone(let index, let life, let id, let result): if nodes[index].life == life { post(index, .workDone(id, result)) }
    case .readDone(let index, let life, let id, let result): if nodes[index].life == life { post(index, .readDone(id, result)) }
    case .stored(let index, let life): if nodes[index].life == life { stored(nodes[index]) }
    case .load: runLoad()
    case .fault(let index): beginFault(index)
    case .mend(let recovery): mend(recovery)
    case .sample: sample()
    case .misbehave(let index): misbehave(nodes[index])
    }
  }

  // MARK: Driving a node

  /// Gives a node an input, which it takes at once unless its process stands still.
  func post(_ index: Int, _ input: Core.Input) {
    let node = nodes[index]
    guard node.isUp else { return }
    if node.isRunning || node.isSuspended { return node.inbox.append(input) }
    node.isRunning = true
    take(input, node)
    drain(node)
  }

  /// Takes what waits in the inbox.
  func drain(_ node: SimulatedNode) {
    node.isRunning = true
    while !node.inbox.isEmpty, node.isUp {
      let inputs = node.inbox
      node.inbox = []
      for input in inputs { take(input, node) }
    }
    node.isRunning = false
    if touched.last !== node { touched.append(node) }
  }

  /// Gives one input to the node's core and performs what it wants.
  private func take(_ input: Core.Input, _ node: SimulatedNode) {
    guard let core = node.core else { return }
    trace.input(now, node.index, input)
    if node.mask != nil, case .host(let input) = input { node.mask!.note(input) }
    // One buffer for all nodes; while one node's outputs are performed another one may run, with a buffer of its own.
    var wanted = outputs
    outputs = []
    core.handle(input, now: now, into: &wanted)
    for output in wanted { perform(output, of: node) }
    wanted.removeAll(keepingCapacity: true)
    outputs = wanted
  }

  /// Keeps one timer event for a node no later than its deadline.
  private func arm(_ node: SimulatedNode) {
    guard let deadline = node.core?.nextDeadline, deadline < node.armed else { return }
    node.armed = max(deadline, now)
    queue.schedule(.timer(node: node.index), at: node.armed)
  }

  private func timer(_ node: SimulatedNode) {
    guard node.armed == now else { return }
    node.armed = .distantFuture
    node.timers = node.timerAt == now ? node.timers + 1 : 0
    node.timerAt = now
    if node.timers > 1_000 { return oracle.violate(.progress, node.index, "its timer is due again and again") }
    guard let core = node.core, !node.isSuspended else { return }
    if let deadline = core.nextDeadline, deadline <= now { post(node.index, .timer) } else { arm(node) }
  }

  /// Runs the timer of a node that stood still.
  func wake(_ node: SimulatedNode) {
    node.armed = .distantFuture
    arm(node)
  }
}
