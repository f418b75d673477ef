import Identity
import Wire

/// A received block that is not validated yet.
struct WaitingBlock: Sendable {
  /// How far it has come.
  enum Stage {
    /// Its seal is being checked; then `parked` or `ready`.
    case sealing
    /// Its parent is not validated yet, or not here at all; `ready` once the parent is validated.
    case parked
    /// Its parent is validated; `executing` when its turn comes.
    case ready
    /// In the pool.
    case executing
  }

  /// Which budget its bytes count against.
  enum Account: Hashable {
    /// None: this node made it.
    case own
    /// The share of the peer that passed it on, until its seal is checked.
    case unsealed(PeerID)
    /// The queue of blocks that stand on a known one, or were asked for.
    case queue
    /// The orphans, and among them the share of the peer that sent it; `nil` for a local user.
    case orphan(PeerID?)
  }

  /// Somebody who waits for the verdict.
  struct Asker {
    let token: ValidationToken
    let peer: PeerID?
  }

  let block: Block
  let bytes: [UInt8]
  let transactionIDs: [Hash256]
  let source: ItemSource
  let received: Instant
  var stage: Stage
  var account: Account
  /// Who gets the verdict: the first one, then those who sent copies meanwhile.
  var askers: [Asker]
  /// Whether the seal was checked and is good.
  var isSealed = false

  var parent: Hash256 { block.header.parent }
  var isOrphan: Bool { if case .orphan = account { true } else { false } }
}

/// The blocks that wait, by hash, with what they hold of each budget.
struct WaitingBlocks: Sendable {
  /// Blocks and their bytes.
  struct Usage: Hashable, Sendable {
    var blocks = 0
    var bytes = 0
    fileprivate mutating func add(_ bytes: Int) {
      blocks += 1
      self.bytes += bytes
    }
    fileprivate mutating func remove(_ bytes: Int) {
      blocks -= 1
      self.bytes -= bytes
    }
  }

  private var entries: [Hash256: WaitingBlock] = [:]
  /// Parked blocks by their parents.
  private var children: [Hash256: [Hash256]] = [:]
  /// Orphans, the oldest first.
  private(set) var orphans: [Hash256] = []
  /// What the queue holds.
  private(set) var queued = Usage()
  /// This node's own.
  private(set) var own = Usage()
  private var unsealed: [PeerID: Usage] = [:]
  private var orphanCharges: [PeerID?: Int] = [:]
  /// What orphans are charged in all.
  private(set) var orphanCharge = 0
  /// The least that an orphan is charged.
  private let orphanChargeMinimum: Int

  init(orphanChargeMinimum: Int) { self.orphanChargeMinimum = orphanChargeMinimum }

  subscript(hash: Hash256) -> WaitingBlock? { entries[hash] }

  var count: Int { entries.count }
  var hashes: some Collection<Hash256> { entries.keys }

  /// What a peer's blocks hold whose seal is not checked.
  func unsealed(of peer: PeerID) -> Usage { unsealed[peer] ?? Usage() }

  func charge(_ bytes: Int) -> Int { max(bytes, orphanChargeMinimum) }

  /// What a peer's orphans are charged.
  func orphanCharge(of peer: PeerID?) -> Int { orphanCharges[peer] ?? 0 }

  // MARK: Changes

  mutating func insert(_ hash: Hash256, _ entry: WaitingBlock) {
    precondition(entries[hash] == nil, "block \(hash) waits already")
    entries[hash] = entry
    count(entry, hash)
    if entry.stage == .parked { children[entry.parent, default: []].append(hash) }
  }

  @discardableResult
  mutating func remove(_ hash: Hash256) -> WaitingBlock? {
    guard let entry = entries.removeValue(forKey: hash) else { return nil }
    uncount(entry, hash)
    if entry.stage == .parked { leave(entry.parent, hash) }
    return entry
  }

  /// Changes stage and account of a block.
  mutating func move(_ hash: Hash256, to stage: WaitingBlock.Stage, _ account: WaitingBlock.Account? = nil) {
    guard var entry = entries[hash] else { return }
    if entry.stage == .parked, stage != .parked { leave(entry.parent, hash) }
    if entry.stage != .parked, stage == .parked { children[entry.parent, default: []].append(hash) }
    entry.stage = stage
    if let account, account != entry.account {
      uncount(entry, hash)
      entry.account = account
      count(entry, hash)
    }
    entries[hash] = entry
  }

  mutating func setSealed(_ hash: Hash256) { entries[hash]?.isSealed = true }

