import Identity
import Wire

/// Asks linked peers whom they know, and answers when they ask.
///
/// The rules: only solicited lists are taken; an answer is cached, so that asking often shows nothing of who comes and goes; what was
/// heard is merely known, never passed on. Each active peer is asked at once; while this node wants peers again after 3, 10 and 25 seconds,
/// when its own circle has had time to grow, and then every minute; otherwise every ten minutes.
/// At most one request per peer is under way.
public struct PeerExchange: Sendable {
  /// The settings, usable as they are.
  public struct Configuration: Sendable {
    /// When a peer is asked, counted from the moment it became active; after the first time only while peers are wanted. Default 0, 3, 10 and
    /// 25 s: of two newcomers to a seed the first learns of the second only by asking again.
    public var firstAsks: [Duration] = [.zero, .seconds(3), .seconds(10), .seconds(25)]
    /// Time between two later requests to one peer while peers are wanted. Default 60 s.
    public var hungryInterval = Duration.seconds(60)
    /// The same when the node has enough. Default 10 min.
    public var fullInterval = Duration.seconds(600)
    /// How long a request may take; after that the peer is asked at its next turn. Default 10 s.
    public var requestTimeout = Duration.seconds(10)
    /// How long an answer is reused for all who ask. Default 2 s: it bounds the cost of a flood of askers, and newcomers meet soon.
    public var cacheDuration = Duration.seconds(2)
    /// Answers that one peer may have at once. Default 5: the first asks and a spare.
    public var serveBurst = 5
    /// Time in which a peer earns one more answer. Default 20 s.
    public var serveInterval = Duration.seconds(20)
    /// The most addresses of one peer in a list that are taken. Default 8.
    public var addressesPerPeerMaximum = 8
    /// Active peers that are remembered; further ones are neither asked nor answered. Default 1,024.
    public var peersMaximum = 1_024

    /// Makes the default settings.
    public init() {}
  }

  /// What happens to the machine.
  public enum Input: Sendable {
    /// A peer is in use from now on.
    case peerActive(PeerID)
    /// A peer is no longer in use.
    case peerGone(PeerID)
    /// Whether the node wants more outbound links.
    case wantsPeers(Bool)
    /// The bytes that answer a request.
    case response(PeerID, [UInt8])
    /// A request failed: the peer does not speak the protocol (`false`: it is not asked again), or the stream broke (`true`).
    case requestFailed(PeerID, mayRetry: Bool)
    /// ``PeerExchange/nextDeadline`` has come.
    case timerFired
  }

  /// What is to be done, in order.
  public enum Output: Hashable, Sendable {
    /// Open a stream to the peer and send ``PeerListMessage/request(maximum:)`` of 250.
    case request(PeerID)
    /// Give up the request to a peer: it took too long.
    case cancel(PeerID)
    /// A peer told of others.
    case learned([PeerAddress], from: PeerID)
    /// A peer did wrong.
    case report(PeerID, Fault)
  }

  /// What a peer did wrong in the exchange.
  public enum Fault: Hashable, Sendable {
    /// The response cannot be read.
    case malformed(PeerListMessage.ResponseError)
    /// A response came that nobody had asked for.
    case unsolicited
    /// Asked more often than allowed.
    case tooManyRequests
    /// More than half of a list of eight or more cannot be dialled by anybody (no such address, port 0, unspecified).
    case junk
  }

  /// Why a request gets no answer.
  public enum Refusal: Error, Hashable, Sendable {
    /// It cannot be read.
    case malformed
    /// The peer has had its answers; it earns one more in ``Configuration/serveInterval``.
    case tooOften
  }

  private struct Partner {
    /// Whether the peer asked on this link.
    var hasAsked = false
    var asked = 0
    var nextAsk: Instant
    var requestedAt: Instant?
    var since: Instant
    var lastAsk: Instant?
    var refuses = false
  }

  private let localPeer: PeerID
  private let configuration: Configuration
  private var partners: [PeerID: Partner] = [:]
  /// They outlive links, so that reconnecting earns nothing.
  private var allowances: TokenBuckets<PeerID>
  private var wantsPeers = true
  private var cache: (addresses: [PeerAddress], at: Instant)?
  /// Never later than the first thing due.
  private var deadline = Instant.distantFuture

  /// Makes a machine for the node `localPeer`.
  public init(localPeer: PeerID, configuration: Configuration = .init()) {
    self.localPeer = localPeer
    self.configuration = configuration
    allowances = TokenBuckets(
      rate: 1 / max(0.001, configuration.serveInterval.seconds), burst: Double(configuration.serveBurst),
      maximum: configuration.peersMaximum)
  }

  /// When `timerFired` is due, or `nil` when nothing is.
  public var nextDeadline: Instant? { deadline == .distantFuture ? nil : deadline }

  /// Takes one input and appends what is to be done.
  public mutating func handle(_ input: Input, now: Instant, into outputs: inout [Output]) {
    switch input {
    case .peerActive(let peer):
      guard partners[peer] == nil, partners.count < configuration.peersMaximum, peer != localPeer else { break }
      let first = now + (configuration.firstAsks.first ?? configuration.hungryInterval)
      partners[peer] = Partner(nextAsk: first, since: now)
      deadline = min(deadline, first)
    case .peerGone(let peer): partners[peer] = nil
    case .wantsPeers(let wants):
      guard wants != wantsPeers else { break }
      wantsPeers = wants
      for peer in partners.keys { reschedule(peer) }
    case .response(let peer, let bytes): receive(bytes, from: peer, now, &outputs)
    case .requestFailed(let peer, let mayRetry):
      guard partners[peer]?.requestedAt != nil else { break }
      partners[peer]?.requestedAt = nil
      if !mayRetry { partners[peer]?.refuses = true }
    case .timerFired: break
    }
    if now >= deadline { runDeadlines(now, &outputs) }
  }

