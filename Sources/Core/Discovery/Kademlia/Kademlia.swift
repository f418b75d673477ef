import Identity
import Wire

/// A node of libp2p's Kademlia table (libp2p/specs `kad-dht`), client or server: a routing table, look-ups, values and providers.
///
/// It knows nothing of streams and links: it asks for requests and is told their answers, and it answers peers' requests at once
/// from what it holds. All tables are bounded (``Configuration``). `now` never goes backwards; a spurious `timerFired` is
/// harmless; after each call re-read ``nextDeadline``.
public struct Kademlia: Sendable {
  let localPeer: PeerID
  let crypto: any CryptoSuite
  /// The settings.
  public let configuration: Configuration
  /// Whether it answers.
  public internal(set) var mode: Mode
  let rules: RecordRules
  var generator: SeededGenerator
  var table: RoutingTable
  var records: RecordStore
  var providers: ProviderStore
  var addresses: [Multiaddr] = []
  /// Look-ups under way, by their numbers.
  var running: [UInt64: Running] = [:]
  var nextRunning: UInt64 = 1
  var numbers: [LookUpID: UInt64] = [:]
  var requests: [KademliaRequestID: Request] = [:]
  private var nextRequest: UInt64 = 1
  var deadlines = DeadlineQueue<Timer>()
  var own = OwnEntries()
  /// The buckets that the refresh under way has still to look into, the deepest first.
  var refreshLeft: [Int] = []

  /// What a request is for.
  enum Purpose {
    case walk(UInt64)
    case store(UInt64)
    /// Whether a peer in the table still lives.
    case check
    /// Gives the best value to a server that returned a worse one or none.
    case correct
  }

  struct Request {
    let peer: PeerID
    let kind: KademliaMessage.Kind
    let purpose: Purpose
  }

  enum Timer: Hashable, Comparable {
    case request(KademliaRequestID)
    case lookUp(UInt64)
    case refresh
    case republish
    case expiry
  }

  /// Makes a machine with an empty table.
  ///
  /// - Parameters:
  ///   - localPeer: this node.
  ///   - crypto: for SHA-256 and public keys.
  ///   - seed: for the keys that refreshes look for.
  public init(localPeer: PeerID, crypto: any CryptoSuite, configuration: Configuration = .init(), seed: UInt64) {
    self.localPeer = localPeer
    self.crypto = crypto
    self.configuration = configuration
    mode = configuration.mode
    var validators = configuration.validators
    if validators["pk"] == nil { validators["pk"] = PublicKeyValidator(crypto: crypto) }
    rules = RecordRules(
      validators: validators, keyBytesMaximum: configuration.recordKeyBytesMaximum, valueBytesMaximum: configuration.valueBytesMaximum)
    generator = SeededGenerator(seed: seed)
    table = RoutingTable(local: crypto.sha256(localPeer.bytes), configuration)
    records = RecordStore(configuration)
    providers = ProviderStore(configuration)
  }

  /// When `timerFired` is due, or `nil` when nothing is.
  public var nextDeadline: Instant? { deadlines.next }

  /// Takes one input and appends what is to be done.
  public mutating func handle(_ input: Input, now: Instant, into outputs: inout [Output]) {
    switch input {
    case .server(let peer, let addresses, let remote): heardOf(peer, addresses, remote, now, &outputs)
    case .notServer(let peer): table.remove(peer)
    case .advertising(let addresses):
      let bare = addresses.map(\.withoutPeerID)
      guard bare != self.addresses else { break }
      self.addresses = bare
      if !bare.isEmpty { own.provideAnew(at: now + .seconds(1)) }
      schedule(now)
    case .start(let id, let query): start(id, query, now, &outputs)
    case .cancel(let id): if let number = numbers[id] { finish(number, .failure(.cancelled), now, &outputs) }
    case .stopProviding(let key):
      own.stopProviding(key)
      providers.remove(localPeer, key)
      schedule(now)
    case .answer(let id, let bytes, let remote): answered(id, bytes, remote, now, &outputs)
    case .failed(let id, let failure): failed(id, failure, now, &outputs)
    case .timerFired: break
    }
    while let timer = deadlines.popExpired(now) { fire(timer, now, &outputs) }
  }

  /// Takes one input and returns what is to be done; for tests.
  public mutating func handle(_ input: Input, now: Instant) -> [Output] {
    var outputs: [Output] = []
    handle(input, now: now, into: &outputs)
    return outputs
  }

  /// Answers from now on, or only asks. What was held is kept.
  public mutating func setMode(_ mode: Mode) { self.mode = mode }

  /// Whether a server is in the table.
  public var hasServers: Bool { table.count > 0 }

  /// The servers in the table. O(n).
  public var servers: [PeerID] { table.peers.sorted() }

