import Identity
import Wire

extension PeeringMachine {
  /// Whether a feeler's peer is so near that the link stays: its handshake took less than half the time that those of the links chosen by chance
  /// took in the median. No link is closed for a nearer one, so nothing cycles; and an attacker who is near gets no more than these few.
  func isNeighbour(_ link: Link) -> Bool {
    guard slots.lasting < min(configuration.outboundMinimum + configuration.neighboursMaximum, configuration.outboundMaximum) else {
      return false
    }
    let others = links.values.filter { $0.direction == .outbound && $0.state == .active && $0.id != link.id }
    let times = others.map(\.setUpTime).sorted()
    return times.count >= PeeringMachine.comparedMinimum && link.setUpTime * 2 < times[times.count / 2]
  }

  /// Fewer links than these have no usual distance.
  private static let comparedMinimum = 3
}
