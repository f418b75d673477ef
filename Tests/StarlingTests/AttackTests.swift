import EventLoop
import Glibc
import Starling
import Testing

/// What strangers can do to a host with a node's limits: it keeps serving its peers, bounded in memory, and says why it refused whom.
/// `Benchmarks attack` measures the same with more of everything.
@Suite("Attacks", .serialized) struct AttackTests {
  private func makeTarget(_ change: (inout Host.Configuration) -> Void = { _ in }) async throws -> Host {
    try await makeHost {
      $0.core.peering.exemptsLoopback = false
      $0.core.peering.handshakesMaximum = 8
      $0.core.peering.handshakesPerIPMaximum = 4
      $0.core.peering.perIPMaximum = 6
      $0.core.peering.misdeedsPerIPMaximum = 1
      $0.swarm.memoryMaximum = 64 << 20
      change(&$0)
    }
  }

  /// Checks that a peer still gets its answers, and that the links keep no more than they may.
  private func checkService(_ target: Host, _ honest: Host) async throws {
    #expect(try await within { try await honest.ping(target.peerID, count: 5) }.count == 5)
    #expect(target.linkMemory.used < 4 << 20)
  }

  private func counts(_ host: Host) async throws -> ReasonCounts { try await host.withCore { core, _ in core.peering.reasonCounts } }

  @Test("sockets that say nothing, or little, are closed with their reason")
  func halfOpen() async throws {
    let target = try await makeTarget {
      $0.core.peering.handshakeTimeout = .seconds(2)
      $0.swarm.connection.handshakeTimeout = .seconds(1)
    }
    let honest = try await makeHost()
    // On a slow machine its own handshake may be given up too.
    try await eventually("the honest one is in") { (try? await honest.connect(target.address)) != nil }
    let before = try await counts(target).refused
    let port = try #require(await target.address.tcpPort)
    let address = try #require(SocketAddress("127.0.0.1", port: port))
    let sockets = (0..<200).compactMap { number in RawSocket(to: address, says: number.isMultiple(of: 2) ? [] : [0x13]) }
    #expect(sockets.count == 200)
    // Some are refused at once. The few whose handshake is waited for end by the clock, and make room for as many more on a slow machine.
    let refused = try await eventually("all are refused", try await counts(target).refused) { refused in
      [.busy, .tooManyFromIP, .handshakeTimeout].map { refused[$0, default: 0] - before[$0, default: 0] }.reduce(0, +) == 200
    }
    #expect(refused[.handshakeTimeout, default: 0] > before[.handshakeTimeout, default: 0], "\(refused)")
    #expect(refused[.busy, default: 0] + refused[.tooManyFromIP, default: 0] > 0, "\(refused)")
    try await checkService(target, honest)
    let counts = try await target.withCore { core, _ in core.peering.counts }
    #expect(counts.accepted == 0 && counts.active == 1)
    try await eventually("each has seen its end") { sockets.allSatisfy { $0.isOver } }
    await close(target, honest)
  }

  @Test("a message of 11 MB is refused from its length, and costs score")
  func oversized() async throws {
    let (target, honest, attacker) = (try await makeTarget(), try await makeHost(), try await makeHost())
    try await honest.connect(target.address)
    try await attacker.connect(target.address)
    let before = target.linkMemory.used
    for _ in 0..<3 {
      // The second one may end the link, if the first one's weight has not decayed by then.
      guard let stream = try? await attacker.openStream(to: target.peerID, protocols: [HostProtocols.peers("main")]) else { break }
      var header: [UInt8] = []
      Varint.append(11_000_000, to: &header)
      try? await stream.write(header)
      #expect(await code { while try await stream.read() != nil {} } != nil)
    }
    try await eventually("the link is ended") { await !target.peers().contains { $0.peer == attacker.peerID } }
    let counts = try await counts(target)
    #expect(2...3 ~= counts.offences[.oversizedMessage, default: 0] && counts.offences.count == 1)
    #expect(counts.closed == [.lowScore: 1])
    #expect(target.linkMemory.used <= before + 16 << 10)
    try await checkService(target, honest)
    // Its address has used up its credit: another name does not help.
    let other = try await makeHost()
    #expect(await code { try await other.connect(target.address) } != nil)
    #expect(try await self.counts(target).refused[.lowScore] == 1)
    await close(target, honest, attacker, other)
  }

  @Test("links beyond the memory for links are refused, and those that are there go on")
  func memoryForLinks() async throws {
    let maximum = 100 << 10
    let target = try await makeHost { $0.swarm.memoryMaximum = maximum }
    let honest = try await makeHost()
    try await honest.connect(target.address)
    var others: [Host] = []
    var refused = 0
    for _ in 0..<20 {
      let other = try await makeHost()
      others.append(other)
      if let code = await code({ try await other.connect(target.address) }) {
        #expect(code != .timedOut)
        refused += 1
      }
      #expect(target.linkMemory.used <= maximum)
    }
    #expect(refused > 0 && refused < 20, "\(refused) of 20")
    try await eventually("each refusal is counted", target.linkMemory.refusals) { $0 >= refused }
    try await checkService(target, honest)
    for other in others { await other.close() }
    // What they had is free again.
    let late = try await makeHost()
    try await eventually("a newcomer gets in") { (try? await late.connect(target.address)) != nil }
    await close(target, honest, late)
  }

  @Test("a flood of requests is refused with its reason, and ends the link")
  func flood() async throws {
    // So little is earned that it does not matter how quick the attacker is on this machine.
    let target = try await makeTarget { $0.core.rates.peer = .init(perSecond: 0.1, burst: 200) }
    let (honest, attacker) = (try await makeHost(), try await makeHost())
    try await honest.connect(target.address)
    try await attacker.connect(target.address)
    let refused = Counter()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          // Streams of its own, past the limits that an honest host keeps to.
          for _ in 0..<500 {
            do {
              let stream = try await attacker.openStream(to: target.peerID, protocols: [HostProtocols.identify])
              stream.finish()
              _ = try await stream.readToEnd(maximumBytes: 1 << 20)
            } catch let error as HostError {
              if error.code == .tryLater { refused.add() }
              if error.code == .notConnected { return }
            } catch {}
          }
        }
      }
    }
    let (counts, streams) = try await target.withCore { core, _ in (core.peering.reasonCounts, core.streamRefusals) }
    #expect(refused.value > 0 && streams[.rateLimited, default: 0] >= UInt64(refused.value))
    #expect(counts.offences[.rateExceeded, default: 0] > 0 && counts.closed[.lowScore] == 1)
    try await checkService(target, honest)
    await close(target, honest, attacker)
  }
}

/// A connection that says a few bytes and no more.
private final class RawSocket: Sendable {
  private let descriptor: Int32

  init?(to address: SocketAddress, says bytes: [UInt8]) {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    var target = sockaddr_in()
    target.sin_family = sa_family_t(AF_INET)
    target.sin_port = address.port.bigEndian
    withUnsafeMutableBytes(of: &target.sin_addr) { $0.copyBytes(from: address.ipBytes) }
    let status = withUnsafePointer(to: target) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    guard status == 0 else { return nil }
    if !bytes.isEmpty { _ = send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }
  }

  deinit { Glibc.close(descriptor) }

  /// Whether the other end has closed the connection. What it said before is read.
  var isOver: Bool {
    var bytes = [UInt8](repeating: 0, count: 256)
    while true {
      let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
      if count <= 0 { return count == 0 || errno != EAGAIN }
    }
  }
}
