import Identity
import Wire

extension PeeringMachine {
  /// Ends a handshake that has taken long, of the network with most of them, when the newcomer's network has fewer: whoever opens links and
  /// says nothing holds up others for a short while only. O(links).
  ///
  /// - Returns: whether there is room now.
  mutating func crowdOutHandshake(for ip: IPAddress?, _ now: Instant, _ outputs: inout [Output]) -> Bool {
    func share(_ ip: IPAddress?) -> Int { ip.flatMap { slots.unprovenBySubnet[AddressFacts.subnet(of: $0)] } ?? 0 }
    let slow = links.values.filter { $0.state == .accepted && now - $0.since >= configuration.handshakePatience }
    // The biggest crowd's oldest; of the same age the first one.
    let chosen = slow.max { (share($0.ip), $1.since, $1.id) < (share($1.ip), $0.since, $0.id) }
    guard let chosen, share(chosen.ip) > share(ip) else { return false }
    close(chosen.id, Reason(.busy, "the handshake took long and others are waiting"), now, &outputs)
    return true
  }
}
