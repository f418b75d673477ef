import Wire

extension Scenario {
  /// The scenarios that come with the simulator, `chaos` apart, which is drawn from each seed.
  public static let builtIn: [Scenario] = texts.map { text in
    do throws(ScenarioError) { return try Scenario(text: text) } catch { preconditionFailure("a built-in scenario is wrong: \(error)") }
  }

  /// The names of all scenarios.
  public static var names: [String] { builtIn.map(\.name) + ["chaos"] }

  /// A scenario by its name; `nodes` overrides how many nodes it has. `nil` for an unknown name.
  ///
  /// - Parameter seed: what ``chaos(seed:nodes:)`` draws from; the others do not depend on it.
  public static func named(_ name: String, nodes: Int? = nil, seed: UInt64) -> Scenario? {
    if name == "chaos" { return chaos(seed: seed, nodes: nodes ?? 20) }
    guard var scenario = builtIn.first(where: { $0.name == name }) else { return nil }
    if let nodes { scenario.nodes = nodes }
    return scenario
  }

  /// A random mix of everything that can go wrong.
  public static func chaos(seed: UInt64, nodes: Int = 20) -> Scenario {
    var generator = SeededGenerator(seed: seed ^ 0x6368_616f_73)
    func draw<T>(_ values: [T]) -> T { values[generator.index(below: values.count)] }
    var scenario = Scenario(name: "chaos")
    scenario.about = "A random mix of faults, drawn from the seed."
    scenario.nodes = nodes
    scenario.regions = draw([1, 2, 4, 8, 10])
    scenario.seeds = draw([1, 2, 3])
    scenario.authorities = draw([1, 2, 3, 4, 5])
    scenario.blockTime = draw([.seconds(1), .seconds(2), .seconds(5)])
    scenario.transactions = draw([0.5, 1, 2, 5])
    scenario.transactionBytes = draw([16, 64, 400, 2_000])
    scenario.accounts = draw([2, 8, 20])
    scenario.jitter = draw([.zero, .milliseconds(5), .milliseconds(50)])
    scenario.loss = draw([0, 0, 0.005, 0.02])
    scenario.unreachable = draw([0, 0, 0.2, 0.4])
    scenario.slow = draw([0, 0, 0.1])
    scenario.clockSkew = draw([.zero, .milliseconds(50), .milliseconds(200)])
    scenario.late = draw([0, 0, 0.2])
    scenario.lateAfter = .seconds(draw([20, 60, 90]))
    scenario.uploadBytes = draw([1e6, 12.5e6])
    scenario.downloadBytes = scenario.uploadBytes
    scenario.settle = .seconds(90)
    scenario.duration = .seconds(draw([140, 180, 240]))
    for _ in 0..<(1 + generator.index(below: 4)) {
      let share = draw([0.05, 0.1, 0.3])
      let kind: Fault.Kind = draw([
        .partition(share: draw([0.2, 0.5]), isOneWay: draw([true, false])), .crash(share: share, isSilent: draw([true, false])),
        .restart(share: share), .cut(share: share, isSilent: draw([true, false])), .suspend(share: share),
        .clock(share: share, by: draw([.milliseconds(300), .seconds(5), .seconds(60)])), .diskErrors(share: share), .seedsDown,
        .flood(times: min(20, 40 / scenario.transactions)),
      ])
      let longest = draw([2, 15, 60])
      let every = draw([5, 15, 40])
      // Floods all the time, or of more than 40 transactions a second, would be most of what a campaign computes.
      var isFlood = false
      if case .flood = kind { isFlood = true }
      scenario.faults.append(
        Fault(
          kind, from: .seconds(10 + generator.index(below: 30)), every: .seconds(isFlood ? 40 : every),
          lasting: .seconds(1)...(.seconds(isFlood ? min(longest, 15) : longest))))
    }
    for _ in 0..<generator.index(below: 3) {
      scenario.liars.append(LiarGroup(draw(Behaviour.allCases), share: draw([0.05, 0.1])))
    }
    scenario.nat = draw([0, 0, 0.2])
    if draw([true, false, false]) {
      scenario.faults.append(
        Fault(.refusals(share: draw([0.1, 0.5])), from: .seconds(15), every: .seconds(20), lasting: .seconds(1)...(.seconds(20))))
    }
    if scenario.faults.contains(where: { if case .flood = $0.kind { true } else { false } }) {
      // 400 kB/s of transactions come to 6 MB/s of gossip: a flood needs lines that can carry it to the mempool's bounds.
      scenario.uploadBytes = 12.5e6
      scenario.downloadBytes = scenario.uploadBytes
    }
    if scenario.slow > 0 {
      // A slow line must be wide enough for the chain: 125 kB/s, beside some 65 kB/s of gossip from eight neighbours.
      scenario.uploadBytes = 12.5e6
      scenario.downloadBytes = scenario.uploadBytes
      scenario.transactionBytes = min(scenario.transactionBytes, 400)
      scenario.faults.removeAll { if case .flood = $0.kind { true } else { false } }
    }
    if scenario.faults.contains(where: \.kind.isSilent) {
      // A link that dies without a word is found dead by three unanswered pings, up to two minutes later.
      scenario.settle = .seconds(150)
      scenario.duration += .seconds(60)
    }
    return scenario
  }

