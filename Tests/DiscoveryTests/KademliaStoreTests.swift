import Crypto
import Identity
import Testing
import Wire

@testable import Discovery

private func hash(_ number: UInt64) -> Hash256 { SystemCrypto.shared.sha256(peer(number).bytes) }
private let far = Hash256(words: (.max, .max, .max, .max))
private func key(_ number: UInt64) -> [UInt8] { peer(number).bytes }

@Suite struct KademliaStoreTests {
  private func origin(_ ip: String) -> Origin { Origin(peer(0), at: IPAddress(ip)!) }

  @Test func recordsEndAndTheFarthestMakesRoom() {
    var configuration = Kademlia.Configuration()
    configuration.recordsMaximum = 3
    var store = RecordStore(configuration)
    var generator = SeededGenerator(seed: 1)
    func put(_ number: UInt64, _ value: [UInt8], _ seconds: Double) -> Bool {
      store.put(key(number), value, distance: hash(number), from: origin("20.0.0.1"), now: at(seconds), using: &generator)
    }
    let order = (1...5 as ClosedRange<UInt64>).sorted { hash($0) < hash($1) }
    for number in order[1...3] { #expect(put(number, [1], 0)) }
    #expect(!put(order[4], [1], 1), "farther than all")
    #expect(put(order[0], [1], 1))
    #expect(store.value(key(order[3]), now: at(1)) == nil && store.value(key(order[2]), now: at(1)) == [1])
    #expect(put(order[0], [2, 2], 2))
    #expect(store.value(key(order[0]), now: at(2)) == [2, 2])
    store.checkInvariants()
    #expect(store.value(key(order[1]), now: at(48 * 3_600 - 1)) == [1] && store.value(key(order[1]), now: at(48 * 3_600)) == nil)
    // What has ended makes room before anybody else does.
    #expect(put(order[4], [1], 48 * 3_600))
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
      let value = generator.bytes(generator.index(below: 400))
      _ = store.put(
        key(number), value, distance: hash(number), from: origin("20.\(number % 5).0.\(number % 7)"), now: at(0), using: &generator)
      store.checkInvariants()
    }
    let before = store.value(key(1), now: at(0))
    #expect(!store.put(key(1), generator.bytes(2_000), distance: .zero, from: .own, now: at(0), using: &generator))
    #expect(store.value(key(1), now: at(0)) == before, "what stood there stays")
    store.checkInvariants()
  }

  /// Throwaway names of one network, with keys as near to this node as they like, drive out none but their own values; nor do they by saying
  /// again what others have said.
  @Test func aFloodOfRecordsDrivesOutItselfAlone() {
    var configuration = Kademlia.Configuration()
    configuration.recordsMaximum = 100
    var store = RecordStore(configuration)
    var generator = SeededGenerator(seed: 5)
    for number in 0..<40 as Range<UInt64> {
      _ = store.put(key(number), [1], distance: far, from: origin("\(20 + number).0.0.1"), now: at(0), using: &generator)
    }
    for number in 1_000..<5_000 as Range<UInt64> {
      let from = origin("90.1.\(number % 200).\(number % 250)")
      _ = store.put(key(number), generator.bytes(200), distance: .zero, from: from, now: at(1), using: &generator)
      _ = store.put(key(number % 40), [1], distance: far, from: from, now: at(1), using: &generator)
    }
    store.checkInvariants()
    #expect((0..<40 as Range<UInt64>).allSatisfy { store.value(key($0), now: at(2)) == [1] } && store.count == 100)
  }

