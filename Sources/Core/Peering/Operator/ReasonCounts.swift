import Wire

/// What happened for which reason since the start, for metrics. Bounded: codes that this version does not know share one count, under a
/// number that stands for all of them.
public struct ReasonCounts: Sendable {
  /// Links that came into use, by why they were chosen.
  public private(set) var chosen: [LinkCause: UInt64] = [:]
  /// Proven links that this side closed.
  public private(set) var closed: [Reason.Code: UInt64] = [:]
  /// Proven links that the remote closed, or that were lost.
  public private(set) var lost: [Reason.Code: UInt64] = [:]
  /// Accepted links that ended before the remote had proven who it is.
  public private(set) var refused: [Reason.Code: UInt64] = [:]
  /// Dials that were not begun.
  public private(set) var dialsRefused: [Reason.Code: UInt64] = [:]
  /// Dials that failed, by ``DialFailure/kind``.
  public private(set) var dialsFailed: [String: UInt64] = [:]
  /// Addresses that somebody told and that were not taken.
  public private(set) var addressesRefused: [AddressRefusal: UInt64] = [:]
  /// Offences.
  public private(set) var offences: [Offence: UInt64] = [:]
  /// Bans that an operator set.
  public private(set) var bansByOperator: UInt64 = 0
  /// Bans that the score set.
  public private(set) var bansByScore: UInt64 = 0

  /// Stands for every code that this version does not know.
  public static let unknownCode = Reason.Code(rawValue: .max)

  mutating func count(_ event: PeeringEvent, cause: LinkCause?) {
    switch event {
    case .peerActive: if let cause { chosen[cause, default: 0] += 1 }
    case .linkClosed(_, _, let reason, .thisSide): closed[Self.bounded(reason.code), default: 0] += 1
    case .linkClosed(_, _, let reason, _): lost[Self.bounded(reason.code), default: 0] += 1
    case .refused(_, _, let reason): refused[Self.bounded(reason.code), default: 0] += 1
    case .dialRefused(_, _, let reason): dialsRefused[Self.bounded(reason.code), default: 0] += 1
    case .dialFailed(_, _, _, let failure, _): dialsFailed[failure.kind, default: 0] += 1
    case .offence(_, let offence, _, _): offences[offence, default: 0] += 1
    default: break
    }
  }

  mutating func count(_ refusal: AddressRefusal, _ times: Int = 1) { addressesRefused[refusal, default: 0] += UInt64(times) }

  mutating func countBan(isOperators: Bool) { if isOperators { bansByOperator += 1 } else { bansByScore += 1 } }

  private static func bounded(_ code: Reason.Code) -> Reason.Code { code.isKnown ? code : unknownCode }
}

extension DialFailure {
  /// The kind of failure, fit for a metric's label; of a goodbye, and of being turned away, the reason's code; `unknown` where this version
  /// does not know a goodbye's.
  public var kind: String {
    switch self {
    case .refused: "refused"
    case .timedOut: "timed-out"
    case .unreachable: "unreachable"
    case .transport: "transport-error"
    case .turnedAway(_, let code): code.map { "turned-away-\($0)" } ?? "turned-away"
    case .handshake: "handshake-failed"
    case .notInNetwork: "not-in-network"
    case .wrongPeer: "wrong-peer"
    case .goodbye(let reason): reason.code.isKnown ? "goodbye-\(reason.code)" : "goodbye-unknown"
    }
  }
}
