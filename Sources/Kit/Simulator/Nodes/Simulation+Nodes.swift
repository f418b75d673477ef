import HostCore
import Identity
import Ledger
import NodeCore
import Peering
import Wire

// The shell of each node: its process, its worker, its store.
extension Simulation {
  /// Starts a node's process from what its store holds.
  func start(_ node: SimulatedNode) {
    guard !node.isUp else { return }
    node.life += 1
    node.isOff = false
    node.isSuspended = false
    var configuration = Core.Configuration()
    configuration.host.network = Simulation.network
    node.mask = node.behaviour.map { Mask($0, network: Simulation.network, partition: genesis.chainID, seed: generator.next()) }
    if node.behaviour == .links {
      configuration.host.peering.outboundMinimum = 100
      configuration.host.peering.outboundMaximum = 200
      configuration.host.peering.totalMaximum = 400
      configuration.host.peering.passiveWait = .zero
    }
    if let outbound = scenario.outbound {
      configuration.host.peering.outboundMinimum = outbound
      configuration.host.peering.outboundMaximum = max(outbound, 2 * outbound)
    }
    if let neighbours = scenario.neighbours { configuration.host.peering.neighboursMaximum = neighbours }
    if let links = node.isSeed ? scenario.seedLinks ?? scenario.links : scenario.links { configuration.host.peering.totalMaximum = links }
    if let known = scenario.known {
      // A table is never quite full, since each address has one place in a bucket.
      configuration.host.peering.book.newBuckets = max(1, known / 64)
      configuration.host.peering.book.triedBuckets = max(1, known / 64)
      configuration.host.peering.atHandMaximum = known
      configuration.host.peering.historyMaximum = known
    }
    configuration.producer = node.producer
    configuration.nodeType = node.producer == nil ? "full" : "authority"
    let clock = wallClock(node)
    let chain: Chain<AccountLedger, ProofOfAuthority>
    do throws(ChainError) {
      chain = try Chain.open(
        genesis: genesis, ledger: ledger, consensus: consensus, store: node.disk.store, crypto: crypto, configuration: configuration.chain,
        clock: clock, now: now)
    } catch {
      return oracle.violate(.durability, node.index, "the store cannot be opened: \(error)")
    }
    if chain.head.height < node.durableHeight {
      return oracle.violate(.durability, node.index, "height \(chain.head.height) after the start, \(node.durableHeight) was durable")
    }
    let book = (try? node.disk.store.scan(HostCore.bookTable, from: [], limit: 10_000)) ?? []
    let core = Core(
      key: node.key, crypto: crypto, configuration: configuration, genesis: genesis, chain: chain, book: book, clock: clock,
      seed: generator.next(), now: now)
    node.core = core
    node.heldBackSince = nil
    node.armed = .distantFuture
    trace.note(now, node.index, .started, UInt64(node.life), chain.head.height)
    post(node.index, .host(.listening([node.address])))
    post(node.index, .host(.command(.learned(seeds(of: node), .seed))))
    if node.behaviour != nil { queue.schedule(.misbehave(node: node.index), at: now + .seconds(10) + generator.jitter(.seconds(5))) }
  }

  /// What a node is told as its seeds: all, or of many eight by lot. Seeds are tried in order, so the same list everywhere would have
  /// everybody knock at the same few full houses.
  private func seeds(of node: SimulatedNode) -> [PeerAddress] {
    var seeds = Array(nodes.prefix { $0.isSeed })
    if seeds.count > Self.seedsTold {
      generator.draw(Self.seedsTold, toFrontOf: &seeds)
      seeds.removeLast(seeds.count - Self.seedsTold)
    }
    return seeds.filter { $0 !== node }.map { PeerAddress(peer: $0.key.peerID, address: $0.address) }
  }

  private static let seedsTold = 8

  /// Ends a node's process at once. With `isSilent` its machine is gone, and nobody is told.
  func crash(_ node: SimulatedNode, isSilent: Bool) {
    guard node.isUp else { return }
    trace.note(now, node.index, .crashed, isSilent ? 1 : 0)
    node.disk.crash(&generator, &sharedValues)
    node.core = nil
    node.life += 1
    node.inbox = []
    node.unread = []
    node.isSuspended = false
    node.isOff = isSilent
    node.armed = .distantFuture
    for end in node.ends.values.sorted(by: { $0.connection < $1.connection }) {
      if !isSilent { transmit(end, .reset, bytes: 60) }
      closeSocket(end, tells: false)
    }
    load.lost(node.index)
  }

  func wallClock(_ node: SimulatedNode) -> WallClock {
    WallClock(now: now, wall: Simulation.wallStart + (now - .zero) + node.clockOffset)
  }

  // MARK: Outputs

