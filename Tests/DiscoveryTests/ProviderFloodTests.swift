import Crypto
import Identity
import TestKit
import Testing
import Wire

@testable import Discovery

/// A service whose key strangers flood with throwaway names.
@Suite(.ownThread) struct ProviderFloodTests {
  private static let multihash: [UInt8] = [0x12, 0x20] + [UInt8](repeating: 7, count: 32)

  /// 400 names of one network, each with sixteen addresses of 1 KB: a request of 46 bytes is answered in 16 KiB, with the honest provider in
  /// front, at each try.
  @Test(arguments: ["before", "after"]) func oneServer(honest: String) throws {
    var machine = Kademlia(localPeer: peer(0), crypto: SystemCrypto.shared, seed: 1)
    var outputs: [Kademlia.Output] = []
    for number in 1...30 as ClosedRange<UInt64> {
      let long = (0..<16).map { KademliaMessageTests.longAddress($0) } + [item(number).address]
      _ = machine.handle(.server(peer(number), addresses: long, remote: nil), now: at(0))
    }
    func serve(_ message: KademliaMessage, from number: UInt64, _ ip: String) -> Kademlia.Service {
      machine.serve(
        peer(number), at: IPAddress(ip), message.encoded.rawSpan, now: at(1), isConnected: { _ in false }, addresses: { _ in [] },
        into: &outputs)
    }
    func provide(_ number: UInt64, _ ip: String, _ addresses: [Multiaddr]) -> Kademlia.Service {
      var writer = ProtobufWriter()
      writer.uint64(1, KademliaMessage.Kind.addProvider.rawValue)
      writer.data(2, Self.multihash)
      writer.message(9) {
        $0.data(1, peer(number).bytes)
        for address in addresses { $0.data(2, address.bytes) }
      }
      return machine.serve(
        peer(number), at: IPAddress(ip), writer.bytes.rawSpan, now: at(1), isConnected: { _ in false }, addresses: { _ in [] },
        into: &outputs)
    }
    if honest == "before" { #expect(provide(500, "70.0.0.1", [item(500).address]) == .silence) }
    let long = (0..<16).map { KademliaMessageTests.longAddress($0) }
    for number in 1_000..<1_400 as Range<UInt64> {
      #expect(provide(number, "90.1.\(number % 200).\(number % 250)", long) == .refuse, "no address that anybody could use")
      let wide = (0..<16).map { address("/dns4/\(String(repeating: "c", count: 200))\(number)/tcp/\(1 + $0)") }
      #expect(provide(number, "90.1.\(number % 200).\(number % 250)", wide) == .silence)
    }
    if honest == "after" { #expect(provide(500, "70.0.0.1", [item(500).address]) == .silence) }
    machine.checkInvariants()
    #expect(machine.statistics.providers <= 33 && machine.statistics.providerBytes < 64 << 10)
    let ask = KademliaMessage(.getProviders, key: Self.multihash)
    for _ in 0..<50 {
      guard case .answer(let bytes) = serve(ask, from: 5, "70.0.0.9") else { throw Missing("no answer") }
      #expect(bytes.count <= KademliaMessage.peersBytesMaximum + 64)
      let answer = try KademliaMessage(encoded: bytes.rawSpan)
      #expect(answer.providers.prefix(2).contains { $0.id == peer(500) && $0.addresses == [item(500).address] })
      #expect(answer.closerPeers.count == 20)
    }
    #expect(outputs.isEmpty)
  }

  struct Missing: Error {
    init(_ what: String) {}
  }

  /// Servers in as many networks that know each other.
  private func thirtyServers(_ seed: UInt64, _ generator: inout SeededGenerator) -> KademliaWorld {
    let world = KademliaWorld(seed: seed)
    for number in 1...30 as ClosedRange<UInt64> {
      world.add(number)
      world.remotes[peer(number)] = IPAddress("\(20 + number).0.0.1")
      if number > 1 { world.link(peer(number), peer(1 + generator.next() % (number - 1))) }
      world.run(.milliseconds(500))
    }
    world.run(.seconds(300))
    return world
  }

  /// A network of thirty servers, each flooded by 200 names of one network; a search for four providers finds the honest one, whoever came first
  /// and although five servers name nothing but throwaway names.
  @Test(arguments: [1, 2, 3, 4] as [UInt64]) func network(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let world = thirtyServers(seed, &generator)
    func flood() {
      var outputs: [Kademlia.Output] = []
      for number in 1_000..<1_200 as Range<UInt64> {
        let message = KademliaMessage(
          .addProvider, key: Self.multihash, providers: [.init(id: peer(number), addresses: [item(number).address])])
        for server in 1...30 as ClosedRange<UInt64> {
          _ = world.nodes[peer(server)]!.machine.serve(
            peer(number), at: IPAddress("90.1.\(number % 200).1"), message.encoded.rawSpan, now: world.now, isConnected: { _ in false },
            addresses: { _ in [] }, into: &outputs)
        }
      }
    }
    if seed % 2 == 0 { flood() }
    world.start(peer(3), 1, .provide(Self.multihash))
    world.run(.seconds(10))
    guard case .stored? = world.outcome(1) else { throw Missing("\(String(describing: world.outcome(1)))") }
    if seed % 2 == 1 { flood() }
    for liar in [5, 10, 15, 20, 25] as [UInt64] {
      world.tamper[peer(liar)] = { message in
        let fake = (0..<256).map { _ in
          KademliaMessage.Peer(id: peer(1_000_000 + generator.next() % 1_000_000), addresses: [item(1).address])
        }
        return KademliaMessage(message.kind, key: message.key, providers: fake).encoded
      }
    }
    for asker in 101...105 as ClosedRange<UInt64> {
      world.add(asker) { $0.mode = .client }
      for server in 0..<3 as Range<UInt64> { world.link(peer(asker), peer(1 + (asker + 7 * server) % 30)) }
      world.run(.seconds(5))
      world.start(peer(asker), asker, .findProviders(Self.multihash, maximum: 8))
      world.run(.seconds(30))
      guard case .providers(let found)? = world.outcome(asker) else { throw Missing("\(String(describing: world.outcome(asker)))") }
      #expect(found.count == 8 && found.contains { $0.peer == peer(3) }, "seed \(seed), asker \(asker)")
    }
  }

  /// Two servers name forty names each that lie nearer to the key than anybody, all in one network; those answer, and name each other. Who
  /// provides, and who looks, still comes to the honest.
  @Test(arguments: [1, 2, 3] as [UInt64]) func namesNearTheKey(seed: UInt64) throws {
    var generator = SeededGenerator(seed: seed)
    let world = thirtyServers(seed, &generator)
    let target = SystemCrypto.shared.sha256(Self.multihash)
    func distance(_ number: UInt64) -> Hash256 { SystemCrypto.shared.sha256(peer(number).bytes) ^ target }
    let ground = (10_000..<30_000 as Range<UInt64>).map { ($0, distance($0)) }.sorted { $0.1 < $1.1 }.prefix(80).map(\.0)
    #expect(distance(ground[79]) < (1...30 as ClosedRange<UInt64>).map(distance).min()!, "they are the nearest")
    let named = ground.map { KademliaMessage.Peer(id: peer($0), addresses: [address("/ip4/90.1.\($0 % 200).1/tcp/1")]) }
    func lie(_ message: KademliaMessage) -> [UInt8] {
      var named = named
      generator.draw(40, toFrontOf: &named)
      return KademliaMessage(message.kind, key: message.key, closerPeers: Array(named.prefix(40))).encoded
    }
    for number in ground {
      world.add(number)
      world.remotes[peer(number)] = IPAddress("90.1.\(number % 200).1")
      world.tamper[peer(number)] = { lie($0) }
    }
    for liar in [7, 19] as [UInt64] { world.tamper[peer(liar)] = { lie($0) } }
    world.start(peer(3), 1, .provide(Self.multihash))
    world.run(.seconds(60))
    for asker in [1, 12, 30] as [UInt64] {
      world.start(peer(asker), 100 + asker, .findProviders(Self.multihash, maximum: 4))
      world.run(.seconds(60))
      #expect(world.outcome(100 + asker) == .providers([FoundPeer(peer(3), [item(3).address])]), "seed \(seed), asker \(asker)")
    }
  }

  /// What one server names beyond its share of the result counts when nobody names others.
  @Test func aLoneServerFillsTheResultAtTheEnd() {
    let world = KademliaWorld(seed: 9)
    for number in [1, 2] as [UInt64] { world.add(number) }
    world.link(peer(1), peer(2))
    world.run(.seconds(5))
    world.tamper[peer(2)] = { message in
      let named = (10..<20 as Range<UInt64>).map { KademliaMessage.Peer(id: peer($0), addresses: [item($0).address]) }
      return KademliaMessage(message.kind, key: message.key, providers: named).encoded
    }
    world.start(peer(1), 1, .findProviders(Self.multihash, maximum: 8))
    world.run(.seconds(10))
    guard case .providers(let found)? = world.outcome(1) else {
      Issue.record("\(String(describing: world.outcome(1)))")
      return
    }
    #expect(found.map(\.peer) == (10..<18 as Range<UInt64>).map { peer($0) })
    #expect(world.progress[LookUpID(rawValue: 1)]?.count == 8, "each is reported once")
  }
}
