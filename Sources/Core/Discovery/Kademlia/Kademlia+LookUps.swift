import Identity
import Wire

extension Kademlia {
  enum Owner: Hashable {
    case caller(LookUpID)
    /// Keeps an own entry alive.
    case republish
    case refresh
  }

  /// A look-up under way.
  struct Running {
    let owner: Owner
    let query: Query
    var walk: LookUp
    /// Requests that wait for an answer.
    var inFlight = 0
    /// Where the entry is still to be stored, the nearest last; `nil` while the walk goes on.
    var targets: [LookUp.Candidate]?
    var stored = 0
    var best: [UInt8]?
    var answers = 0
    /// The servers that returned the best value.
    var holders: Set<PeerID> = []
    var found: [FoundPeer] = []
    /// Providers beyond the share of one answer: they count when nobody names others.
    var spare: [FoundPeer] = []
    /// The sought peer's addresses, as others say.
    var hearsay: [Multiaddr] = []
  }

  // MARK: Begin and end

  mutating func start(_ id: LookUpID, _ query: Query, _ now: Instant, _ outputs: inout [Output]) {
    precondition(numbers[id] == nil, "a look-up's ID is used once")
    if let fault = fault(query) { return outputs.append(.finished(id, .failure(.invalid(fault)))) }
    guard numbers.count < configuration.lookUpsMaximum else { return outputs.append(.finished(id, .failure(.limit))) }
    switch query {
    case .provide(let key):
      guard own.provide(key, at: now + configuration.republishInterval, maximum: configuration.ownMaximum) else {
        return outputs.append(.finished(id, .failure(.limit)))
      }
      holdOwn(key, now)
    case .putValue(let key, let value):
      if let held = records.value(key, now: now), rules.isBetter(held, than: value, key: key) {
        return outputs.append(.finished(id, .failure(.invalid("a better value is known"))))
      }
      guard own.put(key, value, at: now + configuration.republishInterval, maximum: configuration.ownMaximum) else {
        return outputs.append(.finished(id, .failure(.limit)))
      }
      _ = records.put(key, value, distance: place(key) ^ table.local, from: .own, now: now, using: &generator)
    default: break
    }
    schedule(now)
    begin(query, .caller(id), now, &outputs)
  }

  /// Names this node among the providers of a key, to those who ask it.
  mutating func holdOwn(_ key: [UInt8], _ now: Instant) {
    _ = providers.add(localPeer, addresses, key: key, distance: place(key) ^ table.local, from: .own, now: now, using: &generator)
  }

  private func fault(_ query: Query) -> String? {
    switch query {
    case .findPeer(let peer): return peer == localPeer ? "a node need not look for itself" : nil
    case .closestPeers(let key): return key.isEmpty ? "the key is empty" : nil
    case .putValue(let key, let value): return rules.fault(key: key, value: value)
    case .getValue(let key, _):
      if key.isEmpty || key.count > configuration.recordKeyBytesMaximum { return "a key of \(key.count) bytes" }
      return rules.validator(key) == nil ? "the key is in no namespace that is registered here" : nil
    case .provide(let key), .findProviders(let key, _):
      if key.isEmpty || key.count > configuration.providerKeyBytesMaximum {
        return "a provider key has 1 to \(configuration.providerKeyBytesMaximum) bytes, not \(key.count)"
      }
      if case .provide = query, addresses.isEmpty { return "this node listens nowhere, so nobody could come for what it provides" }
      return nil
    }
  }

