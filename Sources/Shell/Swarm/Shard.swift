import Discovery
import EventLoop
import HostCore
import Identity
import Peering
import SecureChannel
import Synchronization
import Threads
import Wire

/// What a shard is told by other threads.
enum ShardCommand: Sendable {
  case adopt(ConnectionID, DetachedSocket)
  case dial(ConnectionID, Multiaddr, expecting: PeerID?, timeout: Duration)
  case probe(ProbeID, Multiaddr, PeerID, timeout: Duration)
  case yield(ConnectionID)
  case admit(ConnectionID)
  case close(ConnectionID, Reason)
  case open(StreamRef, [ProtocolID])
  case openApplication(ApplicationStream, [ProtocolID])
  case send(StreamRef, [UInt8])
  case finish(StreamRef)
  case reset(StreamRef, ResetCode)
  case protocols(ProtocolTable)
  case applicationSend(StreamRef, [UInt8])
  case applicationFinish(StreamRef)
  case applicationReset(StreamRef, ResetCode)
  case applicationAbandoned(StreamRef)
  case applicationConsumed(StreamRef, Int)
}

/// One thread's share of the links: their sockets, their connection machines and one timer for all of them.
final class Shard: MailboxHandler, LoopTimerDelegate, @unchecked Sendable {
  let loop: EventLoop
  let configuration: Swarm.Configuration
  let crypto: any CryptoSuite
  let staticKey: NoiseStaticKey
  let turnAway: TurnAway
  private(set) var protocols: ProtocolTable
  private let mailbox: Mailbox<ShardCommand>
  private let sink: any SwarmSink
  private var links: [ConnectionID: ShardLink] = [:]
  /// Dial-backs under way; the core bounds how many.
  private var probes: [ProbeID: Probe] = [:]
  private var deadlines = DeadlineQueue<ConnectionID>()
  private var timer: LoopTimer?
  private var resolver: Resolver?
  private var dirty: [ShardLink] = []
  /// Inputs for the core, posted behind each batch of commands or bytes.
  private var inputs: [HostCore.Input] = []
  private var inputBytes = 0
  /// What this thread's links may keep for peers.
  let memory: MemoryScope
  /// What of it is reserved and how often there was no room, for other threads to see.
  let memoryUsed = Atomic<Int>(0)
  let memoryRefusals = Atomic<Int>(0)
  let refusedStreams = Atomic<Int>(0)
  /// Whether nothing is read because the core is behind.
  private(set) var isHeldBack = false
  private var whenEmpty: (@Sendable () -> Void)?
  /// What a link writes from, used again when the kernel took all of it at once.
  var writeBuffer: [UInt8] = []
  private let overflowLock = Lock()
  private var overflow: [ShardCommand] = []

  init(
    name: String, configuration: Swarm.Configuration, crypto: any CryptoSuite, staticKey: NoiseStaticKey, protocols: ProtocolTable,
    sink: any SwarmSink
  ) {
    loop = EventLoop(name: name)
    self.configuration = configuration
    self.crypto = crypto
    self.staticKey = staticKey
    turnAway = TurnAway(networkKey: configuration.connection.networkKey, crypto: crypto)
    self.protocols = protocols
    self.sink = sink
    let share = configuration.memoryMaximum / configuration.shards
    memory = MemoryScope(limit: share, keptForLife: share / 16)
    mailbox = Mailbox(loop: loop, capacity: configuration.commandsMaximum)
  }

  func start() throws {
    try loop.start()
    try loop.runAndWait {
      self.timer = LoopTimer(on: self.loop, delegate: self)
      self.resolver = Resolver(on: self.loop)
    }
    mailbox.attach(self)
  }

  /// Hands a command over from any thread. Commands keep the order of their thread; a full mailbox delays them.
  ///
  /// What can wait is bounded by what produces it: the core stops sending on a stream that is blocked, and writers wait.
  func post(_ command: ShardCommand) {
    let mustWait = overflowLock.withLock {
      if overflow.isEmpty && mailbox.post(command) { return false }
      overflow.append(command)
      return overflow.count == 1
    }
    if mustWait { mailbox.notifyWhenSpace { [weak self] in self?.drainOverflow() } }
  }

