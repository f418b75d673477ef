/// Runs the measurement that the first argument names; the remaining arguments go to it.
@main
enum Benchmarks {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    guard let name = arguments.first, let run = all[name] else {
      print("usage: Benchmarks \(all.keys.sorted().joined(separator: "|")) [arguments]")
      return
    }
    try run(Array(arguments.dropFirst()))
  }

  private static let all: [String: @Sendable ([String]) throws -> Void] = [
    "attack": AttackBenchmark.run,
    "attacker": Attacker.run,
    "book": BookBenchmark.run,
    "channel": { _ in benchmarkChannel() },
    "crypto": { _ in benchmarkCrypto() },
    "ledger": { _ in LedgerBenchmark.run() },
    "eclipse": EclipseBenchmark.run,
    "gossip": GossipBenchmark.run,
    "host": ServingHost.run,
    "idlers": Idlers.run,
    "links": LinksBenchmark.run,
    "loop": EventLoopBenchmark.run,
  ]
}
