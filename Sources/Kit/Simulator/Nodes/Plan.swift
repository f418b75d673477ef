import Identity
import Ledger
import Wire

/// The network as it stands before the first event: who is who, where, with which faults of its own.
struct Plan {
  let genesis: GenesisConfiguration
  let accounts: [NodeKey]
  let nodes: [SimulatedNode]

  init(_ scenario: Scenario, crypto: SimulatedCrypto, generator: inout SeededGenerator) {
    let count = max(1, scenario.nodes)
    let seeds = min(max(1, scenario.seeds), count)
    let authorities = min(max(1, scenario.authorities), count)
    // Authorities are the last ones, seeds the first; the others draw lots for the parts that are given away.
    var others = Array(0..<count).filter { $0 >= seeds && $0 < count - authorities }
    others.shuffle(using: &generator)

    var behaviours: [Int: Behaviour] = [:]
    for group in scenario.liars {
      if group.behaviour == .equivocate {
        // Among the authorities, of whom one at least is honest: what breaks the rules is cut off in the end.
        for _ in 0..<min(authorities / 2, Int((group.share * Double(authorities)).rounded(.up))) {
          let index = count - 1 - behaviours.keys.count { $0 >= count - authorities }
          if index >= seeds { behaviours[index] = .equivocate }
        }
        continue
      }
      for _ in 0..<Int((group.share * Double(count)).rounded(.up)) {
        if let index = others.popLast() { behaviours[index] = group.behaviour }
      }
    }
    let unreachable = Set(others.prefix(Int(scenario.unreachable * Double(count))))
    let slow = Set(others.suffix(Int(scenario.slow * Double(count))))

    let regions = Array(Region.allCases.prefix(max(1, min(scenario.regions, Region.allCases.count))))
    // Two neighbours stand behind one router.
    let routed = others.dropFirst(unreachable.count).prefix(Int(scenario.nat * Double(count)))
    var routerOf: [Int: Int] = [:]
    var routers = 0
    for region in regions.indices {
      let neighbours = routed.filter { $0 % regions.count == region }
      for (place, index) in neighbours.enumerated() { routerOf[index] = routers + place / 2 }
      routers += (neighbours.count + 1) / 2
    }
    var nodes: [SimulatedNode] = []
    nodes.reserveCapacity(count)
    for index in 0..<count {
      let region = regions[index % regions.count]
      let isProducer = index >= count - authorities
      let key = NodeKey(seed: generator.bytes(32), crypto: crypto)
      let rate = slow.contains(index) ? 0.01 : 1
      let skew = scenario.clockSkew
      let offset = skew == .zero ? .zero : generator.jitter(skew * 2) - skew
      nodes.append(
        SimulatedNode(
          index: index, key: key, region: region, ip: Plan.ip(routerOf[index].map { count + $0 } ?? index, region),
          address: Multiaddr(ip: routerOf[index] == nil ? Plan.ip(index, region) : Plan.privateIP(index), port: 4001),
          producer: isProducer ? NodeKey(seed: generator.bytes(32), crypto: crypto) : nil, behaviour: behaviours[index],
          isUnreachable: unreachable.contains(index) || routerOf[index] != nil, isSeed: index < seeds,
          uploadBytes: scenario.uploadBytes * rate,
          downloadBytes: scenario.downloadBytes * rate, clockOffset: offset))
    }
    self.nodes = nodes

    accounts = (0..<max(1, scenario.accounts)).map { _ in NodeKey(seed: generator.bytes(32), crypto: crypto) }
    var balances: [Address: Amount] = [:]
    for account in accounts { if let address = Address(account.publicKey) { balances[address] = 1_000_000_000_000 } }
    genesis = GenesisConfiguration(
      chainID: "simulation", time: Simulation.wallStart, authorities: nodes.compactMap { $0.producer.flatMap { Address($0.publicKey) } },
      blockTime: scenario.blockTime, balances: balances, blockReward: 10)
  }

  /// An address of a home network; different for each node, so that it names its node.
  private static func privateIP(_ index: Int) -> IPAddress {
    guard let ip = IPAddress(bytes: [10, UInt8(index >> 16 & 255), UInt8(index >> 8 & 255), UInt8(index & 255)]) else {
      preconditionFailure("four bytes are an address")
    }
    return ip
  }

  /// A public address in a network of its own; the first byte shows the region.
  private static func ip(_ index: Int, _ region: Region) -> IPAddress {
    let bytes = [UInt8(20 + region.rawValue * 4 + (index >> 16) & 3), UInt8(index >> 8 & 255), UInt8(index & 255), 10]
    guard let ip = IPAddress(bytes: bytes) else { preconditionFailure("four bytes are an address") }
    return ip
  }
}
