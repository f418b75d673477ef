import Wire

/// One node among honest ones for a while, then under attack: can its outbound links be taken over?
///
/// The attacker's nodes behave well in everything but what they tell: they accept links, keep them, come in again and again, and name only each
/// other. Half of what honest nodes tell is the attacker's by then.
public struct EclipseScenario: Sendable {
  /// Honest nodes alive at a time. Default 1,000.
  public var honest = 1_000
  /// How many honest nodes are replaced by others within a day. Default 50.
  public var replacedPerDay = 50
  /// The attacker's addresses. Default 4,600, as in Heilman et al. 2015.
  public var attackers = 4_600
  /// The /16 networks that the attacker's addresses lie in. Default 1,000.
  public var attackerNetworks = 1_000
  /// How long the node lives in peace. Default a day.
  public var peace = Duration.seconds(86_400)
  /// How long the attack lasts. Default a week, with one restart in the middle.
  public var attack = Duration.seconds(7 * 86_400)
  /// Time between two links that the attacker opens to the node. Default 30 s.
  public var attackerPause = Duration.seconds(30)
  /// Time between two links that honest nodes open to it. Default 20 min.
  public var honestPause = Duration.seconds(1_200)
  /// How often each linked peer is asked for peers after the first asks. Default 1 h.
  public var askInterval = Duration.seconds(3_600)
  /// Addresses in an answer. Default 100: all that the teller's budget takes is told within minutes anyway.
  public var answerMaximum = 100
  /// The part of honest answers that is the attacker's, during the attack. Default one half.
  public var taint = 0.5

  /// The full week.
  public init() {}

  /// A fifth of everything, for quick checks: a day and a half of attack by 920 addresses in 200 networks.
  public static var short: EclipseScenario {
    var scenario = EclipseScenario()
    scenario.honest = 200
    scenario.replacedPerDay = 10
    scenario.attackers = 920
    scenario.attackerNetworks = 200
    scenario.peace = .seconds(43_200)
    scenario.attack = .seconds(129_600)
    scenario.attackerPause = .seconds(60)
    scenario.askInterval = .seconds(4 * 3_600)
    scenario.answerMaximum = 40
    return scenario
  }
}

/// How the attacked node chooses whom to dial.
public enum EclipseDefence: String, CaseIterable, Sendable {
  /// As Starling does: `PeeringMachine`.
  case book
  /// A random one of all that were heard of.
  case flat
  /// The same, but two of the last links are dialled first after a restart.
  case anchors
}

/// What came of an attack.
public struct EclipseOutcome: Sendable {
  /// The fewest honest outbound links at any minute of the attack, but for the first two after the restart.
  public var fewestHonest = Int.max
  /// The attacker's part of the outbound links at the end.
  public var shareAtEnd = 0.0
  /// Its part over the whole attack.
  public var share = 0.0
  /// Its part of the tried table at the end; 0 without one.
  public var shareOfTried = 0.0

  /// Runs a scenario. The same seed gives the same outcome.
  public static func of(_ scenario: EclipseScenario = .init(), defence: EclipseDefence = .book, seed: UInt64) -> EclipseOutcome {
    var run = EclipseRun(scenario, defence, seed: seed)
    return run.run()
  }
}
