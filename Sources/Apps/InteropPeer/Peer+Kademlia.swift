import Starling

/// The operations on Kademlia: the same as `pypeer.py` has, and those of the public API of a host.
extension Peer {
  func kademlia(_ command: Command) async throws -> [(String, JSON)] {
    switch command.op {
    case "kad_find_peer":
      let sought = try peer(command)
      do {
        let addresses = try await host.findPeer(sought)
        return [("found", .text("\(sought)")), ("addrs", .list(addresses.map { .text("\($0)") }))]
      } catch let error as HostError where error.code == .notFound {
        return [("found", .null), ("addrs", .list([]))]
      }
    case "kad_provide": return [("ok", .bool(true)), ("servers", .integer(try await host.provide(bytes(command.mh, "mh"))))]
    case "kad_providers":
      let found = try await host.findProviders(bytes(command.mh, "mh"), maximum: command.count ?? 20)
      return [("providers", list(found.map(\.peer))), ("addrs", .list(found.map { .list($0.addresses.map { .text("\($0)") }) }))]
    case "kad_put":
      return [("servers", .integer(try await host.putValue(bytes(command.key, "key"), bytes(command.value, "value"))))]
    case "kad_get":
      do {
        return [("value", .text(Base16.encode(try await host.getValue(bytes(command.key, "key")))))]
      } catch let error as HostError where error.code == .notFound {
        return [("value", .null)]
      }
    case "kad_put_at":
      let key = try bytes(command.key, "key")
      let message = KademliaMessage(.putValue, key: key, record: .init(key: key, value: try bytes(command.value, "value")))
      return [("ok", .bool(try await ask(command, message).record?.value == message.record?.value))]
    case "kad_get_at":
      let answer = try await ask(command, KademliaMessage(.getValue, key: try bytes(command.key, "key")))
      return [("value", answer.record.map { .text(Base16.encode($0.value)) } ?? .null)]
    case "kad_closest":
      let found = try await host.closestPeers(to: bytes(command.key, "key"))
      return [("peers", list(found.map(\.peer)))]
    case "kad_servers": return [("peers", list(await host.kademliaServers()))]
    case "kad_mode":
      guard let mode = Kademlia.Mode(rawValue: command.mode ?? "") else { throw CommandError("mode is client or server") }
      await host.setKademliaMode(mode)
      return []
    default: throw CommandError("unknown operation \(command.op)")
    }
  }

  /// One request to one peer.
  private func ask(_ command: Command, _ message: KademliaMessage) async throws -> KademliaMessage {
    let answer = try await host.request(peer(command), HostProtocols.publicKademlia, message.encoded)
    return try KademliaMessage(encoded: answer.rawSpan)
  }

  private func bytes(_ text: String?, _ name: String) throws -> [UInt8] {
    guard let bytes = Base16.decode(try need(text, name)) else { throw CommandError("\(name) is not hexadecimal") }
    return bytes
  }
}
