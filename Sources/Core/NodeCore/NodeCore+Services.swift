import Discovery
import HostCore
import Wire

extension NodeCore {
  /// What every node of a chain serves.
  static var services: [String] { ["blocks", "transactions"] }

  func serviceKey(_ service: String) -> [UInt8] {
    let name = ServiceKey.name(network: configuration.host.network, service: service, partition: genesis.chainID)
    return ServiceKey.key(name, crypto: crypto)
  }

  /// The node can be found now: its services are told to the network, and kept alive by the host.
  func advertiseServices(_ now: Instant, _ outputs: inout [Output]) {
    guard host.kademlia?.mode == .server, !host.advertisedAddresses.isEmpty, !advertises else { return }
    advertises = true
    for service in Self.services { lookUp(.provide(serviceKey(service)), now, &outputs) }
  }

  /// When few links are there, those who serve blocks are looked for; what is found is known to the host, which dials.
  func seekServices(_ now: Instant, _ outputs: inout [Output]) {
    serviceDeadline = now + configuration.serviceInterval
    guard host.kademlia != nil, host.peering.lacksOutbound else { return }
    lookUp(.findProviders(serviceKey("blocks"), maximum: configuration.serviceProvidersMaximum), now, &outputs)
  }

  private func lookUp(_ query: Kademlia.Query, _ now: Instant, _ outputs: inout [Output]) {
    tell(.command(.lookUp(makeLookUpID(), query)), now, &outputs)
  }

  func makeLookUpID() -> LookUpID {
    defer { nextNumber += 1 }
    return LookUpID(rawValue: nextNumber)
  }
}
