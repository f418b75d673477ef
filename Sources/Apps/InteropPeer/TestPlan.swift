import Starling

/// One party of libp2p/test-plans `transport-interop`: told by its environment to listen or to dial, it meets the other through Redis.
struct TestPlan {
  let isDialer: Bool
  let address: String
  let redis: String
  let timeout: Double

  /// - Throws: ``CommandError`` when the environment asks for something that this party does not speak.
  init(environment: [String: String]) throws {
    for (name, spoken) in [("transport", "tcp"), ("muxer", "yamux"), ("security", "noise")] {
      guard let asked = environment[name] else { throw CommandError("\(name) is not set") }
      guard asked == spoken else { throw CommandError("\(name)=\(asked): this party speaks \(spoken)") }
    }
    switch environment["is_dialer"] {
    case "true": isDialer = true
    case "false": isDialer = false
    default: throw CommandError("is_dialer is neither true nor false")
    }
    address = environment["ip"] ?? "0.0.0.0"
    redis = environment["redis_addr"] ?? "redis:6379"
    timeout = environment["test_timeout_seconds"].flatMap { Double($0) } ?? 180
  }

  func run() async throws {
    let meetingPlace = try Redis(redis, timeout: timeout)
    if isDialer { try await dial(meetingPlace) } else { try await listen(meetingPlace) }
  }

  private func listen(_ redis: Redis) async throws {
    let host = try await Host(configuration: Host.Configuration(listen: ["/ip4/\(address)/tcp/0"], gossip: nil))
    try await host.start()
    guard let own = await host.addresses.first(where: { $0.ipAddress?.isLoopback == (address == "127.0.0.1") }) else {
      throw CommandError("no address to be dialled at")
    }
    try redis.ask("RPUSH", "listenerAddr", "\(own)")
    // The dialer's end decides; whoever runs the test ends this party then.
    try await Task.sleep(for: .seconds(timeout))
    await host.close()
    throw CommandError("not ended within \(timeout) s")
  }

  private func dial(_ redis: Redis) async throws {
    guard let text = try redis.ask("BLPOP", "listenerAddr", "\(Int(timeout))").last else {
      throw CommandError("nobody listened within \(timeout) s")
    }
    let host = try await Host(configuration: Host.Configuration(gossip: nil))
    try await host.start()
    let start = ContinuousClock.now
    let peer = try await host.connect(text)
    let first = try await host.ping(peer)
    let handshake = ContinuousClock.now - start
    let second = try await host.ping(peer)
    // The second name is spelt so in the contract.
    Output.write(
      .object([
        ("handshakePlusOneRTTMillis", .number(handshake.milliseconds)),
        ("pingRTTMilllis", .number(min(first[0], second[0]).milliseconds)),
      ]))
    await host.close()
  }
}
