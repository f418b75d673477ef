import HostCore
import NodeCore
import Peering
import Wire

extension Simulation {
  /// What the run has shown so far.
  ///
  /// - Parameters:
  ///   - replay: the command that repeats it.
  ///   - realSeconds: what it took on this machine.
  public func report(replay: String, realSeconds: Double? = nil) -> SimulationReport {
    let last = measures.samples.last
    return SimulationReport(
      run: .init(
        scenario: scenario.name, about: scenario.about, settings: scenario.text, nodes: nodes.count,
        liars: nodes.count { !$0.isHonest }, seed: seed, replay: replay, virtualSeconds: (now - .zero).seconds, realSeconds: realSeconds,
        steps: steps, traceHash: String(traceHash, radix: 16), measuredFrom: (measures.blocks.window.lowerBound - .zero).seconds,
        measuredUntil: (measures.blocks.window.upperBound - .zero).seconds),
      violation: oracle.violation.map { "\($0)" }, verdicts: verdicts,
      chain: .init(
        lowest: last?.lowest ?? 0, highest: last?.highest ?? 0, blocksMade: measures.blocks.births.count,
        reorganisations: measures.reorganisations, deepestReorganisation: measures.deepestReorganisation, accepted: load.accepted,
        refused: load.refused),
      blocks: measures.blocks.report, transactions: measures.transactions.report, moments: moments,
      faults: measures.faults.map { .init(name: $0.name, from: ($0.from - .zero).seconds, until: ($0.until - .zero).seconds) },
      degrees: degrees, bandwidth: bandwidth, places: places, refusals: refusals)
  }

  private var verdicts: [SimulationReport.Verdict] {
    Property.allCases.map { property in
      let isBroken = oracle.violation?.property == property
      let isChecked = oracle.violation == nil && isLongEnough || property.isCheckedThroughout
      return .init(
        property: property.rawValue, about: property.about, outcome: isBroken ? .broken : isChecked && isOver ? .held : .unchecked,
        detail: isBroken ? oracle.violation.map { "\($0)" } : nil)
    }
  }

  private var moments: [SimulationReport.Moment] {
    var before: (time: Instant, bytes: UInt64) = (.zero, 0)
    return measures.samples.map { sample in
      let rate = Double(sample.bytes - before.bytes) / max((sample.time - before.time).seconds, 1e-9)
      before = (sample.time, sample.bytes)
      return .init(
        seconds: (sample.time - .zero).seconds, up: sample.up, isolated: sample.isolated, lowest: sample.lowest, median: sample.median,
        highest: sample.highest, linkEnds: sample.links, bytesPerSecond: rate.rounded())
    }
  }

  private var degrees: SimulationReport.Degrees {
    var degrees = SimulationReport.Degrees(inbound: [], outbound: [], all: [])
    func count(_ degree: Int, _ list: inout [Int]) {
      while list.count <= degree { list.append(0) }
      list[degree] += 1
    }
    for node in nodes where node.isHonest && node.isUp {
      let active = node.core?.host.peering.links(now: now).filter { $0.state == .active } ?? []
      let outbound = active.count { $0.direction == .outbound }
      count(outbound, &degrees.outbound)
      count(active.count - outbound, &degrees.inbound)
      count(active.count, &degrees.all)
    }
    return degrees
  }

