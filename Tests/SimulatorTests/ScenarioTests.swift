import TestKit
import Testing
import Wire

@testable import Simulator

@Suite(.ownThread) struct ScenarioTests {
  @Test func everyScenarioReadsBackTheSame() throws {
    #expect(Scenario.names.count == Set(Scenario.names).count)
    for name in Scenario.names {
      for seed in UInt64(1)...30 {
        let scenario = try #require(Scenario.named(name, seed: seed))
        #expect(try Scenario(text: scenario.text) == scenario, "\(name), seed \(seed)")
      }
    }
  }

  @Test func allTheNamedOnesAreThere() {
    let expected = [
      "calm", "churn", "partition", "crash", "flood", "eclipse", "liars", "orphans", "late-joiners", "seeds-down", "wan-1000", "wan-10000",
      "chaos",
    ]
    #expect(Scenario.names == expected)
    #expect(Scenario.named("calm", nodes: 7, seed: 1)?.nodes == 7)
    #expect(Scenario.named("chaos", nodes: 7, seed: 1)?.nodes == 7)
    #expect(Scenario.named("storm", seed: 1) == nil)
  }

  @Test func aFileSaysWhatItSays() throws {
    let scenario = try Scenario(
      text: """
        # what went wrong once
        name = found     # a comment behind
        seed = 42
        nodes = 12
        upload = 1MB
        nat = 0.25
        block-time = 500ms
        network = 1s
        full = yes
        fault = partition share 0.4 from 60s until 2m every 30s lasting 5s..10s one-way
        fault = clock share 0.1 by 5s from 1s
        liars = height 0.1
        """)
    #expect(scenario.name == "found" && scenario.seed == 42 && scenario.nodes == 12 && scenario.uploadBytes == 1e6)
    #expect(scenario.nat == 0.25 && scenario.blockTime == .milliseconds(500) && scenario.networkMaximum == .seconds(1) && scenario.isFull)
    #expect(
      scenario.faults == [
        Fault(
          .partition(share: 0.4, isOneWay: true), from: .seconds(60), until: .seconds(120), every: .seconds(30),
          lasting: .seconds(5)...(.seconds(10))),
        Fault(.clock(share: 0.1, by: .seconds(5)), from: .seconds(1), lasting: .seconds(10)...(.seconds(10))),
      ])
    #expect(scenario.liars == [LiarGroup(.height, share: 0.1)])
  }

  @Test(arguments: [
    ("nodes = 5\nnodse = 6", 2, "unknown key nodse"),
    ("name = x\n\n# here\nnodes = many", 4, "many does not fit nodes"),
    ("nodes = -1", 1, "-1 does not fit nodes"),
    ("loss = 1.5", 1, "1.5 does not fit loss"),
    ("seed = x", 1, "x does not fit seed"),
    ("full = maybe", 1, "maybe does not fit full"),
    ("upload = fast", 1, "fast does not fit upload"),
    ("block-time = 5", 1, "5 does not fit block-time"),
    ("network = soon", 1, "soon does not fit network"),
    ("nodes", 1, "expected key = value"),
    ("fault = quake share 0.1", 1, "not a fault: quake share 0.1"),
    ("fault = crash share 2", 1, "not a fault: crash share 2"),
    ("fault = crash share 0.1 lasting 5s..2s", 1, "not a fault: crash share 0.1 lasting 5s..2s"),
    ("liars = loud 0.1", 1, "expected a behaviour and a share, found loud 0.1"),
    ("nodes = 0", 0, "nodes, block-time, upload and download must be positive"),
  ])
  func whatIsWrongIsNamed(text: String, line: Int, message: String) {
    #expect(throws: ScenarioError(line: line, message: message)) { try Scenario(text: text) }
  }
}