  /// Begins a walk; its first requests go to the nearest in the table.
  mutating func begin(_ query: Query, _ owner: Owner, _ now: Instant, _ outputs: inout [Output]) {
    let target = place(query.key)
    var sought: PeerID?
    if case .findPeer(let peer) = query { sought = peer }
    var walk = LookUp(
      target: target, local: localPeer, sought: sought, width: configuration.bucketSize, maximum: configuration.candidatesMaximum,
      groupMaximum: configuration.lookUpGroupMaximum)
    for entry in table.closest(to: target, count: configuration.bucketSize, includingFailed: true) {
      walk.hear(entry.peer, place: entry.place, entry.addresses)
    }
    let number = nextRunning
    nextRunning += 1
    var lookUp = Running(owner: owner, query: query, walk: walk)
    switch query {
    case .getValue(let key, _):
      if let value = records.value(key, now: now) {
        lookUp.best = value
        lookUp.answers = 1
        report(.value(value), owner, &outputs)
      }
    case .findProviders(let key, let maximum):
      let held = providers.providers(key, now: now, using: &generator).lazy.filter { [localPeer] in $0.peer != localPeer }
      let wanted = held.prefix(min(max(0, maximum), KademliaMessage.providersMaximum)).map { FoundPeer($0.peer, $0.addresses) }
      lookUp.found = Array(wanted.prefix(Self.share(of: maximum)))
      lookUp.spare = Array(wanted.dropFirst(lookUp.found.count))
      for found in lookUp.found { report(.provider(found), owner, &outputs) }
    default: break
    }
    running[number] = lookUp
    if case .caller(let id) = owner { numbers[id] = number }
    deadlines.set(.lookUp(number), now + configuration.lookUpTimeout)
    advance(number, now, &outputs)
  }

  /// Ends a look-up and tells its owner.
  mutating func finish(_ number: UInt64, _ outcome: Outcome, _ now: Instant, _ outputs: inout [Output]) {
    guard let lookUp = running.removeValue(forKey: number) else { return }
    deadlines.remove(.lookUp(number))
    if lookUp.inFlight > 0 {
      for id in requests.keys.sorted() where requests[id]?.number == number {
        _ = close(id)
        outputs.append(.cancel(id))
      }
    }
    switch lookUp.owner {
    case .caller(let id):
      numbers[id] = nil
      outputs.append(.finished(id, outcome))
    case .refresh: refreshNext(now, &outputs)
    case .republish: break
    }
    if lookUp.query.storesEntry {
      // Without a server nothing is tried; the first one that comes is told.
      let retry = table.count == 0 ? Duration.zero : configuration.republishRetry
      own.settle(lookUp.query, stored: lookUp.stored, next: now + (lookUp.stored > 0 ? configuration.republishInterval : retry))
    }
    schedule(now)
    if case .value(let best, _) = outcome { correct(lookUp, best, now, &outputs) }
  }

  private func report(_ progress: Progress, _ owner: Owner, _ outputs: inout [Output]) {
    if case .caller(let id) = owner { outputs.append(.progress(id, progress)) }
  }

  /// The look-up's time is over: what it has is its result.
  mutating func runOut(_ number: UInt64, _ now: Instant, _ outputs: inout [Output]) {
    takeSpare(number, &outputs)
    guard let lookUp = running[number] else { return }
    var outcome = result(lookUp)
    if case .failure = outcome { outcome = .failure(.timedOut) }
    if lookUp.targets == nil, lookUp.query.storesEntry { outcome = .failure(.timedOut) }
    finish(number, outcome, now, &outputs)
  }

  // MARK: The walk

  /// Asks whoever is next, or ends.
  private mutating func advance(_ number: UInt64, _ now: Instant, _ outputs: inout [Output]) {
    guard running[number]!.targets == nil else { return storeNext(number, now, &outputs) }
    if isSatisfied(running[number]!) || running[number]!.walk.isOver { return walkEnded(number, now, &outputs) }
    let message = running[number]!.query.walkMessage
    while let next = running[number]!.walk.next(parallel: configuration.parallelism) {
      running[number]!.inFlight += 1
      send(message, to: next.peer, next.addresses, .walk(number), now, &outputs)
    }
  }

  private func isSatisfied(_ lookUp: Running) -> Bool {
    switch lookUp.query {
    case .getValue(_, let quorum): quorum > 0 && lookUp.answers >= quorum
    case .findProviders(_, let maximum): lookUp.found.count >= maximum
    case .findPeer(let peer): lookUp.walk.state(of: peer) == .answered
    default: false
    }
  }

  private mutating func walkEnded(_ number: UInt64, _ now: Instant, _ outputs: inout [Output]) {
    takeSpare(number, &outputs)
    let lookUp = running[number]!
    guard lookUp.query.storesEntry, !lookUp.walk.answered.isEmpty else {
      return finish(number, lookUp.walk.candidates.isEmpty ? emptyResult(lookUp) : result(lookUp), now, &outputs)
    }
    // Whom the walk still waits for is farther away than those who have answered.
    for id in requests.keys.sorted() where requests[id]?.number == number {
      _ = close(id)
      outputs.append(.cancel(id))
    }
    running[number]!.inFlight = 0
    running[number]!.targets = lookUp.walk.answered.reversed()
    storeNext(number, now, &outputs)
  }