  mutating func append(_ asker: WaitingBlock.Asker, to hash: Hash256) { entries[hash]?.askers.append(asker) }

  /// Takes those who wait for a block's verdict.
  mutating func takeAskers(_ hash: Hash256) -> [WaitingBlock.Asker] {
    guard let askers = entries[hash]?.askers, !askers.isEmpty else { return [] }
    entries[hash]?.askers = []
    return askers
  }

  private mutating func leave(_ parent: Hash256, _ hash: Hash256) {
    children[parent]?.removeAll { $0 == hash }
    if children[parent]?.isEmpty == true { children[parent] = nil }
  }

  private mutating func count(_ entry: WaitingBlock, _ hash: Hash256) {
    switch entry.account {
    case .own: own.add(entry.bytes.count)
    case .queue: queued.add(entry.bytes.count)
    case .unsealed(let peer): unsealed[peer, default: Usage()].add(entry.bytes.count)
    case .orphan(let peer):
      orphans.append(hash)
      orphanCharges[peer, default: 0] += charge(entry.bytes.count)
      orphanCharge += charge(entry.bytes.count)
    }
  }

  private mutating func uncount(_ entry: WaitingBlock, _ hash: Hash256) {
    switch entry.account {
    case .own: own.remove(entry.bytes.count)
    case .queue: queued.remove(entry.bytes.count)
    case .unsealed(let peer):
      unsealed[peer]?.remove(entry.bytes.count)
      if unsealed[peer]?.blocks == 0 { unsealed[peer] = nil }
    case .orphan(let peer):
      orphans.removeAll { $0 == hash }
      let left = orphanCharge(of: peer) - charge(entry.bytes.count)
      orphanCharges[peer] = left > 0 ? left : nil
      orphanCharge -= charge(entry.bytes.count)
    }
  }

  // MARK: Relations

  /// The parked blocks that stand on this one, in the order in which they were parked.
  func children(of hash: Hash256) -> [Hash256] { children[hash] ?? [] }

  /// The parked blocks above this one, parents before children. O(their number).
  func descendants(of hash: Hash256) -> [Hash256] {
    var found = children(of: hash)
    var next = 0
    while next < found.count {
      found += children(of: found[next])
      next += 1
    }
    return found
  }

  /// Where the blocks that wait below `hash`, itself included, end: a hash that does not wait; `nil` when one of them is known to stand on
  /// a validated block. O(blocks below).
  func root(below hash: Hash256) -> Hash256? {
    var hash = hash
    while let entry = entries[hash] {
      if entry.stage != .sealing && !entry.isOrphan { return nil }
      hash = entry.parent
    }
    return hash
  }

  /// Whether a block with a good seal waits for this one.
  func isWanted(_ hash: Hash256) -> Bool { children(of: hash).contains { entries[$0]?.isSealed == true } }

  /// The orphan that goes when there is no room for one more of `peer`: its own oldest when its share is full, otherwise the oldest of the
  /// peer that is charged most. `nil` when nothing has to go.
  func orphanToDrop(for peer: PeerID?, _ bytes: Int, limit: Int, share: Int) -> Hash256? {
    let mine = orphanCharge(of: peer)
    let isOverShare = mine > 0 && mine + charge(bytes) > share
    guard isOverShare || orphanCharge > 0 && orphanCharge + charge(bytes) > limit else { return nil }
    let heaviest = orphanCharges.values.max() ?? 0
    return orphans.first { hash in
      guard case .orphan(let owner)? = entries[hash]?.account else { return false }
      return isOverShare ? owner == peer : orphanCharge(of: owner) == heaviest
    }
  }

  /// Traps when the tables disagree. O(everything); for tests.
  func checkInvariants() {
    var counted = WaitingBlocks(orphanChargeMinimum: orphanChargeMinimum)
    for (hash, entry) in entries { counted.insert(hash, entry) }
    precondition(counted.queued == queued && counted.own == own && counted.unsealed == unsealed, "the waiting blocks' bytes are off")
    precondition(counted.orphanCharges == orphanCharges && counted.orphanCharge == orphanCharge, "the orphans' charges are off")
    precondition(Set(counted.orphans) == Set(orphans) && counted.orphans.count == orphans.count, "the orphans are off")
    precondition(counted.children.mapValues(Set.init) == children.mapValues(Set.init), "the parked blocks are off")
    precondition(orphans.allSatisfy { entries[$0]?.stage == .parked }, "an orphan is not parked")
  }
}
