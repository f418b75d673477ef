import Crypto
import Identity
import Testing
import Wire

@testable import Discovery

private func hash(_ number: UInt64) -> Hash256 { SystemCrypto.shared.sha256(peer(number).bytes) }
private func key(_ number: UInt64) -> [UInt8] { peer(number).bytes }

@Suite struct KademliaStoreTests {
  @Test func recordsEndAndTheFarthestMakesRoom() {
    var configuration = Kademlia.Configuration()
    configuration.recordsMaximum = 3
    var store = RecordStore(configuration)
    let order = (1...5 as ClosedRange<UInt64>).sorted { hash($0) < hash($1) }
    for number in order[1...3] { #expect(store.put(key(number), [1], distance: hash(number), now: at(0)) == true) }
    #expect(store.put(key(order[4]), [1], distance: hash(order[4]), now: at(1)) == false, "farther than all")
    #expect(store.put(key(order[0]), [1], distance: hash(order[0]), now: at(1)) == true)
    #expect(store.value(key(order[3]), now: at(1)) == nil && store.value(key(order[2]), now: at(1)) == [1])
    #expect(store.put(key(order[0]), [2, 2], distance: hash(order[0]), now: at(2)) == true)
    #expect(store.value(key(order[0]), now: at(2)) == [2, 2])
    store.checkInvariants()
    #expect(store.value(key(order[1]), now: at(48 * 3_600 - 1)) == [1] && store.value(key(order[1]), now: at(48 * 3_600)) == nil)
    // What has ended makes room before anybody else does.
    #expect(store.put(key(order[4]), [1], distance: hash(order[4]), now: at(48 * 3_600)) == true)
    store.expire(at(48 * 3_600 + 1))
    #expect(store.count == 2)
    store.checkInvariants()
  }

  @Test func recordsAreBoundedInBytes() {
    var configuration = Kademlia.Configuration()
    configuration.recordBytesMaximum = 1_000
    var store = RecordStore(configuration)
    var generator = SeededGenerator(seed: 4)
    for number in 0..<300 as Range<UInt64> {
      _ = store.put(key(number), generator.bytes(generator.index(below: 400)), distance: hash(number), now: at(0))
      store.checkInvariants()
    }
    #expect(store.put(key(1), generator.bytes(2_000), distance: .zero, now: at(0)) == false)
    store.checkInvariants()
  }

  @Test func providersEndAndTheOldestMakesRoom() {
    var configuration = Kademlia.Configuration()
    configuration.providersPerKeyMaximum = 3
    var store = ProviderStore(configuration)
    for number in 1...4 as ClosedRange<UInt64> {
      #expect(store.add(peer(number), [item(number).address], key: key(9), distance: hash(9), now: at(Double(number))) == true)
    }
    #expect(store.providers(key(9), now: at(5)).map(\.peer) == [4, 3, 2].map { peer($0) })
    _ = store.add(peer(2), [], key: key(9), distance: hash(9), now: at(6))
    #expect(store.providers(key(9), now: at(7)).map(\.peer) == [2, 4, 3].map { peer($0) })
    #expect(store.providers(key(9), now: at(24 * 3_600 + 3.5)).map(\.addresses.count) == [0, 1, 0], "old addresses are left out")
    #expect(store.providers(key(9), now: at(48 * 3_600 + 4.5)).map(\.peer) == [peer(2)])
    store.expire(at(48 * 3_600 + 6))
    #expect(store.counts == (0, 0))
    store.checkInvariants()
  }

  @Test func onePeerCannotFillTheStore() {
    var configuration = Kademlia.Configuration()
    configuration.providedPerPeerMaximum = 5
    configuration.providerKeysMaximum = 8
    configuration.providersMaximum = 12
    var store = ProviderStore(configuration)
    for number in 0..<20 as Range<UInt64> { _ = store.add(peer(1), [], key: key(number), distance: hash(number), now: at(0)) }
    #expect(store.counts == (5, 5))
    var generator = SeededGenerator(seed: 3)
    for _ in 0..<500 {
      let number = generator.next() % 40
      _ = store.add(peer(generator.next() % 30), [], key: key(number), distance: hash(number), now: at(1))
      store.checkInvariants()
    }
    #expect(store.counts.keys <= 8 && store.counts.words <= 12)
  }

  @Test func publicKeysStandUnderTheirPeers() {
    let crypto = SystemCrypto.shared
    let node = NodeKey(seed: [UInt8](repeating: 3, count: 32), crypto: crypto)
    let other = NodeKey(seed: [UInt8](repeating: 4, count: 32), crypto: crypto)
    let rules = RecordRules(
      validators: ["pk": PublicKeyValidator(crypto: crypto), "v": AnyValueValidator()], keyBytesMaximum: 100, valueBytesMaximum: 200)
    let name = Array("/pk/".utf8) + node.peerID.bytes
    #expect(rules.fault(key: name, value: node.publicKey.encoded) == nil)
    #expect(rules.fault(key: name, value: other.publicKey.encoded) != nil)
    #expect(rules.fault(key: name, value: [1, 2]) != nil)
    #expect(rules.fault(key: Array("/pk/".utf8) + [1], value: node.publicKey.encoded) != nil)
    for text in ["", "v", "/v", "v/x", "/w/x", "//x"] { #expect(rules.fault(key: Array(text.utf8), value: [1]) != nil, "\(text)") }
    #expect(rules.fault(key: Array("/v/x".utf8), value: [1]) == nil)
    #expect(rules.fault(key: Array("/v/x".utf8), value: [UInt8](repeating: 0, count: 201)) != nil)
    #expect(rules.isBetter([2], than: [1], key: Array("/v/x".utf8)) && !rules.isBetter([1], than: [1], key: Array("/v/x".utf8)))
  }
}
