import HostCore
import Identity
import Ledger
import NodeCore
import Wire

extension Simulation {
  /// What really leaves a byzantine node in place of what its core wanted; `nil` for nothing.
  func masked(_ output: HostCore.Output, of node: SimulatedNode) -> HostCore.Output? { output }

  /// A byzantine node does something of its own accord.
  func misbehave(_ node: SimulatedNode) {}
}
