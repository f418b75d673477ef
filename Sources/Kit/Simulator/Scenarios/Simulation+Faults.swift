import HostCore
import Identity
import NodeCore
import Peering
import Wire

extension Simulation {
  /// How a fault ends.
  enum Recovery {
    case partition
    case start(Int)
    case resume(Int)
    case disk(Int)
    case pools(Int)
    case clock(Int)
    case load
  }

  func beginFault(_ index: Int) {
    let fault = scenario.faults[index]
    let until = min(quietFrom, fault.until.map { Instant.zero + $0 } ?? quietFrom)
    guard now < until else { return }
    let span = fault.lasting.upperBound - fault.lasting.lowerBound
    // Whatever goes wrong ends before the quiet time.
    let mend = min(now + fault.lasting.lowerBound + generator.jitter(span), quietFrom)
    strike(fault.kind, until: mend)
    measures.began(.init(name: fault.kind.name, from: now, until: mend))
    if let every = fault.every { queue.schedule(.fault(index), at: now + every / 2 + generator.jitter(every)) }
  }

  private func strike(_ kind: Fault.Kind, until mend: Instant) {
    switch kind {
    case .partition(let share, let isOneWay):
      guard isBlocked == nil else { return }
      for node in nodes { node.group = generator.unit() < share ? 1 : 0 }
      isBlocked = (from: 1, to: 0, bothWays: !isOneWay)
      trace.note(now, -1, .partition, isOneWay ? 1 : 0)
      queue.schedule(.mend(.partition), at: mend)
    case .crash(let share, let isSilent):
      for node in pick(share, where: { $0.isUp && $0.isHonest }) {
        crash(node, isSilent: isSilent)
        queue.schedule(.mend(.start(node.index)), at: mend)
      }
    case .restart(let share):
      for node in pick(share, where: { $0.isUp && $0.isHonest && !$0.isSuspended }) {
        post(node.index, .host(.command(.stop)))
        node.disk.sync()
        crash(node, isSilent: false)
        queue.schedule(.mend(.start(node.index)), at: mend)
      }
    case .cut(let share, let isSilent): cut(share, isSilent)
    case .suspend(let share):
      for node in pick(share, where: { $0.isUp && !$0.isSuspended }) {
        trace.note(now, node.index, .suspended)
        node.isSuspended = true
        queue.schedule(.mend(.resume(node.index)), at: mend)
      }
    case .clock(let share, let by):
      for node in pick(share, where: \.isUp) {
        setClock(node, generator.jitter(by * 2) - by)
        queue.schedule(.mend(.clock(node.index)), at: mend)
      }
    case .diskErrors(let share):
      for node in pick(share, where: { $0.isUp && !$0.disk.isFailing }) {
        trace.note(now, node.index, .diskFails)
        node.disk.isFailing = true
        queue.schedule(.mend(.disk(node.index)), at: mend)
      }
    case .refusals(let share):
      for node in pick(share, where: { $0.isUp && !$0.refusesWork }) {
        trace.note(now, node.index, .refuses)
        node.refusesWork = true
        queue.schedule(.mend(.pools(node.index)), at: mend)
      }
    case .seedsDown:
      for node in nodes where node.isSeed && node.isUp {
        crash(node, isSilent: false)
        queue.schedule(.mend(.start(node.index)), at: mend)
      }
    case .flood(let times):
      trace.note(now, -1, .flood)
      load.times = times
      load.target = nodes.firstIndex { $0.isUp && $0.isHonest && $0.producer == nil && !$0.isSeed }
      queue.schedule(.mend(.load), at: mend)
    }
  }

  func mend(_ recovery: Recovery) {
    switch recovery {
    case .partition:
      isBlocked = nil
      trace.note(now, -1, .mended)
      releaseStalled()
    case .start(let index): start(nodes[index])
    case .resume(let index): resume(nodes[index])
    case .disk(let index):
      trace.note(now, index, .diskWorks)
      nodes[index].disk.isFailing = false
    case .pools(let index):
      trace.note(now, index, .accepts)
      nodes[index].refusesWork = false
    case .clock(let index): setClock(nodes[index], nodes[index].homeOffset)
    case .load:
      load.times = 1
      load.target = nil
    }
  }

  private func setClock(_ node: SimulatedNode, _ offset: Duration) {
    node.clockOffset = offset
    trace.note(now, node.index, .clockSet, UInt64(bitPattern: offset.nanoseconds))
    post(node.index, .clock(wallClock(node)))
  }

  private func resume(_ node: SimulatedNode) {
    guard node.isUp, node.isSuspended else { return }
    trace.note(now, node.index, .resumed)
    node.isSuspended = false
    drain(node)
    let unread = node.unread
    node.unread = []
    for (end, packet, bytes) in unread { if end.socket == .open { read(end, packet) } else { deliver(end, packet, bytes: bytes) } }
    wake(node)
  }

  private func cut(_ share: Double, _ isSilent: Bool) {
    for node in nodes {
      for end in node.ends.values.sorted(by: { $0.connection < $1.connection }) where end.side == .dialler && end.socket == .open {
        guard generator.unit() < share, let far = end.other else { continue }
        trace.note(now, node.index, .linkCut, UInt64(end.link.id))
        if isSilent {
          end.link.isDead = true
        } else {
          for end in [end, far] { queue.schedule(.deliver(end, .reset, 60), at: now) }
        }
      }
    }
  }

  /// A share of the nodes for which something holds, at least one if there is any, by lot.
  private func pick(_ share: Double, where holds: (SimulatedNode) -> Bool) -> [SimulatedNode] {
    var candidates = nodes.filter(holds)
    guard !candidates.isEmpty else { return [] }
    candidates.shuffle(using: &generator)
    let count = max(1, Int(share * Double(nodes.count)))
    return candidates.prefix(count).sorted { $0.index < $1.index }
  }
}
