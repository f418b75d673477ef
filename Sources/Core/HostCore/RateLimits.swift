import SecureChannel
import Wire

/// How much one peer may ask for. Both ends keep to it: what a peer may send here is also, with a margin, what this side sends to a peer.
public struct RateLimits: Sendable {
  /// A rate with a burst.
  public struct Rate: Hashable, Sendable {
    /// What is earned a second.
    public var perSecond: Double
    /// What may come at once.
    public var burst: Double

    /// Makes a rate.
    public init(perSecond: Double, burst: Double) {
      self.perSecond = perSecond
      self.burst = burst
    }

    func bucket(_ now: Instant) -> TokenBucket { TokenBucket(rate: perSecond, burst: burst, now: now) }

    /// What this side sends at most, so that no remote of the same limits ever finds it too much: a tenth less, and half of the burst. The
    /// other half absorbs what the network holds up for a second and then delivers at once.
    var outbound: Rate { Rate(perSecond: perSecond * 0.9, burst: max(1, burst / 2)) }
  }

  /// Messages on all request protocols together, identify among them (seed S4), but for those to which an application gave a rate of their
  /// own. Default 100 a second and 200 at once.
  public var peer = Rate(perSecond: 100, burst: 200)
  /// Protocols with a limit of their own below that. Default none for a host; a node has some for its chain's.
  public var protocols: [ProtocolID: Rate] = [:]
  /// A request of a protocol with a limit of its own counts once more for each of so many bytes beyond the first: what it costs to answer
  /// grows with what it names. Default 1,024, about thirty names. Both ends know it before the request is sent.
  public var requestBytesPerToken = 1_024
  /// Pings. Default 1,000 a second and 2,000 at once: one costs some microseconds, and people measure with them.
  public var ping = Rate(perSecond: 1_000, burst: 2_000)
  /// Bytes of gossip, of which every RPC costs ``gossipOverheadBytes`` more than it has. Default 32 MiB a second and 64 MiB at once.
  public var gossip = Rate(perSecond: 33_554_432, burst: 67_108_864)
  /// What handling an RPC costs beside its bytes. Default 512: a peer that sends tiny ones gets 65,000 a second through.
  public var gossipOverheadBytes = 512
  /// Refused messages for which a peer is blamed once. Default 25, so that somebody who is a little too fast is hardly blamed, and somebody
  /// who floods is disconnected after five hundred and banned after some more.
  public var refusedPerOffence = 25

  /// The defaults.
  public init() {}

  /// What a request costs beyond its first token.
  func extra(_ bytes: Int) -> Double { Double(max(0, bytes - 1) / max(1, requestBytesPerToken)) }
}

/// The buckets of one peer, for what comes in. A class, because the peer's links share it.
final class InboundRates {
  enum Verdict: Equatable {
    case within
    /// Too much; whether it counts as an offence.
    case refused(isOffence: Bool)
  }

  private let limits: RateLimits
  private var peer: TokenBucket
  private var ping: TokenBucket
  private var gossip: TokenBucket
  private var protocols: [ProtocolID: TokenBucket] = [:]
  /// Of the application's protocols, which have nothing to do with the others.
  private var applications: [ProtocolID: TokenBucket] = [:]
  private var refused = 0
  /// Until then somebody else is to blame for what is missing.
  private var blamelessUntil = Instant.zero

  /// Makes full buckets, or such as `former` has, of another peer.
  init(_ limits: RateLimits, after former: InboundRates? = nil, now: Instant) {
    self.limits = limits
    peer = former?.peer ?? limits.peer.bucket(now)
    ping = former?.ping ?? limits.ping.bucket(now)
    gossip = former?.gossip ?? limits.gossip.bucket(now)
    protocols = former?.protocols ?? [:]
    applications = former?.applications ?? [:]
    for bucket in buckets { blamelessUntil = max(blamelessUntil, bucket.ready(for: bucket.burst, now: now)) }
  }