  func post(contentsOf commands: [ShardCommand]) {
    if commands.isEmpty { return }
    let mustWait = overflowLock.withLock {
      if overflow.isEmpty && mailbox.post(contentsOf: commands) { return false }
      overflow.append(contentsOf: commands)
      return overflow.count == commands.count
    }
    if mustWait { mailbox.notifyWhenSpace { [weak self] in self?.drainOverflow() } }
  }

  private func drainOverflow() {
    let isLeft = overflowLock.withLock {
      let part = Array(overflow.prefix(configuration.commandsMaximum / 2))
      guard mailbox.post(contentsOf: part) else {
        // Closed for good: nobody will take them.
        overflow = []
        return false
      }
      overflow.removeFirst(part.count)
      return !overflow.isEmpty
    }
    if isLeft { mailbox.notifyWhenSpace { [weak self] in self?.drainOverflow() } }
  }

  // MARK: Commands

  func receive(_ batch: [ShardCommand]) {
    let now = loop.now
    for command in batch { perform(command, now) }
    endTurn(now)
  }

  private func perform(_ command: ShardCommand, _ now: Instant) {
    switch command {
    case .adopt(let id, let socket): add(ShardLink(id: id, shard: self, remote: socket.remote.multiaddr)).adopt(socket, now)
    case .dial(let id, let address, let expecting, let timeout):
      add(ShardLink(id: id, shard: self, remote: address)).dial(address, expecting: expecting, timeout: timeout, resolver, now)
    case .probe(let id, let address, let peer, let timeout):
      let probe = Probe(id, to: peer, shard: self, now)
      probes[id] = probe
      probe.start(address, timeout: timeout)
    case .yield(let id): links[id]?.yield(now)
    case .admit(let id): links[id]?.admit(now)
    case .close(let id, let reason): links[id]?.close(reason, now)
    case .open(let stream, let names): links[stream.connection]?.open(stream.stream, names, nil, now)
    case .openApplication(let stream, let names):
      guard let link = links[stream.reference.connection] else { return stream.didEnd(.closedLocally("the link is gone")) }
      link.open(stream.reference.stream, names, stream, now)
    case .send(let stream, let bytes): links[stream.connection]?.send(stream.stream, bytes, now)
    case .finish(let stream): links[stream.connection]?.finish(stream.stream)
    case .reset(let stream, let code): links[stream.connection]?.reset(stream.stream, code)
    case .protocols(let table):
      protocols = table
      for link in links.values { link.connection?.protocols = table }
    case .applicationSend(let stream, let bytes): links[stream.connection]?.sendApplication(stream.stream, bytes, now)
    case .applicationFinish(let stream): links[stream.connection]?.finishApplication(stream.stream)
    case .applicationReset(let stream, let code): links[stream.connection]?.resetApplication(stream.stream, code)
    case .applicationAbandoned(let stream): links[stream.connection]?.abandonApplication(stream.stream)
    case .applicationConsumed(let stream, let count): links[stream.connection]?.consumed(stream.stream, count)
    }
  }

  /// The address of this machine that a remote is dialled from; `nil` leaves it to the system.
  func source(for remote: SocketAddress) -> SocketAddress? {
    configuration.dialSources.first { $0.isV6 == (remote.family == .ipv6) }.map { SocketAddress($0, port: 0) }
  }

  /// Grants room from within the shard's own turn.
  func consumedOnLoop(_ stream: StreamRef, _ count: Int) { links[stream.connection]?.consumed(stream.stream, count) }

  private func add(_ link: ShardLink) -> ShardLink {
    links[link.id] = link
    return link
  }

  func remove(_ link: ShardLink) {
    links[link.id] = nil
    deadlines.remove(link.id)
    if links.isEmpty, let whenEmpty {
      self.whenEmpty = nil
      whenEmpty()
    }
  }

