import Foundation
import TestKit
import Testing
import Wire

@testable import Simulator

@Suite(.ownThread) struct ReportTests {
  private static func report(_ change: (inout Scenario) -> Void = { _ in }) -> SimulationReport {
    var scenario = Scenario(name: "report")
    scenario.about = "Less < more & \"all\"."
    scenario.nodes = 10
    scenario.duration = .seconds(80)
    change(&scenario)
    let simulation = Simulation(scenario, seed: 2)
    _ = simulation.run()
    return simulation.report(replay: "starling sim --seed 2", realSeconds: 0.5)
  }

  @Test func theFiguresAgreeWithEachOther() throws {
    let report = Self.report()
    #expect(report.violation == nil)
    #expect(report.verdicts.count == Property.allCases.count && report.verdicts.allSatisfy { $0.outcome == .held })
    #expect(report.chain.highest >= 13 && report.chain.lowest == report.chain.highest)
    for spread in [report.blocks, report.transactions] {
      #expect(spread.followed > 5 && spread.complete == spread.followed && spread.missing == 0)
      #expect(spread.milliseconds?.count == UInt64(spread.followed * 9))
      #expect(spread.hops.reduce(0) { $0 + $1.milliseconds.count } == spread.milliseconds?.count)
      #expect(spread.reach.map(\.share) == [0.5, 0.9, 0.99, 1])
      #expect(spread.reach.allSatisfy { $0.milliseconds.count == UInt64(spread.followed) })
      let shares = spread.distribution.map(\.share)
      #expect(shares == shares.sorted() && shares.last == 1)
      let hop = try #require(spread.hops.first)
      #expect(hop.hops == 1 && hop.milliseconds.p50 > 1 && hop.milliseconds.p50 < 200)
    }
    #expect(report.degrees.all.reduce(0, +) == 10)
    let links = report.places.reduce(0) { sum, place in sum + place.links.reduce(0, +) }
    let own = report.places.enumerated().reduce(0) { $0 + $1.element.links[$1.offset] }
    let ends = report.degrees.all.enumerated().reduce(0) { $0 + $1.offset * $1.element }
    #expect((links - own) + own * 2 == ends)
    #expect(report.moments.last?.up == 10 && report.moments.map(\.seconds) == report.moments.map(\.seconds).sorted())
    let carried = report.bandwidth.protocols.reduce(0) { $0 + $1.bytes }
    #expect(carried > 0 && carried < report.bandwidth.totalBytes)
    #expect(report.bandwidth.protocols.contains { $0.name == "/meshsub/1.2.0" })
  }

  @Test func itIsTheSameAfterJSON() throws {
    let report = Self.report()
    #expect(try JSONDecoder().decode(SimulationReport.self, from: JSONEncoder().encode(report)) == report)
    #expect(report.withoutSeries.moments.isEmpty && report.withoutSeries.blocks.distribution.isEmpty)
  }

  @Test func thePageNeedsNothingElse() {
    let page = ReportPage(Self.report()).html
    #expect(page.hasPrefix("<!DOCTYPE html>"))
    for word in ["http:", "https:", "src=", "href=", "url(", "<script", "@import"] { #expect(!page.contains(word), "\(word)") }
    for word in [
      "Less &lt; more &amp; &quot;all&quot;.", "All \(Property.allCases.count) properties held.", "starling sim --seed 2", "São Paulo",
    ] {
      #expect(page.contains(word), "\(word)")
    }
    for tag in ["section", "svg", "table", "figure", "pre"] {
      #expect(page.components(separatedBy: "<\(tag)").count == page.components(separatedBy: "</\(tag)>").count, "\(tag)")
    }
    #expect(!page.contains("nan") && !page.contains("inf,"))
  }

  @Test func aBoundThatIsNotKeptIsBroken() {
    let report = Self.report { $0.oneHopMaximum = .milliseconds(1) }
    #expect(report.violation?.hasPrefix("speed broken") == true)
    #expect(report.verdicts.filter { $0.outcome == .broken }.map(\.property) == ["speed"])
    #expect(ReportPage(report).html.contains("Broken: speed broken"))
  }
}

@Suite struct HistogramTests {
  @Test func quantilesAreWithinOnePercent() {
    var generator = SeededGenerator(seed: 1)
    var values: [UInt64] = []
    var histogram = Histogram()
    #expect(histogram.quantile(0.5) == nil)
    for _ in 0..<5_000 {
      let value = generator.next() >> UInt64(generator.index(below: 64))
      values.append(value)
      histogram.add(value)
    }
    values.sort()
    for share in [0, 0.01, 0.25, 0.5, 0.9, 0.99, 1] {
      let exact = Double(values[max(0, Int((share * 5_000).rounded(.up)) - 1)])
      let found = Double(histogram.quantile(share) ?? 0)
      #expect(found >= exact && found <= exact * 1.01, "\(share)")
    }
    #expect(histogram.count == 5_000 && histogram.largest == values.last)
    #expect(histogram.share(upTo: .max) == 1)
  }

  @Test func aThingSpreadsFromNodeToNode() {
    let second = Instant.zero + .seconds(1)
    var spreads = Spreads(window: second...(second + .seconds(10)))
    let id = Hash256(words: (1, 2, 3, 4))
    spreads.begin(id, at: second, origin: 0, nodes: 4) { $0 != 3 }
    spreads.reach(id, 1, from: 0, at: second + .milliseconds(50))
    // Not awaited, but passes it on.
    spreads.reach(id, 3, from: 1, at: second + .milliseconds(60))
    spreads.reach(id, 1, from: 3, at: second + .milliseconds(70))
    #expect(spreads.missing == 1 && spreads.complete == 0)
    spreads.reach(id, 2, from: 3, at: second + .milliseconds(90))
    #expect(spreads.missing == 0 && spreads.complete == 1 && spreads.followed == 1)
    #expect(spreads.byHops.map(\.count) == [1, 0, 1])
    #expect(spreads.delays.count == 2 && spreads.delays.largest == 90_000)
    #expect(spreads.reaching.map { $0.quantile(1) } == [50_000, 90_000, 90_000, 90_000])
    spreads.begin(Hash256(words: (5, 6, 7, 8)), at: .zero, origin: 0, nodes: 4) { _ in true }
    #expect(spreads.followed == 1)
  }
}
