import CMiniUPnP
import CNATPMP
import Discovery
import Identity
import Threads

/// Asks the gateway for port mappings, by NAT-PMP first, else by UPnP. Blocks; for worker threads.
final class PortMapper: @unchecked Sendable {
  /// The gateway's IPv4 address; `nil` for the system's default gateway.
  private let gateway: String?
  private let lock = Lock()
  /// How the last mapping was made, under the lock.
  private var last: Method?

  private enum Method {
    case natPMP
    case upnp(starling_gateway, externalPort: UInt16)
  }

  init(gateway: String?) { self.gateway = gateway }

  /// Maps `port` for so many seconds. At most some 6 s.
  func map(_ port: UInt16, seconds: UInt32) -> DiscoveryReport {
    let last = lock.withLock { self.last }
    if case .upnp(let found, let externalPort) = last, let report = upnp(found, port, from: externalPort, seconds) { return report }
    if let report = natPMP(port, seconds) { return report }
    var found = starling_gateway()
    guard starling_upnp_find(isLoopback ? gateway : nil, Self.searchMilliseconds, &found) == 1 else {
      return .mappingFailed("no gateway answers to NAT-PMP or UPnP")
    }
    return upnp(found, port, from: port, seconds) ?? .mappingFailed("the gateway refuses to map the port (UPnP)")
  }

  /// Takes the mapping back, as well as that goes.
  func unmap(_ port: UInt16) {
    switch lock.withLock({ last }) {
    case .natPMP:
      var (external, externalPort, granted): (UInt32, UInt16, UInt32) = (0, 0, 0)
      _ = starling_natpmp_map(gateway, port, 0, Self.answerMilliseconds, &external, &externalPort, &granted)
    case .upnp(var found, let externalPort): _ = starling_upnp_unmap(&found, externalPort)
    case nil: break
    }
  }

  private func natPMP(_ port: UInt16, _ seconds: UInt32) -> DiscoveryReport? {
    var (external, externalPort, granted): (UInt32, UInt16, UInt32) = (0, 0, 0)
    guard starling_natpmp_map(gateway, port, seconds, Self.answerMilliseconds, &external, &externalPort, &granted) == 0, externalPort != 0
    else { return nil }
    lock.withLock { last = .natPMP }
    return .mapped(Multiaddr(ip: .v4(external), port: externalPort), seconds: granted)
  }

  /// `nil` when the gateway refuses. A port that is taken outside gives way to one of the next.
  private func upnp(_ gateway: starling_gateway, _ port: UInt16, from first: UInt16, _ seconds: UInt32) -> DiscoveryReport? {
    var gateway = gateway
    var text = [CChar](repeating: 0, count: 64)
    var lease = seconds
    for step in UInt16(0)..<4 {
      let externalPort = first &+ step
      guard externalPort != 0 else { continue }
      var result = starling_upnp_map(&gateway, externalPort, port, lease, &text)
      if result == Self.onlyPermanent {
        lease = 0
        result = starling_upnp_map(&gateway, externalPort, port, lease, &text)
      }
      if result == Self.conflict { continue }
      let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
      guard result == UPNPCOMMAND_SUCCESS, let ip = IPAddress(text: String(decoding: bytes, as: UTF8.self)), !ip.isUnspecified else {
        return nil
      }
      lock.withLock { last = .upnp(gateway, externalPort: externalPort) }
      // A permanent mapping is renewed like any other: the gateway may have been restarted.
      return .mapped(Multiaddr(ip: ip, port: externalPort), seconds: seconds)
    }
    return nil
  }

  /// Whether the gateway is this machine, as in tests: it is then looked for on the loopback interface.
  private var isLoopback: Bool { gateway.flatMap { IPAddress(text: $0) }?.isLoopback ?? false }

  private static let answerMilliseconds: Int32 = 3_000
  private static let searchMilliseconds: Int32 = 2_000
  /// UPnP's codes 718 and 725 (WANIPConnection).
  private static let conflict: Int32 = 718
  private static let onlyPermanent: Int32 = 725
}