  /// Figures.
  public var statistics: Statistics {
    var statistics = Statistics()
    statistics.servers = table.count
    statistics.lookUps = running.count
    statistics.requests = requests.count
    statistics.records = records.count
    statistics.providerKeys = providers.counts.keys
    statistics.providers = providers.counts.words
    statistics.providerBytes = providers.bytes
    statistics.own = own.count
    return statistics
  }

  /// Traps when the tables disagree: for tests, after each step. O(n).
  public func checkInvariants() {
    table.checkInvariants()
    records.checkInvariants()
    providers.checkInvariants()
    var asked: [UInt64: Int] = [:]
    for (id, request) in requests {
      precondition(deadlines[.request(id)] != nil, "a request without a deadline")
      switch request.purpose {
      case .walk(let number), .store(let number):
        precondition(running[number] != nil, "a request of a look-up that is over")
        asked[number, default: 0] += 1
      case .check, .correct: break
      }
    }
    for (number, lookUp) in running {
      lookUp.walk.checkInvariants()
      precondition(lookUp.inFlight == asked[number] ?? 0, "the requests of look-up \(number) are miscounted")
      precondition(lookUp.inFlight > 0, "look-up \(number) waits for nothing")
      precondition(lookUp.inFlight <= configuration.parallelism, "look-up \(number) asks too many")
      precondition(deadlines[.lookUp(number)] != nil, "a look-up without a deadline")
    }
    for (id, number) in numbers { precondition(running[number]?.owner == .caller(id), "a caller's look-up is lost") }
    precondition(numbers.count <= configuration.lookUpsMaximum, "\(numbers.count) look-ups")
    own.checkInvariants()
  }

  // MARK: Requests

  func place(_ key: [UInt8]) -> Hash256 { crypto.sha256(key) }

  mutating func send(
    _ message: KademliaMessage, to peer: PeerID, _ addresses: [Multiaddr], _ purpose: Purpose, _ now: Instant, _ outputs: inout [Output]
  ) {
    let id = KademliaRequestID(rawValue: nextRequest)
    nextRequest += 1
    requests[id] = Request(peer: peer, kind: message.kind, purpose: purpose)
    deadlines.set(.request(id), now + configuration.requestTimeout)
    outputs.append(.request(id, peer, addresses: addresses, message.encoded))
  }

  /// Takes a request out of the books.
  mutating func close(_ id: KademliaRequestID) -> Request? {
    guard let request = requests.removeValue(forKey: id) else { return nil }
    deadlines.remove(.request(id))
    return request
  }

  private mutating func answered(
    _ id: KademliaRequestID, _ bytes: [UInt8], _ remote: IPAddress?, _ now: Instant, _ outputs: inout [Output]
  ) {
    guard let request = close(id) else { return }
    do throws(ProtobufError) {
      let message = try KademliaMessage(encoded: bytes.rawSpan)
      guard message.kind == request.kind else {
        outputs.append(.report(request.peer, .violation("an answer of kind \(message.kind) to \(request.kind)")))
        return ended(request, nil, now, &outputs)
      }
      table.heard(request.peer, now)
      ended(request, message, now, &outputs, at: remote)
    } catch {
      outputs.append(.report(request.peer, .malformed))
      ended(request, nil, now, &outputs)
    }
  }

  private mutating func failed(_ id: KademliaRequestID, _ failure: RequestFailure, _ now: Instant, _ outputs: inout [Output]) {
    guard let request = close(id) else { return }
    switch failure {
    case .noAnswer where request.kind == .addProvider:
      // go-libp2p takes the entry and says nothing; py-libp2p echoes.
      table.heard(request.peer, now)
      return ended(request, KademliaMessage(.addProvider), now, &outputs)
    case .unsupported: table.remove(request.peer)
    case .noRoom: break
    // What a server may refuse says nothing about its being alive.
    case .broken where request.kind == .putValue: break
    case .unreachable, .broken, .noAnswer: table.failed(request.peer)
    }
    ended(request, nil, now, &outputs, isLinked: failure == .unsupported)
  }

  private mutating func ended(
    _ request: Request, _ answer: KademliaMessage?, _ now: Instant, _ outputs: inout [Output], isLinked: Bool = false,
    at remote: IPAddress? = nil
  ) {
    switch request.purpose {
    case .walk(let number): walked(number, request.peer, answer, isLinked: isLinked || answer != nil, at: remote, now, &outputs)
    case .store(let number): stored(number, answer != nil, now, &outputs)
    case .check, .correct: break
    }
  }

  private mutating func fire(_ timer: Timer, _ now: Instant, _ outputs: inout [Output]) {
    switch timer {
    case .request(let id):
      outputs.append(.cancel(id))
      failed(id, .unreachable, now, &outputs)
    case .lookUp(let number): runOut(number, now, &outputs)
    case .refresh: refresh(now, &outputs)
    case .republish: republish(now, &outputs)
    case .expiry:
      records.expire(now)
      providers.expire(now)
      schedule(now)
    }
  }
}