  /// An answer has come to a request of the walk, or none will (`nil`).
  mutating func walked(
    _ number: UInt64, _ peer: PeerID, _ answer: KademliaMessage?, isLinked: Bool, at remote: IPAddress?, _ now: Instant,
    _ outputs: inout [Output]
  ) {
    guard running[number] != nil else { return }
    running[number]!.inFlight -= 1
    var isSought = false
    if case .findPeer(peer) = running[number]!.query { isSought = true }
    // The peer sought need not serve: to be linked is enough.
    _ = running[number]!.walk.settle(peer, answered: answer != nil || (isSought && isLinked), at: remote)
    if let answer {
      learn(answer, from: peer, &outputs)
      for closer in answer.closerPeers.prefix(KademliaMessage.closerPeersMaximum) { hear(number, closer) }
      take(answer, number, peer, &outputs)
    }
    advance(number, now, &outputs)
  }

  private func learn(_ answer: KademliaMessage, from peer: PeerID, _ outputs: inout [Output]) {
    var addresses: [PeerAddress] = []
    for told in answer.closerPeers + answer.providers.prefix(64) where told.id != localPeer {
      for address in told.addresses { addresses.append(PeerAddress(peer: told.id, address: address)) }
    }
    if !addresses.isEmpty { outputs.append(.learned(addresses, from: peer)) }
  }

  private mutating func hear(_ number: UInt64, _ closer: KademliaMessage.Peer) {
    guard closer.id != localPeer else { return }
    if case .findPeer(closer.id) = running[number]!.query {
      let fresh = closer.addresses.filter { !running[number]!.hearsay.contains($0) }
      let room = KademliaMessage.addressesMaximum - running[number]!.hearsay.count
      running[number]!.hearsay += fresh.prefix(room)
      // Others may know where it really is.
      if !fresh.isEmpty && room > 0 { running[number]!.walk.revive(closer.id, fresh) }
    }
    running[number]!.walk.hear(closer.id, place: place(closer.id.bytes), closer.addresses)
  }

  /// What an answer holds beside nearer peers.
  private mutating func take(_ answer: KademliaMessage, _ number: UInt64, _ peer: PeerID, _ outputs: inout [Output]) {
    switch running[number]!.query {
    case .getValue(let key, _):
      guard let record = answer.record, !record.value.isEmpty else { return }
      guard record.key == key else { return outputs.append(.report(peer, .violation("a record under another key"))) }
      if rules.fault(key: key, value: record.value) != nil { return }
      running[number]!.answers += 1
      if let best = running[number]!.best, !rules.isBetter(record.value, than: best, key: key) {
        if best == record.value { running[number]!.holders.insert(peer) }
        return
      }
      running[number]!.best = record.value
      running[number]!.holders = [peer]
      report(.value(record.value), running[number]!.owner, &outputs)
    case .findProviders(_, let maximum):
      // One server alone can't fill the result, whatever it says.
      var share = Self.share(of: maximum)
      for provider in answer.providers where provider.id != localPeer {
        let found = FoundPeer(provider.id, provider.addresses)
        if let index = running[number]!.found.firstIndex(where: { $0.peer == provider.id }) {
          if running[number]!.found[index].addresses.isEmpty { running[number]!.found[index].addresses = provider.addresses }
        } else if running[number]!.found.count >= min(maximum, KademliaMessage.providersMaximum) {
          return
        } else if share > 0 {
          share -= 1
          running[number]!.found.append(found)
          report(.provider(found), running[number]!.owner, &outputs)
        } else if running[number]!.spare.count < min(maximum, KademliaMessage.providersMaximum) {
          running[number]!.spare.append(found)
        }
      }
    default: break
    }
  }

  /// How many servers have to name providers before a search for several of them is over early.
  private static let providerAnswersMinimum = 4

  /// How many providers one server may add to a result.
  private static func share(of maximum: Int) -> Int { max(1, maximum / providerAnswersMinimum) }

