import Dashboard
import Foundation

/// What a run of the local network came to.
struct Summary: Encodable {
  let holds: Bool
  let seed: UInt64
  let nodes: Int
  let blocks: UInt64
  let transactions: Int
  let retries: Int
  let refusals: [String: Int]
  let kills: Int
  let seconds: Double
  let residentMaximumBytes: Int
  let findings: [Finding]

  enum CodingKeys: String, CodingKey {
    case seed, nodes, blocks, transactions, retries, refusals, kills, seconds, findings
    case holds = "ok"
    case residentMaximumBytes = "resident_maximum_bytes"
  }

  /// Prints it for people, or as JSON on standard output.
  func show(_ screen: Screen, json: Bool) {
    if json { return Output.json(self) }
    var table = TerminalTable([.init("RESULT"), .init("CHECK"), .init("FIGURES")])
    for finding in findings {
      table.rows.append([finding.holds ? .init("ok", .good) : .init("FAILED", .bad), .init(finding.name), .init(finding.detail)])
    }
    screen.print([""])
    screen.print(table)
    var lines = [
      "",
      "\(nodes) nodes, \(blocks) blocks, \(transactions) transactions, \(kills) \(kills == 1 ? "kill" : "kills"), "
        + "\(retries) sent again",
      "at most \(residentMaximumBytes >> 20) MiB a node, \(String(format: "%.1f", seconds)) s, seed \(seed)",
    ]
    for finding in findings where !finding.holds { lines.append("FAILED: \(finding.name): \(finding.detail)") }
    for (reason, count) in refusals.sorted(by: { $0.key < $1.key }) {
      lines.append("refused \(count == 1 ? "once" : "\(count) times"): \(reason)")
    }
    screen.print(lines + [holds ? "Everything held." : "FAILED"])
  }
}