  func perform(_ output: Core.Output, of node: SimulatedNode) {
    switch output {
    case .host(let output): for output in masked(output, of: node) { perform(output, of: node) }
    case .work(let id, _) where isRefused(by: node): post(node.index, .workRefused(id))
    case .store(let id, _) where isRefused(by: node): post(node.index, .commitRefused(id))
    case .work(let id, let work):
      if node.behaviour == .equivocate, case .build = work { equivocate(node) }
      // A node has one worker.
      let result = work.run(crypto: crypto)
      node.workFree = max(node.workFree, now) + scenario.workCost(work)
      queue.schedule(.workDone(node: node.index, life: node.life, id, result), at: node.workFree)
    case .store(let id, let batch):
      node.disk.begin(id, batch)
      node.storeFree =
        max(node.storeFree, now) + .milliseconds(1) + generator.jitter(.milliseconds(2)) + .microseconds(5 * batch.operations.count)
      queue.schedule(.stored(node: node.index, life: node.life), at: node.storeFree)
    case .read(let id, _) where isRefused(by: node): post(node.index, .readRefused(id))
    case .read(let id, let job):
      // One thread of its own reads, at what the measured engine takes: 2 µs a look-up, 1 GB/s.
      let result = job.run()
      node.readFree = max(node.readFree, now) + .microseconds(20 + 2 * result.cost.lookUps + result.cost.bytes / 1_000)
      queue.schedule(.readDone(node: node.index, life: node.life, id, result), at: node.readFree)
    case .answer(let id, let answer): answered(id, answer, node)
    case .event(let event): observe(event, node)
    }
  }

  /// Whether a pool of the node takes no more just now.
  private func isRefused(by node: SimulatedNode) -> Bool { node.refusesWork && generator.unit() < 0.5 }

  /// The store has done, or failed, what it was asked for.
  func stored(_ node: SimulatedNode) {
    guard let (id, error) = node.disk.finish(&sharedValues) else { return }
    if let error { post(node.index, .commitFailed(id, error)) } else { post(node.index, .committed(id)) }
  }

  private func perform(_ output: HostCore.Output, of node: SimulatedNode) {
    switch output {
    case .dial(let id, let address, let expecting, let timeout): dial(node, id, address, expecting, timeout)
    case .yield(let id):
      if node.ends[id]?.isEstablished == false { onLink(node, id) { $0.close(Reason(.unspecified), now) } }
    case .admit(let id): admit(node, id)
    case .drain(let id):
      node.ends[id]?.isDraining = true
      onLink(node, id) { $0.admit(now) }
    case .close(let id, let reason): onLink(node, id) { $0.close(reason, now) }
    case .open(let stream, let names): onLink(node, stream.connection) { $0.open(stream.stream, names, now) }
    case .send(let stream, let bytes): onLink(node, stream.connection) { $0.send(stream.stream, bytes, now) }
    case .finish(let stream): onLink(node, stream.connection) { $0.finish(stream.stream, now) }
    case .reset(let stream, let code): onLink(node, stream.connection) { $0.reset(stream.stream, code, now) }
    case .protocols(let table):
      for end in node.ends.values.sorted(by: { $0.connection < $1.connection }) { onLink(end) { $0.protocolsChanged(table) } }
    case .book(let batch): node.disk.write(book: batch)
    // A simulated link's handshake begins with the link.
    case .accept, .openApplication, .applicationRefused, .discover, .event: break
    }
  }

  private func onLink(_ node: SimulatedNode, _ id: ConnectionID, _ body: (any LinkEndpoint) -> Void) {
    if let end = node.ends[id] { onLink(end, body) }
  }

  private func admit(_ node: SimulatedNode, _ id: ConnectionID) {
    guard let end = node.ends[id] else { return }
    if let far = end.other?.node {
      for other in node.ends.values where other !== end && other.isAdmitted && !other.isDraining && other.other?.node == far {
        oracle.violate(.oneLink, node.index, "links \(other.connection) and \(id) to n\(far) are both in use")
      }
    }
    onLink(end) { $0.admit(now) }
  }
}

extension Scenario {
  /// What a piece of work takes on one core, by the measured cost of its parts: 40 µs a signature, 10 µs an execution.
  func workCost(_ work: Chain<AccountLedger, ProofOfAuthority>.Work) -> Duration {
    switch work {
    case .checkSeals(let headers, _): .microseconds(20 + 50 * headers.count)
    case .verifyBlock: .microseconds(200) + .microseconds(Int64(5 * transactions * blockTime.seconds))
    case .verifyTransactions(let transactions, _): .microseconds(20 + 40 * transactions.count)
    case .build: .microseconds(300) + .microseconds(Int64(10 * transactions * blockTime.seconds))
    }
  }
}
