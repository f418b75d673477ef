import Simulator
import Wire

/// Splits that no node can heal, and heights that nobody has: what nodes say of where they stand.
let standing = (1...4).map(split) + (1...3).map(liars)

/// Two halves apart for longer than what either takes as final: whether they come together hangs on how fast each has grown, and that they don't
/// is never silent.
private func split(_ seed: UInt64) -> Check {
  Check(name: "a split that cannot heal is told, seed \(seed)") { findings in
    let scenario = try Scenario(
      text: """
        name = split
        nodes = 10
        authorities = 4
        block-time = 1s
        duration = 420s
        settle = 100s
        fault = partition share 0.5 from 30s lasting 240s
        """)
    let simulation = Simulation(scenario, seed: seed)
    let violation = simulation.run()
    findings.expect(violation == nil || violation?.property == .oneHead, "\(String(describing: violation))")
    let states = simulation.nodes.map { $0.core?.health(now: simulation.now).status }
    let isForked = violation != nil
    findings.expect(states.allSatisfy { $0 == (isForked ? "forked" : "healthy") }, "\(states)")
    findings.expect(simulation.nodes.allSatisfy { $0.core?.host.peering.counts.bans == 0 }, "both sides are right")
  }
}

/// A third of the network claims a height that no chain has, over ever new links, and shows nothing: who starts late is level all the same.
private func liars(_ seed: UInt64) -> Check {
  Check(name: "liars about heights keep nobody from work, seed \(seed)") { findings in
    let scenario = try Scenario(
      text: """
        name = claims
        nodes = 20
        seeds = 2
        authorities = 2
        block-time = 1s
        late = 0.5
        late-after = 40s
        duration = 150s
        settle = 60s
        liars = claims 0.35
        fault = restart share 0.2 from 50s lasting 2s..5s
        """)
    let violation = Simulation(scenario, seed: seed).run()
    findings.expect(violation == nil, "\(String(describing: violation))")
  }
}
