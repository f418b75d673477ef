import Identity
import Testing
import Wire

@testable import Simulator

/// What neighbours do for a whole network of eight regions: distances, hops, bytes, and how they are spread.
@Suite struct NearnessTests {
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

  private static func figures(neighbours: Int) -> Figures {
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
      #expect(distance.count == nodes.count, "all are linked")
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

  @Test func neighboursShortenTheWay() {
    let (without, with) = (Self.figures(neighbours: 0), Self.figures(neighbours: 4))
    #expect(with.nearest < without.nearest * 0.85, "\(with), without \(without)")
    #expect(with.mean < without.mean && with.spread < without.spread)
    #expect(with.hops <= without.hops && with.farthest <= without.farthest)
    #expect(with.bytes < without.bytes * 1.2 && with.busiest < without.busiest * 1.1)
  }
}
