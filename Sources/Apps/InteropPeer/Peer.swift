import FoundationEssentials
import Starling

/// A host that obeys JSON lines.
final class Peer: Sendable {
  static let echo: ProtocolID = "/harness/echo/1.0.0"
  static let transfer: ProtocolID = "/harness/xfer/1.0.0"

  let host: Host
  let options: Options

  init(_ options: Options) async throws {
    self.options = options
    host = try await Host(configuration: options.configuration(), key: options.key())
    await host.handle(Self.echo) { stream in
      while let chunk = try await stream.read() { try await stream.write(chunk) }
    }
    await host.handle(Self.transfer, Transfer.serve)
  }

  /// The line's answer, under its number.
  func answer(_ line: String) async -> JSON {
    var number: JSON = .null
    do {
      let command = try Command(line)
      number = command.n.map { .integer($0) } ?? .null
      let result = try await within(command.timeout ?? 60) { try await self.perform(command) }
      return .object([("n", number), ("ok", .bool(true)), ("r", .object(result))])
    } catch {
      return .object([("n", number), ("ok", .bool(false)), ("err", .text("\(error)"))])
    }
  }

  private func within<Value: Sendable>(_ seconds: Double, _ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
    try await withThrowingTaskGroup(of: Value.self) { group in
      group.addTask(operation: body)
      group.addTask {
        try await Task.sleep(for: .seconds(seconds))
        throw CommandError("not done after \(seconds) s")
      }
      defer { group.cancelAll() }
      return try await group.next()!
    }
  }

  private func perform(_ command: Command) async throws -> [(String, JSON)] {
    switch command.op {
    case "connect":
      let start = ContinuousClock.now
      let peer = try await host.connect(try need(command.addr, "addr"))
      return [("ms", .number((ContinuousClock.now - start).milliseconds)), ("peer", .text("\(peer)"))]
    case "listen":
      let address = try Multiaddr(try need(command.addr, "addr"))
      return [("addrs", .list(try await host.listen(on: [address]).map { .text("\($0)") }))]
    case "disconnect":
      await host.disconnect(try peer(command))
      return []
    case "peers": return [("peers", list(await host.peers().compactMap(\.peer)))]
    case "links":
      let links = try await host.withCore { core, now in core.peering.links(now: now).map { ($0.peer, $0.state) } }
      return [("links", .list(links.map { .object([("peer", $0.map { .text("\($0)") } ?? .null), ("state", .text($1.rawValue))]) }))]
    case "known":
      let other = try peer(command)
      guard let info = try await host.withCore({ core, _ in core.identity(of: other) }) else { throw CommandError("nothing is known yet") }
      return describe(info)
    case "ping":
      let trips = try await host.ping(try peer(command), count: max(1, command.count ?? 5)).map(\.milliseconds).sorted()
      return [("ms_min", .number(trips[0])), ("ms_p50", .number(trips[trips.count / 2])), ("ms_max", .number(trips[trips.count - 1]))]
    case "identify": return describe(try await host.identify(try peer(command)))
    case "xfer":
      let stream = try await host.openStream(to: try peer(command), protocols: [Self.transfer])
      let (up, down) = try await Transfer.run(
        stream, up: command.up ?? 0, down: command.down ?? 0, block: command.block ?? Transfer.blockBytes)
      return [("up_MBps", .number(up)), ("down_MBps", .number(down))]
    case "echo": return try await echo(command)
    case "subscribe":
      let topic = try topic(command)
      let subscription = try await host.subscribe(topic, .init(topic: options.topic, bufferMaximum: 65_536))
      Task { await pump(subscription) }
      return []
    case "publish":
      guard let data = Data(base64Encoded: command.data ?? "") else { throw CommandError("data is not base64") }
      try await host.publish(topic(command), Array(data))
      return [("t", .number(Date().timeIntervalSince1970))]
    case "mesh":
      let topic = try topic(command)
      return [
        ("mesh", list(await host.meshPeers(topic))), ("topic_peers", list(await host.topicPeers(topic))), ("proto", .object([])),
      ]
    case "rss": return [("kib", .integer(Process.residentBytes / 1024))]
    case "quit": return []
    case "perf": throw CommandError("perf is not served; use xfer")
    case let op where op.hasPrefix("kad_"): return try await kademlia(command)
    default: throw CommandError("unknown operation \(command.op)")
    }
  }

  func need(_ value: String?, _ name: String) throws -> String {
    guard let value, !value.isEmpty else { throw CommandError("\(name) is missing") }
    return value
  }

  func topic(_ command: Command) throws -> Topic {
    guard let topic = Topic(validating: try need(command.topic, "topic")) else { throw CommandError("topic is longer than a topic may be") }
    return topic
  }

  func peer(_ command: Command) throws -> PeerID { try PeerID(text: try need(command.peer, "peer")) }

  func list(_ peers: [PeerID]) -> JSON { .list(peers.map { .text("\($0)") }) }

  private func describe(_ info: IdentifyInfo) -> [(String, JSON)] {
    [
      ("agent", .text(info.agent)), ("proto_version", .text(info.protocolVersion)),
      ("protocols", .list(info.protocols.map { .text($0.name) })), ("listen", .list(info.listenAddresses.map { .text("\($0)") })),
      ("observed", info.observedAddress.map { .text("\($0)") } ?? .null), ("signed_record_bytes", .integer(info.signedRecord?.count ?? 0)),
      ("pubkey", .text(Base16.encode(info.publicKey ?? []))),
    ]
  }

  private func echo(_ command: Command) async throws -> [(String, JSON)] {
    let stream = try await host.openStream(to: try peer(command), protocols: [command.proto.map { ProtocolID($0) } ?? Self.echo])
    let sent = (0..<max(0, command.size ?? 1000)).map { _ in UInt8.random(in: .min ... .max) }
    async let written: Void = stream.write(sent)
    let got = try await stream.readExactly(sent.count)
    try await written
    stream.finish()
    return [("ok", .bool(got == sent)), ("negotiated", .text(stream.protocolID.name))]
  }

  // MARK: Events

  private func pump(_ subscription: Subscription) async {
    for await message in subscription {
      Output.write(
        .object([
          ("ev", .text("msg")), ("topic", .text(message.topic.name)), ("t", .number(Date().timeIntervalSince1970)),
          ("data", .text(Data(message.data).base64EncodedString())), ("from", message.author.map { .text("\($0)") } ?? .null),
        ]))
    }
  }

  /// Tells of links that end or are refused.
  func report(_ events: HostEvents) async {
    for await event in events {
      if options.isDebugging { Output.debug("\(event)") }
      switch event {
      case .linkRefused(let address, let reason):
        Output.write(.object([("ev", .text("refused")), ("addr", .text("\(address)")), ("why", .text("\(reason)"))]))
      case .linkClosed(let peer, let reason, let local):
        let isFault = local || reason.code == .protocolViolation
        Output.write(.object([("ev", .text(isFault ? "refused" : "closed")), ("peer", .text("\(peer)")), ("why", .text("\(reason)"))]))
      case .dialFailed(let peer, let address, let failure):
        Output.write(
          .object([
            ("ev", .text("refused")), ("peer", peer.map { .text("\($0)") } ?? .null), ("addr", .text("\(address)")),
            ("why", .text("\(failure)")),
          ]))
      default: break
      }
    }
  }
}