  @Test func providersEndAndTheOldestMakesRoom() {
    var configuration = Kademlia.Configuration()
    configuration.providersPerKeyMaximum = 3
    var store = ProviderStore(configuration)
    var generator = SeededGenerator(seed: 1)
    func add(_ number: UInt64, _ addresses: [Multiaddr], _ seconds: Double) -> Bool {
      store.add(
        peer(number), addresses, key: key(9), distance: hash(9), from: Origin(peer(number), at: nil), now: at(seconds), using: &generator)
    }
    func found(_ seconds: Double) -> [PeerID: Int] {
      Dictionary(uniqueKeysWithValues: store.providers(key(9), now: at(seconds), using: &generator).map { ($0.peer, $0.addresses.count) })
    }
    for number in 1...4 as ClosedRange<UInt64> { #expect(add(number, [item(number).address], Double(number))) }
    #expect(found(5) == [peer(4): 1, peer(3): 1, peer(2): 1])
    #expect(add(2, [], 6))
    #expect(found(7) == [peer(2): 0, peer(4): 1, peer(3): 1])
    #expect(found(24 * 3_600 + 3.5) == [peer(2): 0, peer(4): 1, peer(3): 0], "old addresses are left out")
    #expect(found(48 * 3_600 + 4.5) == [peer(2): 0])
    store.expire(at(48 * 3_600 + 6))
    #expect(store.counts == (0, 0))
    store.checkInvariants()
  }

  /// The places under a key that one public address, and one network, may hold; private ones are not counted.
  @Test func placesUnderAKey() {
    var configuration = Kademlia.Configuration()
    configuration.providersPerKeyMaximum = 20
    configuration.providersPerSiteMaximum = 3
    configuration.providersPerGroupMaximum = 7
    var store = ProviderStore(configuration)
    var generator = SeededGenerator(seed: 1)
    func count(_ names: Range<UInt64>, _ place: (UInt64) -> String) -> Int {
      for number in names {
        let from = Origin(peer(number), at: IPAddress(place(number))!)
        _ = store.add(peer(number), [], key: key(9), distance: hash(9), from: from, now: at(Double(number)), using: &generator)
        store.checkInvariants()
      }
      return store.providers(key(9), now: at(99), using: &generator).filter { names.contains(number(of: $0.peer)) }.count
    }
    func number(of peer: PeerID) -> UInt64 { peer.bytes.suffix(8).reduce(0) { $0 << 8 | UInt64($1) } }
    #expect(count(0..<10) { _ in "20.0.0.1" } == 3)
    #expect(count(10..<30) { "20.0.1.\($0)" } == 7 && store.counts.words == 7, "the address with most gives way first")
    #expect(count(30..<40) { "2600:1::\(String($0, radix: 16))" } == 3, "a subscriber of IPv6 has a /64")
    #expect(count(40..<50) { _ in "10.0.0.1" } == 10 && store.counts.words == 20)
    #expect(count(50..<60) { _ in "10.0.0.1" } == 10 && store.counts.words == 20, "the largest of a full key gives way")
  }

  /// Throwaway names of one network fill what is free, and no more, however near their keys are and however many there are.
  @Test(arguments: [false, true]) func aFloodOfProvidersDrivesOutItselfAlone(isPublic: Bool) {
    var configuration = Kademlia.Configuration()
    configuration.providerBytesMaximum = 100_000
    configuration.providersPerKeyMaximum = 30
    var store = ProviderStore(configuration)
    var generator = SeededGenerator(seed: 3)
    for number in 0..<60 as Range<UInt64> {
      let from = Origin(peer(number), at: IPAddress(isPublic ? "\(20 + number).0.0.1" : "10.0.0.\(number)")!)
      _ = store.add(peer(number), [], key: key(number % 12), distance: far, from: from, now: at(0), using: &generator)
    }
    #expect(
      store.add(peer(999), [item(1).address], key: key(1), distance: far, from: .own, now: at(0), using: &generator), "this node's own")
    let addresses = (1...9).map { item(1, port: $0).address }
    for number in 1_000..<6_000 as Range<UInt64> {
      let from = Origin(peer(number), at: IPAddress(isPublic ? "90.1.\(number % 200).\(number % 250)" : "10.9.9.9")!)
      let name = number % 2 == 0 ? key(number % 12) : key(number)
      _ = store.add(peer(number), addresses, key: name, distance: .zero, from: from, now: at(1), using: &generator)
      if number % 500 == 0 { store.checkInvariants() }
    }
    store.checkInvariants()
    #expect(store.bytes <= 100_000 && store.bytes > 90_000)
    for number in 0..<60 as Range<UInt64> {
      let found = store.providers(key(number % 12), now: at(2), using: &generator).map(\.peer)
      #expect(found.contains(peer(number)), "\(number) was driven out")
      // Five honest networks and the flood's: whoever takes six of an answer has all of the honest.
      #expect(found.prefix(number % 12 == 1 ? 7 : 6).contains(peer(number)), "\(number) is behind in \(found.count)")
    }
    #expect(store.providers(key(1), now: at(2), using: &generator).first?.peer == peer(999))
  }

  /// Any order of words, with limits that bite: the account holds.
  @Test(arguments: 1...5 as ClosedRange<UInt64>) func anyOrderOfWords(seed: UInt64) {
    var configuration = Kademlia.Configuration()
    configuration.providerBytesMaximum = 6_000
    configuration.providersPerKeyMaximum = 5
    configuration.providersPerSiteMaximum = 2
    configuration.providersPerGroupMaximum = 3
    var store = ProviderStore(configuration)
    var generator = SeededGenerator(seed: seed)
    for step in 0..<1_000 {
      let (name, number) = (generator.next() % 8, generator.next() % 30)
      if generator.index(below: 10) == 0 {
        store.remove(peer(number), key(name))
      } else {
        let ip = IPAddress("\(generator.index(below: 2) == 0 ? 10 : 20).\(number % 3).0.\(number % 5)")
        let addresses = (0..<generator.index(below: 4)).map { item(number, port: 1 + $0).address }
        let from = number == 7 ? Origin.own : Origin(peer(number), at: number == 8 ? nil : ip)
        _ = store.add(peer(number), addresses, key: key(name), distance: hash(name), from: from, now: at(Double(step)), using: &generator)
      }
      store.checkInvariants()
    }
    store.expire(at(49 * 3_600))
    #expect(store.counts == (0, 0) && store.bytes == 0)
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