  /// Fills the result with what was told beyond the shares of single answers: nobody has named others.
  private mutating func takeSpare(_ number: UInt64, _ outputs: inout [Output]) {
    guard let lookUp = running[number], case .findProviders(_, let maximum) = lookUp.query else { return }
    for spare in lookUp.spare where !running[number]!.found.contains(where: { $0.peer == spare.peer }) {
      guard running[number]!.found.count < min(maximum, KademliaMessage.providersMaximum) else { return }
      running[number]!.found.append(spare)
      report(.provider(spare), lookUp.owner, &outputs)
    }
  }

  // MARK: Storing

  private mutating func storeNext(_ number: UInt64, _ now: Instant, _ outputs: inout [Output]) {
    guard let message = storeMessage(running[number]!.query) else { return finish(number, .failure(.notStored), now, &outputs) }
    while running[number]!.inFlight < configuration.parallelism, let target = running[number]!.targets?.popLast() {
      running[number]!.inFlight += 1
      send(message, to: target.peer, target.addresses, .store(number), now, &outputs)
    }
    if running[number]!.inFlight == 0 { finish(number, result(running[number]!), now, &outputs) }
  }

  mutating func stored(_ number: UInt64, _ isStored: Bool, _ now: Instant, _ outputs: inout [Output]) {
    guard running[number] != nil else { return }
    running[number]!.inFlight -= 1
    if isStored { running[number]!.stored += 1 }
    advance(number, now, &outputs)
  }

  private func storeMessage(_ query: Query) -> KademliaMessage? {
    switch query {
    case .provide(let key):
      KademliaMessage(.addProvider, key: key, providers: [.init(id: localPeer, addresses: addresses, connectedness: .connected)])
    case .putValue(let key, let value): KademliaMessage(.putValue, key: key, record: .init(key: key, value: value))
    default: nil
    }
  }

  /// Gives the best value to those among the nearest that returned a worse one or none.
  private mutating func correct(_ lookUp: Running, _ best: [UInt8], _ now: Instant, _ outputs: inout [Output]) {
    guard case .getValue(let key, _) = lookUp.query else { return }
    let message = KademliaMessage(.putValue, key: key, record: .init(key: key, value: best))
    for target in lookUp.walk.answered where !lookUp.holders.contains(target.peer) {
      send(message, to: target.peer, target.addresses, .correct, now, &outputs)
    }
  }

  // MARK: Results

  private func result(_ lookUp: Running) -> Outcome {
    switch lookUp.query {
    case .findPeer(let peer):
      if lookUp.walk.state(of: peer) == .answered { return .peer(FoundPeer(peer, lookUp.hearsay), isReached: true) }
      return lookUp.hearsay.isEmpty ? .failure(.notFound) : .peer(FoundPeer(peer, lookUp.hearsay), isReached: false)
    case .closestPeers: return .peers(lookUp.walk.answered.map { FoundPeer($0.peer, $0.addresses) })
    case .getValue: return lookUp.best.map { .value($0, answers: lookUp.answers) } ?? .failure(.notFound)
    case .findProviders: return .providers(lookUp.found)
    case .provide, .putValue: return lookUp.stored > 0 ? .stored(lookUp.stored) : .failure(.notStored)
    }
  }

  /// The result when there was nobody to ask: what this node holds itself.
  private func emptyResult(_ lookUp: Running) -> Outcome {
    switch lookUp.query {
    case .getValue where lookUp.best != nil: result(lookUp)
    case .findProviders where !lookUp.found.isEmpty: result(lookUp)
    default: .failure(.noServers)
    }
  }
}

extension Kademlia.Request {
  /// The look-up that it belongs to.
  var number: UInt64? {
    switch purpose {
    case .walk(let number), .store(let number): number
    case .check, .correct: nil
    }
  }
}

extension Kademlia.Query {
  /// What is looked for.
  var key: [UInt8] {
    switch self {
    case .findPeer(let peer): peer.bytes
    case .closestPeers(let key), .putValue(let key, _), .getValue(let key, _), .provide(let key), .findProviders(let key, _): key
    }
  }

  var storesEntry: Bool {
    switch self {
    case .putValue, .provide: true
    default: false
    }
  }

  var walkMessage: KademliaMessage {
    switch self {
    case .getValue(let key, _): KademliaMessage(.getValue, key: key)
    case .findProviders(let key, _): KademliaMessage(.getProviders, key: key)
    default: KademliaMessage(.findNode, key: key)
    }
  }
}
