import Crypto
import Identity
import Wire

@testable import Discovery

/// Kademlia machines in a network of their own: links are made at the first request, with latencies from a seed; the dead do not answer.
final class KademliaWorld {
  struct Node {
    var machine: Kademlia
    var isAlive = true
    var linked: Set<PeerID> = []
    var timer: Instant?
  }

  private enum Event {
    case arrive(KademliaRequestID, from: PeerID, to: PeerID, [UInt8])
    case input(PeerID, Kademlia.Input)
    case timer(PeerID)
  }

  var nodes: [PeerID: Node] = [:]
  private(set) var now = at(0)
  private var queue = DeadlineQueue<Int>()
  private var events: [Int: Event] = [:]
  private var count = 0
  private var checks = 0
  private var generator: SeededGenerator
  private(set) var finished: [LookUpID: Kademlia.Outcome] = [:]
  private(set) var progress: [LookUpID: [Kademlia.Progress]] = [:]
  private(set) var reports: [(by: PeerID, of: PeerID, fault: Kademlia.Fault)] = []
  private(set) var requests = 0
  /// Where a node's links come from; nowhere that counts, unless it is set.
  var remotes: [PeerID: IPAddress] = [:]
  /// Changes what a server answers; `nil` resets the stream.
  var tamper: [PeerID: (KademliaMessage) -> [UInt8]?] = [:]

  init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

  func add(_ number: UInt64, _ change: (inout Kademlia.Configuration) -> Void = { _ in }) {
    var configuration = Kademlia.Configuration()
    configuration.validators["v"] = AnyValueValidator()
    change(&configuration)
    var machine = Kademlia(localPeer: peer(number), crypto: SystemCrypto.shared, configuration: configuration, seed: generator.next())
    _ = machine.handle(.advertising([item(number).address]), now: now)
    nodes[peer(number)] = Node(machine: machine)
  }

  /// Links two nodes, as a dial by hand would.
  func link(_ left: PeerID, _ right: PeerID) {
    guard nodes[left]?.linked.insert(right).inserted == true else { return }
    nodes[right]?.linked.insert(left)
    for (one, other) in [(left, right), (right, left)] {
      let isServer = nodes[other]?.machine.mode == .server
      let number = other.bytes.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
      input(one, isServer ? .server(other, addresses: [item(number).address], remote: nil) : .notServer(other))
    }
  }

  func start(_ node: PeerID, _ id: UInt64, _ query: Kademlia.Query) { input(node, .start(LookUpID(rawValue: id), query)) }

  func outcome(_ id: UInt64) -> Kademlia.Outcome? { finished[LookUpID(rawValue: id)] }

  func input(_ node: PeerID, _ input: Kademlia.Input) {
    guard nodes[node]?.isAlive == true else { return }
    perform(nodes[node]!.machine.handle(input, now: now), node)
    settle(node)
  }

  /// Runs to the time, or until nothing is under way but timers beyond it.
  func run(_ duration: Duration) {
    let end = now + duration
    while let next = queue.next, let number = queue.popExpired(end), let event = events.removeValue(forKey: number) {
      now = next
      switch event {
      case .input(let node, let input): self.input(node, input)
      case .arrive(let id, let from, let to, let bytes): arrive(id, from, to, bytes)
      case .timer(let node):
        guard nodes[node]?.timer == now else { continue }
        nodes[node]!.timer = nil
        input(node, .timerFired)
      }
    }
    now = end
  }

  private func post(_ event: Event, after delay: Duration) {
    count += 1
    queue.set(count, now + delay)
    events[count] = event
  }

  private func latency() -> Duration { .milliseconds(5) + generator.jitter(.milliseconds(90)) }

  private func perform(_ outputs: [Kademlia.Output], _ node: PeerID) {
    for output in outputs {
      switch output {
      case .request(let id, let to, _, let bytes):
        requests += 1
        post(.arrive(id, from: node, to: to, bytes), after: latency())
      case .finished(let id, let outcome):
        precondition(finished[id] == nil, "a look-up ended twice")
        finished[id] = outcome
      case .progress(let id, let found): progress[id, default: []].append(found)
      case .report(let of, let fault): reports.append((node, of, fault))
      case .learned, .cancel: break
      }
    }
  }

  private func settle(_ node: PeerID) {
    checks += 1
    if checks % 16 == 0 { nodes[node]!.machine.checkInvariants() }
    guard let deadline = nodes[node]!.machine.nextDeadline else { return }
    precondition(deadline > now, "the machine spins")
    if nodes[node]!.timer.map({ deadline < $0 }) ?? true {
      nodes[node]!.timer = deadline
      post(.timer(node), after: deadline - now)
    }
  }

  private func arrive(_ id: KademliaRequestID, _ from: PeerID, _ to: PeerID, _ bytes: [UInt8]) {
    func answer(_ input: Kademlia.Input) { post(.input(from, input), after: latency()) }
    // A dead peer's dial times out by the machine's own clock.
    guard nodes[from]?.isAlive == true, nodes[to]?.isAlive == true else { return }
    link(from, to)
    if let lie = tamper[to], let message = try? KademliaMessage(encoded: bytes.rawSpan) {
      return answer(lie(message).map { .answer(id, $0, from: remotes[to]) } ?? .failed(id, .broken))
    }
    guard nodes[to]!.machine.mode == .server else { return answer(.failed(id, .unsupported)) }
    var outputs: [Kademlia.Output] = []
    let service = nodes[to]!.machine.serve(
      from, at: remotes[from], bytes.rawSpan, now: now, isConnected: { _ in false }, addresses: { _ in [] }, into: &outputs)
    perform(outputs, to)
    settle(to)
    switch service {
    case .answer(let bytes): answer(.answer(id, bytes, from: remotes[to]))
    case .silence: answer(.failed(id, .noAnswer))
    case .refuse, .noRoom: answer(.failed(id, .broken))
    }
  }
}