  /// A peer opened a stream for a request. `rate`: what the application allows it, when the protocol is the application's.
  func takeRequest(_ name: ProtocolID, rate: RateLimits.Rate? = nil, now: Instant) -> Verdict {
    if let rate {
      var bucket = applications[name] ?? rate.bucket(now)
      // The application may have changed its mind.
      if bucket.rate != rate.perSecond || bucket.burst != rate.burst { bucket = rate.bucket(now) }
      defer { applications[name] = bucket }
      return bucket.take(now: now) ? .within : .refused(isOffence: false)
    }
    guard peer.take(now: now) else { return refuse(now) }
    guard let rate = limits.protocols[name] else { return .within }
    return protocols[name, default: rate.bucket(now)].take(now: now) ? .within : refuse(now)
  }

  /// A request's message is here, whose opening was within its rate.
  func takeRequest(_ name: ProtocolID, bytes: Int, now: Instant) -> Verdict {
    let extra = limits.extra(bytes)
    guard extra > 0, let rate = limits.protocols[name] else { return .within }
    return protocols[name, default: rate.bucket(now)].take(extra, now: now) ? .within : refuse(now)
  }

  func takePing(now: Instant) -> Verdict { ping.take(now: now) ? .within : refuse(now) }

  func takeGossip(_ bytes: Int, now: Instant) -> Verdict {
    gossip.take(Double(bytes + limits.gossipOverheadBytes), now: now) ? .within : refuse(now)
  }

  private func refuse(_ now: Instant) -> Verdict {
    if now < blamelessUntil { return .refused(isOffence: false) }
    defer { refused = (refused + 1) % max(1, limits.refusedPerOffence) }
    return .refused(isOffence: refused == 0)
  }

  // MARK: After the last link

  private var buckets: [TokenBucket] { [peer, ping, gossip] + protocols.values + applications.values }

  /// Whether they are as good as new ones.
  func isFull(now: Instant) -> Bool { buckets.allSatisfy { $0.isFull(now: now) } }

  /// Takes the emptier of each two buckets.
  func lower(to other: InboundRates, now: Instant) {
    func emptier(_ one: TokenBucket, _ other: TokenBucket) -> TokenBucket {
      one.available(now: now) <= other.available(now: now) ? one : other
    }
    peer = emptier(peer, other.peer)
    ping = emptier(ping, other.ping)
    gossip = emptier(gossip, other.gossip)
    protocols.merge(other.protocols, uniquingKeysWith: emptier)
    applications.merge(other.applications, uniquingKeysWith: emptier)
  }
}

/// The buckets of one peer, for what this side asks. The peer's links share them here as they do at the peer.
final class OutboundRates {
  private let limits: RateLimits
  private var peer: TokenBucket
  private var protocols: [ProtocolID: TokenBucket] = [:]

  init(_ limits: RateLimits, now: Instant) {
    self.limits = limits
    peer = limits.peer.outbound.bucket(now)
  }

  /// When a request may go out; `now` if at once.
  func ready(_ name: ProtocolID, bytes: Int, now: Instant) -> Instant {
    let own = limits.protocols[name].map { (protocols[name] ?? $0.outbound.bucket(now)).ready(for: cost($0, bytes), now: now) } ?? now
    return max(peer.ready(now: now), own)
  }

  /// Takes a token for a request that is ready.
  func take(_ name: ProtocolID, bytes: Int, now: Instant) {
    _ = peer.take(now: now)
    if let rate = limits.protocols[name] {
      _ = protocols[name, default: rate.outbound.bucket(now)].take(cost(rate, bytes), now: now)
    }
  }

  /// Whether they are as good as new ones.
  func isFull(now: Instant) -> Bool { peer.isFull(now: now) && protocols.values.allSatisfy { $0.isFull(now: now) } }

  /// What a request costs; one that costs more than can ever be saved takes all there is.
  private func cost(_ rate: RateLimits.Rate, _ bytes: Int) -> Double { min(1 + limits.extra(bytes), rate.outbound.burst) }
}
