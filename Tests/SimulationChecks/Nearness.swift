import Identity
import Simulator
import Wire

/// What neighbours do for a whole network of eight regions: distances, hops, bytes, and how they are spread.
let nearness = [
  Check(name: "neighbours shorten the way") { findings in
    let (without, with) = (figures(neighbours: 0, &findings), figures(neighbours: 4, &findings))
    findings.expect(with.nearest < without.nearest * 0.85, "\(with), without \(without)")
    findings.expect(with.mean < without.mean && with.spread < without.spread, "\(with), without \(without)")
    findings.expect(with.hops <= without.hops && with.farthest <= without.farthest, "\(with), without \(without)")
    findings.expect(with.bytes < without.bytes * 1.2 && with.busiest < without.busiest * 1.1, "\(with), without \(without)")
  },
  // Who catches up asks all its peers, near ones more often than far ones because they are free again sooner, and nobody carries most of it.
  Check(name: "requests are spread by load") { findings in
    var scenario = Scenario(name: "late")
    scenario.nodes = 10
    scenario.authorities = 2
    scenario.late = 0.6
    scenario.lateAfter = .seconds(240)
    scenario.blockTime = .milliseconds(100)
    scenario.transactions = 2
    scenario.transactionBytes = 2_048
    scenario.duration = .seconds(300)
    let simulation = Simulation(scenario, seed: 1)
    simulation.run(until: Instant.zero + scenario.lateAfter - .seconds(1))
    guard let newcomer = simulation.nodes.first(where: { $0.core == nil })?.index else { return findings.expect(false, "nobody is late") }
    let before = simulation.nodes.map(\.bytesOut)
    var end = Instant.zero + scenario.lateAfter
    while simulation.nodes[newcomer].core?.sync.state != .synced, end < Instant.zero + scenario.duration {
      end += .milliseconds(250)
      simulation.run(until: end)
    }
    let nodes = simulation.nodes
    guard let core = nodes[newcomer].core else { return findings.expect(false, "the newcomer does not run") }
    let places = Dictionary(uniqueKeysWithValues: nodes.map { ($0.key.peerID, $0.index) })
    let peers = core.host.peering.activePeers.compactMap { places[$0] }
    let served = peers.map { nodes[$0].bytesOut - before[$0] }
    let total = Double(served.reduce(0, +))
    findings.expect(
      core.sync.state == .synced && core.chain.head.height > 2_000 && total > 3_000_000,
      "\(core.sync.state), height \(core.chain.head.height), \(total) bytes")
    findings.expect(peers.count >= 6, "\(peers.count) peers")
    findings.expect(served.allSatisfy { Double($0) > total / 40 && Double($0) < total * 0.4 }, "\(served)")
    let region = simulation.nodes[newcomer].region
    let byDistance = zip(peers, served).sorted { region.roundTrip(to: nodes[$0.0].region) < region.roundTrip(to: nodes[$1.0].region) }.map(
      \.1)
    findings.expect(byDistance.prefix(3).reduce(0, +) > 2 * byDistance.suffix(3).reduce(0, +), "the nearest first: \(byDistance)")
  },
]

private struct Figures {
  /// Round trips of the links: the mean, and that of each node's nearest on the average.
  var mean = 0.0
  var nearest = 0.0
  /// Links on the way from a node to another, on the average, and at most.
  var hops = 0.0
  var farthest = 0
  /// When 99 % of nodes have a block, in milliseconds.
  var spread = 0.0
  /// Bytes that a node sent, on the average, and how much more the busiest one sent.
  var bytes = 0.0
  var busiest = 0.0
}

private func figures(neighbours: Int, _ findings: inout Findings) -> Figures {
  var scenario = Scenario(name: "near")
  scenario.nodes = 40
  scenario.outbound = 4
  scenario.neighbours = neighbours
  scenario.duration = .seconds(480)
  let simulation = Simulation(scenario, seed: 1)
  simulation.run(until: Instant.zero + scenario.duration)
  let nodes = simulation.nodes
  let places = Dictionary(uniqueKeysWithValues: nodes.map { ($0.key.peerID, $0.index) })
  let links = nodes.map { node in node.core?.host.peering.activePeers.compactMap { places[$0] } ?? [] }
  var figures = Figures()
  let roundTrips = nodes.map { node in links[node.index].map { node.region.roundTrip(to: nodes[$0].region).milliseconds } }
  let all = roundTrips.joined()
  figures.mean = all.reduce(0, +) / Double(all.count)
  figures.nearest = roundTrips.map { $0.min() ?? 0 }.reduce(0, +) / Double(nodes.count)
  var sum = 0
  for origin in nodes.indices {
    var distance = [origin: 0]
    var queue = [origin]
    while let place = queue.first {
      queue.removeFirst()
      for other in links[place] where distance[other] == nil {
        distance[other] = distance[place]! + 1
        queue.append(other)
      }
    }
    findings.expect(distance.count == nodes.count, "only \(distance.count) of \(nodes.count) are linked")
    sum += distance.values.reduce(0, +)
    figures.farthest = max(figures.farthest, distance.values.max() ?? 0)
  }
  figures.hops = Double(sum) / Double(nodes.count * (nodes.count - 1))
  let bytes = nodes.map { Double($0.bytesOut) }
  figures.bytes = bytes.reduce(0, +) / Double(nodes.count)
  figures.busiest = (bytes.max() ?? 0) / figures.bytes
  figures.spread = simulation.report(replay: "").blocks.reach.first { $0.share == 0.99 }?.milliseconds.p50 ?? 0
  return figures
}
