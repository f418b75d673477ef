import Foundation
import HostCore
import Identity
import Node
import Starling

/// `starling ping`
enum PingCommand {
  private struct Pinged: Encodable {
    let peerID: String
    let rttMilliseconds: [Double]

    enum CodingKeys: String, CodingKey {
      case peerID = "peer_id"
      case rttMilliseconds = "rtt_ms"
    }
  }

  static func run(_ call: ParsedCommand) throws -> Int32 {
    let count = try Parse.integer(call, "count", default: 3, in: 1...1_000)
    let times = try PeerSession.run(call) { host, peer in
      Pinged(peerID: peer.description, rttMilliseconds: try await host.ping(peer, count: count).map(\.milliseconds))
    }
    if call.isOn("json") {
      Output.json(times)
    } else {
      Output.line("\(times.peerID) answers")
      for (index, time) in times.rttMilliseconds.enumerated() { Output.line("\(index + 1): \(String(format: "%.3f", time)) ms") }
      let all = times.rttMilliseconds
      let average = all.reduce(0, +) / Double(max(1, all.count))
      Output.line(String(format: "fastest %.3f ms, average %.3f ms, slowest %.3f ms", all.min() ?? 0, average, all.max() ?? 0))
    }
    return ExitStatus.success
  }
}

/// `starling identify`
enum IdentifyCommand {
  private struct Identified: Encodable {
    let peerID: String
    let agent: String
    let protocolVersion: String
    let addresses: [String]
    let observedAddress: String?
    let protocols: [String]

    enum CodingKeys: String, CodingKey {
      case agent, addresses, protocols
      case peerID = "peer_id"
      case protocolVersion = "protocol_version"
      case observedAddress = "observed_address"
    }
  }

  static func run(_ call: ParsedCommand) throws -> Int32 {
    let peer = try PeerSession.run(call) { host, peer in
      let info = try await host.identify(peer)
      return Identified(
        peerID: peer.description, agent: info.agent, protocolVersion: info.protocolVersion,
        addresses: info.listenAddresses.map(\.description),
        observedAddress: info.observedAddress?.description, protocols: info.protocols.map(\.description))
    }
    if call.isOn("json") {
      Output.json(peer)
    } else {
      Output.rows([
        ("PeerID", [peer.peerID]), ("Agent", [peer.agent]), ("Protocol version", [peer.protocolVersion]),
        ("Sees us at", [peer.observedAddress ?? ""]), ("Listens on", peer.addresses), ("Protocols", peer.protocols),
      ])
    }
    return ExitStatus.success
  }
}

/// A host that lives for one command.
enum PeerSession {
  /// Connects to the command's peer, runs `body` and says goodbye; all of it within `--timeout`.
  static func run<Result: Sendable>(
    _ call: ParsedCommand, _ body: @escaping @Sendable (Starling.Host, PeerID) async throws -> Result
  ) throws -> Result {
    let timeout = try Parse.duration(call, "timeout", default: .seconds(10), in: .milliseconds(100)...(.seconds(600)))
    let address: Multiaddr
    do throws(IdentityError) {
      let item = try PeerAddress(dialling: call.arguments[0])
      address = item.peer.map { item.address.withPeerID($0) } ?? item.address
    } catch { throw Failure.usage(call, "\(error)") }
    let finished = DispatchSemaphore(value: 0)
    let outcome = Box<Swift.Result<Result, any Error>?>(nil)
    Task.detached {
      do {
        let host = try await Starling.Host(configuration: .init(listen: [Multiaddr](), gossip: nil))
        do {
          try await host.start()
          let peer = try await host.connect(address)
          outcome.value = .success(try await body(host, peer))
        } catch {
          outcome.value = .failure(error)
        }
        await host.close()
      } catch {
        outcome.value = .failure(error)
      }
      finished.signal()
    }
    guard finished.wait(timeout: .now() + timeout.seconds) == .success, let result = outcome.value else {
      throw Failure(
        "\(address) did not answer within \(timeout.words); check that a libp2p peer listens there, or give more time with --timeout")
    }
    do { return try result.get() } catch let error as HostError {
      throw Failure(error.message.isEmpty ? "\(error.code)" : error.message)
    }
  }
}
