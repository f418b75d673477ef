import Identity
import Ledger
import Sync
import Wire

/// This node's clock beside those of its peers: a wrong one makes blocks that nobody takes, or refuses everybody's.
extension NodeCore {
  /// Takes in what a peer's clock showed.
  func compareClock(_ peer: PeerID, _ time: WallTime, asked: Instant, _ now: Instant, _ outputs: inout [Output]) {
    // Many peers behind one public address may be one machine.
    let ip = host.peering.ip(of: peer)
    peerClocks.note(peer, shows: time, asked: asked, answered: now, origin: ip.flatMap { $0.isRoutable ? $0.home : nil })
    reviewClock(now, &outputs)
  }

  /// Says when this node's clock begins or ceases to differ from its peers'.
  func reviewClock(_ now: Instant, _ outputs: inout [Output]) {
    guard let comparison = clockComparison else { return }
    let isOff = comparison.isBeyond(chain.futureTolerance)
    guard isOff != isClockOff else { return }
    isClockOff = isOff
    outputs.append(.event(.clock(comparison, isOff: isOff)))
  }

  /// How this node's clock stands to its peers'; `nil` when none shows its time.
  public var clockComparison: ClockComparison? { peerClocks.comparison(with: clock) }

  /// The comparison, when it shows that this node's clock is wrong and that it matters: a clock that is behind has all blocks wait, one
  /// that is ahead spoils those that this node makes. With one peer alone either clock may be the wrong one.
  var clockFault: ClockComparison? {
    guard let comparison = clockComparison, comparison.clocks > 1, comparison.isBeyond(chain.futureTolerance) else { return nil }
    return comparison.ahead < .zero || configuration.producer != nil ? comparison : nil
  }

  /// What an operator should know of the clock, in a sentence; `nil` while there is nothing wrong.
  var clockWarning: String? {
    guard let comparison = clockComparison, comparison.isBeyond(chain.futureTolerance) else { return nil }
    return "\(comparison.words): \(comparison.clocks == 1 ? "one of the two is wrong; set both" : "set it") by NTP"
  }

  /// Why no block comes, as far as this node knows: of itself first, when it is to make some. Words without a full stop.
  func whyStill(_ now: Instant) -> String {
    let wall = clock.time(at: now)
    var parts = [clockWarning].compactMap { $0 }
    if let production = chain.production(now: now) {
      parts.append("this node is a producer itself: \(production.words(at: wall))")
    } else if parts.isEmpty {
      let count = genesis.authorities.count
      parts.append(count > 0 ? "none of the \(count) producers was heard" : "no producer was heard")
    }
    return parts.joined(separator: "; ")
  }
}
