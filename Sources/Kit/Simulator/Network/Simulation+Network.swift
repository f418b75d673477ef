import HostCore
import Identity
import Peering
import SecureChannel
import Wire

// The network between the nodes: dials, latency, bandwidth, loss, broken paths.
extension Simulation {
  // MARK: Dials

  func dial(_ node: SimulatedNode, _ id: ConnectionID, _ address: Multiaddr, _ expecting: PeerID?, _ timeout: Duration) {
    let target = nodeAt[address]
    linkCount += 1
    let link = Link(id: linkCount, dialler: node.index, connection: id, remote: address, target: target ?? node.index, expecting: expecting)
    guard let end = link.dialler else { return }
    attach(end, to: node)
    queue.schedule(.dialExpired(link, timeout), at: now + timeout)
    if let target { queue.schedule(.knock(link), at: now + latency(node.index, target)) }
  }

  private func attach(_ end: LinkEnd, to node: SimulatedNode) {
    node.ends[end.connection] = end
    let table = node.core?.host.table ?? .init()
    end.endpoint =
      scenario.isFull
      ? FullEndpoint(simulation: self, end: end, limits: limits, table: table)
      : SessionEndpoint(simulation: self, end: end, limits: limits, table: table)
  }

  /// The limits of each connection, those of the real one.
  private var limits: Connection.Configuration { .init() }

  func knock(_ link: Link) {
    let target = nodes[link.target]
    guard let dialler = link.dialler, dialler.socket == .connecting, !isCut(from: dialler.node, to: target.index), !target.isOff,
      !target.isUnreachable || target.ip == nodes[dialler.node].ip
    else { return }
    let back = now + latency(target.index, dialler.node)
    guard target.isUp else { return queue.schedule(.answered(link, isAccepted: false), at: back) }
    let source = nodes[dialler.node]
    source.nextPort = source.nextPort == .max ? 32_768 : source.nextPort + 1
    target.accepted += 1
    let remote = Multiaddr(ip: source.ip, port: source.nextPort)
    let end = link.accept(.inbound(target.accepted), remote: remote)
    attach(end, to: target)
    end.socket = .open
    queue.schedule(.answered(link, isAccepted: true), at: back)
    post(target.index, .host(.accepted(end.connection, remote: remote)))
    if end.socket == .open { onLink(end) { $0.begin(now) } }
  }

  func answered(_ link: Link, _ isAccepted: Bool) {
    guard let end = link.dialler, !isCut(from: link.target, to: end.node) else { return }
    guard end.socket == .connecting else {
      // Nobody waits for it any more.
      if let listener = link.listener { queue.schedule(.arrive(listener, .reset, 60), at: now + latency(end.node, listener.node)) }
      return
    }
    if isAccepted {
      end.socket = .open
      onLink(end) { $0.begin(now) }
    } else {
      closeSocket(end, tells: false)
      post(end.node, .host(.failed(end.connection, .transport(.refused))))
    }
  }

  func dialExpired(_ link: Link, _ timeout: Duration) {
    guard let end = link.dialler, end.socket == .connecting else { return }
    closeSocket(end, tells: false)
    post(end.node, .host(.failed(end.connection, .handshakeTimeout)))
  }

  // MARK: Packets

  /// Sends a unit of a session, in one packet with all else that this step sends over the link.
  func send(_ end: LinkEnd, _ frame: Frame) {
    guard end.socket == .open else { return }
    if end.unsent.isEmpty { unsentEnds.append(end) }
    end.unsent.append(frame)
  }

  private func flush(_ end: LinkEnd) {
    guard !end.unsent.isEmpty else { return }
    let frames = end.unsent
    end.unsent = []
    put(end, .frames(frames), bytes: frames.reduce(Frame.packetBytes) { $0 + $1.wireBytes }, delay: .zero)
  }

  /// Ends a step: what it sent goes out.
  func flush() {
    for end in unsentEnds { flush(end) }
    unsentEnds.removeAll(keepingCapacity: true)
  }

  /// Sends a packet to the other end, behind everything sent before.
  func transmit(_ end: LinkEnd, _ packet: Packet, bytes: Int, delay: Duration = .zero) {
    flush(end)
    put(end, packet, bytes: bytes, delay: delay)
  }

  private func put(_ end: LinkEnd, _ packet: Packet, bytes: Int, delay: Duration) {
    guard end.socket == .open, let far = end.other else { return }
    let sender = nodes[end.node]
    sender.bytesOut &+= UInt64(bytes)
    // Plain numbers here: this runs for every packet, and a `Duration` has 128 bits.
    let start = max(sender.uploadFree.nanoseconds, now.nanoseconds)
    let sent = start + Int64(Double(bytes) / sender.uploadBytes * 1e9)
    sender.uploadFree = Instant(nanoseconds: sent)
    var arrival = sent + latencyNanoseconds(end.node, far.node)
    if delay != .zero { arrival += delay.nanoseconds }
    if scenario.loss > 0, generator.unit() < scenario.loss {
      arrival += 200_000_000 + 2 * regionOf[end.node].halfRoundTripNanoseconds(to: regionOf[far.node])
    }
    arrival = max(arrival, far.lastArrival.nanoseconds)
    far.lastArrival = Instant(nanoseconds: arrival)
    queue.schedule(.arrive(far, packet, bytes), at: far.lastArrival)
  }

