import EventLoop
import Foundation
import Starling

/// A host in a process of its own, to be measured from outside. It prints its address; each line on its input is answered with one.
///
///     host                 as anybody's node limits strangers; loopback is no exception
///     host links=5000      admits so many links, from anywhere
enum ServingHost {
  static func run(_ arguments: [String]) throws {
    let settings = Settings(arguments)
    Platform.raiseDescriptorLimit()
    let done = Flag()
    Task {
      do { try await serve(settings) } catch { print("failed: \(error)") }
      done.set()
    }
    done.wait()
  }

  private static func serve(_ settings: Settings) async throws {
    var configuration = try Starling.Host.Configuration(listen: ["/ip4/0.0.0.0/tcp/0"])
    configuration.core.peering.outboundMinimum = 0
    configuration.core.peering.feelerInterval = nil
    if let links = settings["links"].flatMap({ Int($0) }) {
      configuration.core.peering.totalMaximum = links + 100
      configuration.core.peering.handshakesMaximum = 1_000
      configuration.core.peering.acceptsPerSecond = 1e6
      configuration.core.peering.acceptBurst = 1e6
      configuration.core.peering.atHandMaximum = links + 100
      if settings["gossip"] == "off" { configuration.core.gossip = nil }
    } else {
      // A node's limits rather than a library's.
      let node = PeeringConfiguration()
      configuration.core.peering.totalMaximum = node.totalMaximum
      configuration.core.peering.handshakesMaximum = node.handshakesMaximum
      configuration.core.peering.acceptsPerSecond = node.acceptsPerSecond
      configuration.core.peering.acceptBurst = node.acceptBurst
      configuration.core.peering.exemptsLoopback = false
    }
    let host = try await Starling.Host(configuration: configuration)
    try await host.start()
    guard let address = await host.addresses.first(where: { $0.ipAddress?.isLoopback == true }) else { return }
    say("\(address)")
    while let line = readLine() {
      switch line {
      case "links": say("\(await host.peers().count)")
      default: say(try await figures(host))
      }
    }
    await host.close()
  }

  /// What was refused, as `name=count` words.
  private static func figures(_ host: Starling.Host) async throws -> String {
    let (reasons, streams, counts, requests) = try await host.withCore { core, _ in
      (core.peering.reasonCounts, core.streamRefusals, core.peering.counts, core.memory.used)
    }
    let memory = host.linkMemory
    var words = ["links=\(counts.active)", "unproven=\(counts.accepted)", "memory=\(memory.used + requests)", "no-room=\(memory.refusals)"]
    words += reasons.refused.map { "refused/\($0)=\($1)" }.sorted()
    words += reasons.closed.map { "closed/\($0)=\($1)" }.sorted()
    words += reasons.lost.map { "lost/\($0)=\($1)" }.sorted()
    words += streams.map { "stream/\($0)=\($1)" }.sorted()
    words += reasons.offences.map { "offence/\($0.rawValue)=\($1)" }.sorted()
    return words.joined(separator: " ")
  }

  private static func say(_ line: String) {
    print(line)
    fflush(nil)
  }
}
