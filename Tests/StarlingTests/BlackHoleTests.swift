import Foundation
import Starling
import Testing

/// An address that swallows connections: its listener takes none, and its queue is full, so that the system drops every further SYN.
final class BlackHole: @unchecked Sendable {
  let port: UInt16
  private var sockets: [Int32] = []

  init() throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 0) == 0 && getsockname(listener, $0, &length) == 0
      }
    }
    port = UInt16(bigEndian: address.sin_port)
    sockets = [listener]
    guard isBound else { throw POSIXError(.EADDRNOTAVAIL) }
    for _ in 0..<4 {
      let filler = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
      sockets.append(filler)
      _ = withUnsafePointer(to: address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { Foundation.connect(filler, $0, length) }
      }
    }
  }

  deinit { for socket in sockets { close(socket) } }
}

@Suite struct BlackHoleTests {
  /// A host dials a peer at an address that swallows connections when it is told of one that works: that joins the race and wins it long
  /// before the silent one has had its time.
  @Test func aSilentAddressCostsLittle() async throws {
    let hole = try BlackHole()
    let second = try await makeHost()
    let bad = try Multiaddr("/ip4/127.0.0.1/tcp/\(hole.port)/p2p/\(second.peerID)")
    let first = try await makeHost {
      $0.bootstrap = [bad]
      // Nobody who waited for the silent one would be here in time.
      $0.core.peering.connectTimeout = patience * 10
      $0.core.peering.raceTimeout = patience * 10
    }
    let (good, peer) = (await second.address, second.peerID)
    #expect(try await within("the dial of the good address") { try await first.connect(good) } == peer)
    await close(first, second)
  }

  /// The silent address alone fails after its time, and says so.
  @Test func aSilentAddressAloneTimesOut() async throws {
    let hole = try BlackHole()
    var configuration = try Host.Configuration(listen: [String]())
    configuration.core.peering.connectTimeout = .milliseconds(400)
    let host = try await Host(configuration: configuration)
    try await host.start()
    let start = ContinuousClock.now
    #expect(await code { try await host.connect("/ip4/127.0.0.1/tcp/\(hole.port)") } == .timedOut)
    #expect(ContinuousClock.now - start >= .milliseconds(400))
    await host.close()
  }
}