  /// Takes one input and returns what is to be done; for tests.
  public mutating func handle(_ input: Input, now: Instant) -> [Output] {
    var outputs: [Output] = []
    handle(input, now: now, into: &outputs)
    return outputs
  }

  /// Whether ``share(_:now:)`` is due before the next answer: at first, and when the cached answer is too old.
  public func needsShare(now: Instant) -> Bool { cache.map { now - $0.at >= configuration.cacheDuration } ?? true }

  /// Sets what is passed on until the cache grows old.
  public mutating func share(_ addresses: [PeerAddress], now: Instant) { cache = (addresses, now) }

  /// Answers a request from what was last shared, without the addresses of the one who asks. Returns the encoded response.
  ///
  /// - Throws: why the stream is to be reset; a report is appended when the peer is to blame.
  public mutating func serve(
    _ peer: PeerID, request: RawSpan, now: Instant, into outputs: inout [Output]
  ) throws(Refusal) -> [UInt8] {
    let maximum: Int
    do throws(ProtobufError) {
      maximum = try PeerListMessage.decodeRequest(request)
    } catch {
      outputs.append(.report(peer, .malformed(.malformed(error))))
      throw .malformed
    }
    let isFirst = partners[peer]?.hasAsked == false
    partners[peer]?.hasAsked = true
    guard allowances.take(peer, now: now) else {
      // One that came back does not know how often it had asked before: it gets no answer, and no blame.
      if !isFirst { outputs.append(.report(peer, .tooManyRequests)) }
      throw .tooOften
    }
    let answer = (cache?.addresses ?? []).filter { $0.peer != peer && $0.peer != localPeer }.prefix(maximum)
    return PeerListMessage.response(Array(answer))
  }

  private mutating func receive(_ bytes: [UInt8], from peer: PeerID, _ now: Instant, _ outputs: inout [Output]) {
    guard partners[peer]?.requestedAt != nil else {
      // A peer that has just gone may still have an answer on the way; only a partner that was not asked does wrong.
      if partners[peer] != nil { outputs.append(.report(peer, .unsolicited)) }
      return
    }
    partners[peer]?.requestedAt = nil
    do throws(PeerListMessage.ResponseError) {
      let (all, _) = try PeerListMessage.decodeResponse(bytes.rawSpan)
      var taken: [PeerID: Int] = [:]
      var junk = 0
      var good: [PeerAddress] = []
      for item in all {
        guard let other = item.peer, other != localPeer else { continue }
        if PeerExchange.isJunk(item.address) {
          junk += 1
          continue
        }
        taken[other, default: 0] += 1
        if taken[other] ?? 0 <= configuration.addressesPerPeerMaximum { good.append(item) }
      }
      if all.count >= 8 && junk * 2 > all.count { outputs.append(.report(peer, .junk)) }
      if !good.isEmpty { outputs.append(.learned(good, from: peer)) }
    } catch {
      outputs.append(.report(peer, .malformed(error)))
    }
  }

  /// Whether an address is of no use to anybody, on whatever network.
  static func isJunk(_ address: Multiaddr) -> Bool {
    guard let ip = address.ipAddress, let port = address.tcpPort else {
      return address.ipAddress == nil && address.dnsName != nil
    }
    return port == 0 || ip.isUnspecified || ip.isMulticast
  }

  private mutating func reschedule(_ peer: PeerID) {
    guard var partner = partners[peer] else { return }
    let interval = wantsPeers ? configuration.hungryInterval : configuration.fullInterval
    if partner.asked == 0 || (wantsPeers && partner.asked < configuration.firstAsks.count) {
      partner.nextAsk = partner.since + configuration.firstAsks[partner.asked]
    } else {
      partner.nextAsk = (partner.lastAsk ?? partner.since) + interval
    }
    partners[peer] = partner
    deadline = min(deadline, partner.nextAsk)
  }

  private mutating func runDeadlines(_ now: Instant, _ outputs: inout [Output]) {
    var next = Instant.distantFuture
    for peer in partners.keys.sorted() {
      guard var partner = partners[peer], !partner.refuses else { continue }
      if let asked = partner.requestedAt, now - asked >= configuration.requestTimeout {
        partner.requestedAt = nil
        outputs.append(.cancel(peer))
      }
      if partner.nextAsk <= now {
        if partner.requestedAt == nil {
          partner.requestedAt = now
          outputs.append(.request(peer))
        }
        partner.lastAsk = now
        // After a stall the missed turns are passed over, not made up for.
        repeat {
          partner.asked += 1
        } while partner.asked < configuration.firstAsks.count
          && partner.since + configuration.firstAsks[partner.asked] <= now
      }
      partners[peer] = partner
      reschedule(peer)
      next = min(next, partners[peer]?.nextAsk ?? .distantFuture)
      if let asked = partner.requestedAt { next = min(next, asked + configuration.requestTimeout) }
    }
    deadline = next
  }
}