  private static let texts = [
    """
    name = calm
    about = Nothing goes wrong.
    """,
    """
    name = churn
    about = Nodes come and go in order, a tenth of them every ten seconds.
    duration = 240s
    settle = 60s
    fault = restart share 0.1 from 20s every 10s lasting 2s..30s
    """,
    """
    name = partition
    about = The network falls in two for half a minute, once one-way, and comes together again.
    duration = 240s
    settle = 60s
    fault = partition share 0.4 from 40s until 100s every 60s lasting 25s..35s
    fault = partition share 0.3 from 120s until 170s every 60s lasting 20s..30s one-way
    """,
    """
    name = crash
    about = Processes and machines die at any moment, with what they were writing, and start from what was durable.
    duration = 240s
    settle = 60s
    fault = crash share 0.05 from 20s every 5s lasting 1s..15s
    fault = crash share 0.1 from 30s every 30s lasting 5s..40s silent
    fault = disk-errors share 0.05 from 25s every 20s lasting 2s..10s
    """,
    """
    name = flood
    about = Users send a hundred times the load to one node, more than the pool takes from one account.
    duration = 180s
    settle = 90s
    transactions = 1
    accounts = 4
    fault = flood times 100 from 30s lasting 20s..20s
    """,
    """
    name = eclipse
    about = A third of the network dials everybody, names only peers that do not exist, and passes nothing on.
    nodes = 30
    duration = 240s
    settle = 60s
    liars = links 0.15
    liars = addresses 0.1
    liars = silent 0.1
    """,
    """
    name = liars
    about = Every kind of byzantine node at once.
    nodes = 40
    duration = 240s
    settle = 60s
    liars = height 0.05
    liars = blocks 0.05
    liars = transactions 0.05
    liars = silent 0.05
    liars = garbage 0.05
    liars = withhold 0.05
    liars = addresses 0.05
    liars = links 0.05
    liars = answers 0.05
    liars = orphans 0.05
    liars = twins 0.05
    liars = equivocate 0.25
    """,
    """
    name = orphans
    about = A stranger sends blocks of a megabyte on parents that nobody has, over wide lines.
    nodes = 12
    upload = 125MB
    download = 125MB
    duration = 180s
    liars = orphans 0.1
    """,
    """
    name = late-joiners
    about = Half of the nodes come when the chain is long.
    duration = 300s
    settle = 60s
    block-time = 1s
    late = 0.5
    late-after = 180s
    """,
    """
    name = seeds-down
    about = All seeds die once the network stands, and nodes restart meanwhile.
    duration = 300s
    settle = 60s
    fault = seeds-down from 60s lasting 120s..120s
    fault = restart share 0.1 from 70s until 160s every 15s lasting 2s..10s
    """,
    """
    name = wan-1000
    about = A thousand nodes in eight regions, blocks of 10 KB every 5 s.
    nodes = 1000
    seeds = 20
    seed-links = 200
    authorities = 8
    duration = 150s
    settle = 30s
    start-within = 20s
    one-hop = 100ms
    three-hops = 300ms
    network = 1s
    transactions = 5
    transaction-bytes = 200
    accounts = 40
    """,
    """
    name = wan-10000
    about = Ten thousand nodes in eight regions that open four links each, a block every 5 s, a transaction of 4 KB every 10 s.
    nodes = 10000
    seeds = 200
    seed-links = 200
    known = 400
    authorities = 8
    duration = 150s
    settle = 30s
    start-within = 40s
    outbound = 4
    transactions = 0.1
    transaction-bytes = 4000
    accounts = 40
    """,
  ]
}