  private var bandwidth: SimulationReport.Bandwidth {
    let seconds = max((now - .zero).seconds, 1e-9)
    var sent = Histogram()
    var received = Histogram()
    // One for each power of two, from the slowest node's to the fastest one's.
    var buckets = [Int](repeating: 0, count: 64)
    for node in nodes {
      let rate = UInt64(Double(node.bytesOut) / seconds)
      sent.add(rate)
      received.add(UInt64(Double(node.bytesIn) / seconds))
      buckets[rate == 0 ? 0 : 63 - rate.leadingZeroBitCount] += 1
    }
    let (first, last) = (buckets.firstIndex { $0 > 0 } ?? 0, buckets.lastIndex { $0 > 0 } ?? 0)
    let gossip = nodes.compactMap { $0.core?.host.gossip?.statistics }
    return .init(
      sent: .init(sent) ?? .none, received: .init(received) ?? .none,
      sentBuckets: buckets.indices.filter { first <= $0 && $0 <= last }.map { .init(bytesPerSecond: 1 << UInt64($0), nodes: buckets[$0]) },
      totalBytes: nodes.reduce(0) { $0 + $1.bytesOut },
      protocols: measures.traffic.rows.map { .init(name: $0.name.name, messages: $0.messages, bytes: $0.bytes) }
        .sorted { ($1.bytes, $0.name) < ($0.bytes, $1.name) },
      gossipMessages: gossip.reduce(0) { $0 + $1.messagesReceived }, gossipDuplicates: gossip.reduce(0) { $0 + $1.duplicates })
  }

  private var places: [SimulationReport.Place] {
    let regions = Region.allCases.filter { region in nodes.contains { $0.region == region } }
    var links = [[Int]](repeating: [Int](repeating: 0, count: regions.count), count: regions.count)
    for node in nodes {
      for peer in node.core?.host.peering.activePeers ?? [] {
        guard let other = nodeOf[peer], let from = regions.firstIndex(of: node.region), let to = regions.firstIndex(of: nodes[other].region)
        else { continue }
        links[from][to] += 1
      }
    }
    return regions.enumerated().map { index, region in
      links[index][index] /= 2
      return .init(
        name: region.name, longitude: region.position.longitude, latitude: region.position.latitude,
        nodes: nodes.count { $0.region == region }, links: links[index])
    }
  }

  private var refusals: SimulationReport.Refusals {
    func list(_ counts: [String: Int]) -> [SimulationReport.Count] {
      counts.map { .init(name: $0.key, count: $0.value) }.sorted { ($1.count, $0.name) < ($0.count, $1.name) }
    }
    return .init(
      ended: list(measures.closes), refused: list(measures.refusals), dials: list(measures.dialFailures), offences: list(measures.offences),
      banCount: measures.banCount,
      bans: measures.bans.map { .init(seconds: ($0.time - .zero).seconds, by: nodes[$0.by].name, of: $0.of, reason: $0.reason) })
  }
}

extension SimulationReport.Quantiles {
  fileprivate static let none = SimulationReport.Quantiles(count: 0, p50: 0, p90: 0, p99: 0, largest: 0)

  /// The quantiles of a histogram, divided by a unit; `nil` when it is empty.
  fileprivate init?(_ histogram: Histogram, per unit: Double = 1) {
    guard histogram.count > 0 else { return nil }
    func value(_ share: Double) -> Double { Double(histogram.quantile(share) ?? 0) / unit }
    self.init(count: histogram.count, p50: value(0.5), p90: value(0.9), p99: value(0.99), largest: Double(histogram.largest) / unit)
  }
}

extension Spreads {
  fileprivate var report: SimulationReport.Propagation {
    let expected = Double(delays.count) + Double(missing)
    // Forty points for each tenfold, from 1 ms.
    var points: [SimulationReport.Propagation.Point] = []
    var microseconds = 1_000.0
    while delays.count > 0 {
      let share = delays.share(upTo: UInt64(microseconds))
      points.append(.init(milliseconds: (microseconds / 10).rounded() / 100, share: share * Double(delays.count) / expected))
      if share >= 1 || points.count > 400 { break }
      microseconds *= 1.0592537251772889
    }
    return .init(
      followed: followed, complete: complete, missing: missing, milliseconds: .init(delays, per: 1_000),
      hops: byHops.enumerated().compactMap { index, histogram in
        SimulationReport.Quantiles(histogram, per: 1_000).map { .init(hops: index + 1, milliseconds: $0) }
      },
      reach: zip(Spreads.shares, reaching).compactMap { share, histogram in
        SimulationReport.Quantiles(histogram, per: 1_000).map { .init(share: share, milliseconds: $0) }
      }, distribution: points)
  }
}