  /// Calls `body` once, when the last link is gone or the thread ends.
  func drain(_ body: @escaping @Sendable () -> Void) {
    let isAccepted = loop.execute {
      if self.links.isEmpty { body() } else { self.whenEmpty = body }
    }
    if !isAccepted { body() }
  }

  // MARK: Turns

  /// The link has something to send when the turn ends.
  func markDirty(_ link: ShardLink) {
    guard !link.isDirty else { return }
    link.isDirty = true
    dirty.append(link)
  }

  func emit(_ input: HostCore.Input) {
    if case .message(_, let bytes, _) = input { inputBytes += bytes.count }
    inputs.append(input)
  }
  func emit(_ stream: ApplicationStream) { sink.opened(stream) }

  func probeEnded(_ probe: Probe, _ isReached: Bool) {
    guard probes.removeValue(forKey: probe.id) != nil else { return }
    emit(.discovered(.probed(probe.id, isReached)))
    // The probe may end within a turn of its own.
    postInputs()
  }

  /// Sends what became ready, tells the core what happened and re-arms the timer.
  func endTurn(_ now: Instant) {
    while let link = dirty.popLast() {
      link.isDirty = false
      link.flush(now)
      if let deadline = link.connection?.nextDeadline { deadlines.set(link.id, deadline) } else { deadlines.remove(link.id) }
    }
    timer?.arm(at: deadlines.next)
    if memory.used > memory.limit - memory.limit / 8 { relieve() }
    memoryUsed.store(memory.used, ordering: .relaxed)
    memoryRefusals.store(Int(truncatingIfNeeded: memory.refusals), ordering: .relaxed)
    postInputs()
  }

  /// Nearly all memory for links is taken: the link that takes most of it has to go, or it would cost others their streams. Each is told to the
  /// core once, and what it has counts as free from then on. O(links).
  private func relieve() {
    var going = 0
    var largest: ShardLink?
    for link in links.values {
      if link.isGivingWay {
        going += link.reservedBytes
      } else if largest.map({ ($0.reservedBytes, $0.id) < (link.reservedBytes, link.id) }) ?? true {
        largest = link
      }
    }
    // One among many that carry little is not to blame.
    guard memory.used - going > memory.limit - memory.limit / 8, let largest,
      largest.reservedBytes >= min(Self.noticeableBytes, memory.limit / 4)
    else { return }
    largest.isGivingWay = true
    emit(.overdrawn(largest.id))
  }

  private func postInputs() {
    guard !isHeldBack else { return }
    // In parts, for what is more than the core's mailbox has room for would never fit as a whole.
    while inputs.count > Self.inputsMaximum {
      guard sink.post(Array(inputs.prefix(Self.inputsMaximum)), bytes: inputBytes) else { return holdBack() }
      inputs.removeFirst(Self.inputsMaximum)
      // Which part has the bytes is of no matter: they were counted once.
      inputBytes = 0
    }
    if inputs.isEmpty { return }
    guard sink.post(inputs, bytes: inputBytes) else { return holdBack() }
    inputBytes = 0
    inputs.removeAll(keepingCapacity: inputs.capacity <= Self.inputsMaximum)
  }

  private func holdBack() {
    // The core is behind: read no more until it has caught up.
    isHeldBack = true
    for link in links.values { link.pause() }
    sink.notifyWhenSpace { [weak self] in
      guard let self else { return }
      _ = self.loop.execute {
        self.isHeldBack = false
        for link in self.links.values { link.resume() }
        self.postInputs()
      }
    }
  }

  func timerFired(_ timer: LoopTimer, now: Instant) {
    while let id = deadlines.popExpired(now) {
      links[id]?.handleTimer(now)
    }
    endTurn(now)
  }

  func stop() {
    mailbox.close()
    loop.stop()
  }

  func shutDown() async {
    mailbox.close()
    await loop.shutDown()
    // The thread has ended, so that nothing touches the shard any more.
    whenEmpty?()
    whenEmpty = nil
  }

  private static let inputsMaximum = 1024
  private static let noticeableBytes = 512 << 10
}