  func arrive(_ end: LinkEnd, _ packet: Packet, bytes: Int) {
    guard !end.link.isDead, !end.link.isOver else { return }
    if now < end.stalledUntil { return queue.schedule(.arrive(end, packet, bytes), at: end.stalledUntil) }
    if !end.stalled.isEmpty || isBlocked != nil && end.other.map({ isCut(from: $0.node, to: end.node) }) ?? false {
      if end.stalled.isEmpty { stalledEnds.append(end) }
      end.stalled.append((packet, bytes))
      return
    }
    let receiver = nodes[end.node]
    receiver.bytesIn &+= UInt64(bytes)
    let duration = Int64(Double(bytes) / receiver.downloadBytes * 1e9)
    // An idle line takes a small packet without an event of its own.
    let isIdle = receiver.downloadFree < now && duration < 200_000
    receiver.downloadFree = Instant(nanoseconds: max(receiver.downloadFree.nanoseconds, now.nanoseconds) + duration)
    if isIdle { deliver(end, packet, bytes: bytes) } else { queue.schedule(.deliver(end, packet, bytes), at: receiver.downloadFree) }
  }

  func deliver(_ end: LinkEnd, _ packet: Packet, bytes: Int) {
    let node = nodes[end.node]
    guard end.socket == .open else {
      // The system answers for the process that is gone, unless the machine is gone too.
      switch packet {
      case .end, .reset: return
      default: break
      }
      if !node.isOff, let far = end.other, !isCut(from: end.node, to: far.node) {
        queue.schedule(.arrive(far, .reset, 60), at: max(far.lastArrival, now + latency(end.node, far.node)))
      }
      return
    }
    if node.isSuspended {
      node.unread.append((end, packet, bytes))
    } else {
      read(end, packet)
    }
  }

  /// The process takes a packet from its socket.
  func read(_ end: LinkEnd, _ packet: Packet) {
    onLink(end) { $0.receive(packet, now) }
    if end.isAwaited, let far = end.other, far.socket == .open { far.endpoint?.delivered(now) }
  }

  /// Calls an endpoint, and the core with what came of it.
  func onLink(_ end: LinkEnd, _ body: (any LinkEndpoint) -> Void) { if let endpoint = end.endpoint { body(endpoint) } }

  /// Closes a socket; with `tells` the other end learns of it behind everything sent before.
  func closeSocket(_ end: LinkEnd, tells: Bool) {
    if tells { transmit(end, .end, bytes: 60) } else { end.unsent = [] }
    end.socket = .closed
    end.isAdmitted = false
    nodes[end.node].ends[end.connection] = nil
    end.endpoint = nil
    end.link.releaseIfOver()
  }

  func scheduleTimer(_ end: LinkEnd, at time: Instant) { queue.schedule(.linkTimer(end), at: time) }

  // MARK: Paths

  /// How long a packet takes now, beyond its time on the lines.
  func latency(_ from: Int, _ to: Int) -> Duration { .nanoseconds(latencyNanoseconds(from, to)) }

  private func latencyNanoseconds(_ from: Int, _ to: Int) -> Int64 {
    let half = regionOf[from].halfRoundTripNanoseconds(to: regionOf[to])
    guard jitterNanoseconds > 0 else { return half }
    let draw = generator.unit()
    return half + Int64(draw * draw * jitterNanoseconds)
  }

  /// Whether packets in this direction are lost.
  func isCut(from: Int, to: Int) -> Bool {
    guard let isBlocked else { return false }
    let groups = (nodes[from].group, nodes[to].group)
    return groups == (isBlocked.from, isBlocked.to) || isBlocked.bothWays && groups == (isBlocked.to, isBlocked.from)
  }

  /// Paths have mended: what was sent meanwhile arrives when TCP tries again.
  func releaseStalled() {
    let ends = stalledEnds
    stalledEnds = []
    for end in ends {
      guard let far = end.other else { continue }
      if isCut(from: far.node, to: end.node) {
        stalledEnds.append(end)
        continue
      }
      let waiting = end.stalled
      end.stalled = []
      let time = now + .milliseconds(200) + generator.jitter(.seconds(1)) + latency(far.node, end.node)
      end.stalledUntil = time
      end.lastArrival = max(end.lastArrival, time)
      for (packet, bytes) in waiting { queue.schedule(.arrive(end, packet, bytes), at: time) }
    }
  }
}
