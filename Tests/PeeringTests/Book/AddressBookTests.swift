import Identity
import Testing
import Wire

@testable import Peering

/// A book with its generator, checked after each step.
struct TestTable {
  var book: AddressBook
  var generator: SeededGenerator
  var now: Instant

  init(
    seed: UInt64 = 1, at now: Instant = at(1_000_000), secret: UInt64 = 9, _ change: (inout AddressBook.Configuration) -> Void = { _ in }
  ) {
    var configuration = AddressBook.Configuration()
    change(&configuration)
    book = AddressBook(configuration: configuration, secret: SipHash.Key(low: secret, high: 3))
    generator = SeededGenerator(seed: seed)
    self.now = now
  }

  @discardableResult
  mutating func add(_ number: UInt64, _ place: Multiaddr, from source: String = "50.1.0.1") -> AddressBook.Addition {
    let group = book.groups.source(peer(1), at: IPAddress(source))
    return book.add(PeerAddress(peer: peer(number), address: place), from: group, now: now, using: &generator)
  }
}

/// An address of the netgroup `group`.
func routable(_ group: Int, _ host: Int = 1, port: UInt16 = 4001) -> Multiaddr {
  Multiaddr(ip: .v4(0x1400_0000 + UInt32(group) << 16 + UInt32(host)), port: port)
}

@Suite struct AddressBookTests {
  // MARK: Spread

  /// One teller's group reaches 64 new buckets however much it tells; of one network it reaches a single bucket.
  @Test func tellersReachFewBuckets() {
    var table = TestTable()
    for number in 0..<20_000 { table.add(UInt64(number), routable(number % 4_000, number / 4_000)) }
    #expect(buckets(table.book.fresh) == 64)
    #expect(table.book.count <= 64 * 64)
    #expect(table.book.count > 3_000)
    var one = TestTable()
    for host in 0..<2_000 { one.add(UInt64(host), routable(7, host)) }
    #expect(buckets(one.book.fresh) == 1 && one.book.count > 50)
    // A second teller of the same group adds no bucket; one of another group does.
    for host in 0..<2_000 { one.add(UInt64(host), routable(7, host), from: "50.1.99.1") }
    #expect(buckets(one.book.fresh) == 1)
    for host in 0..<2_000 { one.add(UInt64(10_000 + host), routable(7, 10_000 + host), from: "51.1.0.1") }
    #expect(buckets(one.book.fresh) == 2)
    one.book.checkInvariants()
    table.book.checkInvariants()
  }

  /// One network group reaches eight tried buckets.
  @Test func networksReachFewTriedBuckets() {
    var table = TestTable()
    for host in 0..<3_000 {
      table.add(UInt64(host), routable(7, host), from: "\(20 + host % 100).\(host / 100).0.1")
      table.book.succeeded(PeerAddress(peer: peer(UInt64(host)), address: routable(7, host)), now: table.now)
    }
    #expect(buckets(table.book.tried) == 8)
    #expect(table.book.count(.tried) <= 8 * 64)
    table.book.checkInvariants()
  }

  /// Loopback and private addresses stand alone, so that a cluster is not squeezed into eight buckets, unless it is asked for.
  @Test func privateNetworksStandAlone() {
    func cluster(_ includesPrivate: Bool) -> Int {
      var groups = NetworkGroups()
      groups.includesPrivate = includesPrivate
      var table = TestTable()
      table.book = AddressBook(groups: groups, secret: SipHash.Key(low: 1, high: 1))
      for port in 1...300 {
        let item = PeerAddress(peer: peer(UInt64(port)), address: address("/ip4/127.0.0.1/tcp/\(port)"))
        table.book.add(item, from: .local, now: table.now, using: &table.generator)
        table.book.succeeded(item, now: table.now)
      }
      return table.book.triedPeerCount
    }
    #expect(cluster(false) > 290)
    #expect(cluster(true) < 250)
  }

  /// Being told of by many makes up to eight references, each further one half as likely.
  @Test func references() {
    var table = TestTable(seed: 5)
    var afterTen = 0
    for number in 0..<300 {
      for teller in 0..<10 { table.add(UInt64(number), routable(number), from: "\(30 + teller).9.0.1") }
      afterTen += Int(table.book.records[table.book.find(BookItem(.peer(peer(UInt64(number))), routable(number)))!].references)
    }
    #expect((2.5...4.5).contains(Double(afterTen) / 300), "\(afterTen) references after ten tellers")
    for teller in 0..<5_000 { table.add(1, routable(1), from: "\(20 + teller % 180).\(teller / 180).0.1") }
    #expect(table.book.records[table.book.find(BookItem(.peer(peer(1)), routable(1)))!].references == 8)
    table.book.checkInvariants()
  }

  /// Where an address stands depends on the secret.
  @Test func secretDecides() {
    let endpoint = BookEndpoint(routable(3))
    let places = (0..<40).map { TestTable(secret: UInt64($0)).book.triedPlace(endpoint) }
    #expect(Set(places).count > 35)
    #expect(TestTable(secret: 4).book.triedPlace(endpoint) == TestTable(secret: 4).book.triedPlace(endpoint))
  }

  /// A crowded bucket is drawn no more often than a sparse one: of 64 full buckets and about 700 with one honest address most draws are honest.
  @Test func sparseBucketsWeighTheSame() {
    var table = TestTable(seed: 3)
    for number in 0..<1_000 { table.add(UInt64(number), routable(number), from: "\(20 + number % 200).\(number / 200).0.1") }
    for number in 0..<50_000 { table.add(UInt64(1_000_000 + number), routable(2_000 + number % 2_000, number)) }
    var liars = 0
    for _ in 0..<10_000 where table.book.item(table.book.draw(.new, using: &table.generator)!).peer! > peer(500_000) { liars += 1 }
    #expect(table.book.count > 4_000)
    #expect((500...1_500).contains(liars), "\(liars) of 10,000 draws")
  }

  private func buckets(_ table: BucketTable) -> Int {
    (0..<table.bucketCount).filter { !table.records(in: $0).isEmpty }.count
  }

  // MARK: Bounds

  /// Ever more addresses from ever more tellers: the tables are the bound, and what was tried stays.
  @Test func bounded() {
    var table = TestTable {
      $0.newBuckets = 16
      $0.triedBuckets = 4
    }
    for number in 0..<20 {
      table.add(UInt64(number), routable(number))
      table.book.succeeded(PeerAddress(peer: peer(UInt64(number)), address: routable(number)), now: table.now)
    }
    let tried = table.book.triedPeerCount
    #expect(tried > 15)
    for number in 0..<50_000 {
      table.add(UInt64(1_000 + number), routable(number % 5_000, 9 + number / 5_000), from: "\(20 + number % 190).\(number % 250).0.1")
    }
    #expect(table.book.count <= 16 * 64 + 4 * 64)
    #expect(table.book.triedPeerCount == tried)
    table.book.checkInvariants()
  }

  @Test func addressesOfOnePeer() {
    var table = TestTable()
    let results = (0..<12).map { table.add(1, routable($0)) }
    #expect(results.filter { $0 == .refused }.count == 4 && results.first == .added(isNewPeer: true))
    #expect(results[1] == .added(isNewPeer: false))
    #expect(table.add(1, routable(0)) == .known)
    #expect(table.book.peerCount == 1)
  }

  // MARK: Who makes room

  /// heard s ago, dialled s ago, reached s ago (nil: never), failures → terrible
  @Test(
    arguments: [
      (0, nil, nil, 0, false), (29 * 86_400, nil, nil, 0, false), (31 * 86_400, nil, nil, 0, true), (31 * 86_400, 30, nil, 9, false),
      (0, 100, nil, 2, false), (0, 100, nil, 3, true), (0, 100, 8 * 86_400, 9, false), (0, 100, 8 * 86_400, 10, true),
      (0, 100, 6 * 86_400, 200, false), (0, 59, nil, 3, false),
    ] as [(Int, Int?, Int?, Int, Bool)])
  func terrible(heard: Int, tried: Int?, succeeded: Int?, failures: Int, isTerrible: Bool) {
    let now = BookSeconds(10_000_000)
    var record = BookRecord(source: .local, since: 0, heard: now - BookSeconds(heard))
    if let tried { record.tried = now - BookSeconds(tried) }
    if let succeeded { record.succeeded = now - BookSeconds(succeeded) }
    record.failures = UInt8(failures)
    #expect(TestTable().book.isTerrible(record, now) == isTerrible)
  }

  /// A held place in *new* is not given up to a newcomer, unless its holder failed three times and never answered.
  @Test func newPlaces() throws {
    var table = TestTable { $0.newBuckets = 1 }
    table.add(1, routable(1))
    let place = table.book.newPlace(BookEndpoint(routable(1)), from: table.book.groups.source(peer(1), at: IPAddress("50.1.0.1")))
    let rivalGroup = try #require(
      (2..<5_000).first { table.book.newPlace(BookEndpoint(routable($0)), from: .local).position == place.position })
    #expect(table.add(2, routable(rivalGroup)) == .refused)
    for _ in 0..<3 { table.book.failed(PeerAddress(peer: peer(1), address: routable(1)), now: table.now) }
    table.now = table.now + .seconds(61)
    #expect(table.add(2, routable(rivalGroup)) == .added(isNewPeer: true))
    #expect(!table.book.contains(.peer(peer(1))))
    table.book.checkInvariants()
  }

  // MARK: Test before evict

  /// Two addresses for one tried place. Returns the table with the first in *tried*, the second waiting.
  private func rivals() throws -> (table: TestTable, first: PeerAddress, second: PeerAddress) {
    var table = TestTable { $0.triedBuckets = 1 }
    let first = PeerAddress(peer: peer(1), address: routable(1))
    let position = table.book.triedPlace(BookEndpoint(first.address)).position
    let group = try #require((2..<5_000).first { table.book.triedPlace(BookEndpoint(routable($0))).position == position })
    let second = PeerAddress(peer: peer(2), address: routable(group))
    table.add(1, first.address)
    table.add(2, second.address, from: "60.1.0.1")
    let isFirstIn = table.book.succeeded(first, now: table.now)
    table.now = table.now + .seconds(5 * 3_600)
    let isSecondIn = table.book.succeeded(second, now: table.now)
    try #require(isFirstIn && !isSecondIn)
    table.book.checkInvariants()
    return (table, first, second)
  }

  /// what happens to the holder's test dial → who has the place afterwards
  @Test(arguments: [("answers", 1), ("fails", 2), ("is never made", 2), ("is under way", 1), ("is not due yet", 1)] as [(String, UInt64)])
  func testBeforeEvict(what: String, winner: UInt64) throws {
    var (table, first, second) = try rivals()
    let holder = table.book.holderToTest(using: &table.generator)
    #expect(holder.map { table.book.item($0).peer } == peer(1))
    switch what {
    case "answers": table.book.succeeded(first, now: table.now)
    case "fails":
      table.book.failed(first, now: table.now)
      table.now = table.now + .seconds(61)
    case "is never made": table.now = table.now + .seconds(2_401)
    case "is under way": table.book.dialled(BookItem(first), hasFailed: false, counts: false, at: BookSeconds(at: table.now))
    default: table.now = table.now + .seconds(2_000)
    }
    let changed = table.book.resolvePending(at: BookSeconds(at: table.now))
    #expect(changed == (winner == 2 ? [.peer(peer(1)), .peer(peer(2))] : []))
    #expect(table.book.isTried(.peer(peer(winner))) && !table.book.isTried(.peer(peer(3 - winner))))
    #expect(table.book.contains(.peer(peer(1))) && table.book.contains(.peer(peer(2))), "the loser stays in new")
    #expect(table.book.pending.isEmpty == ["answers", "fails", "is never made"].contains(what))
    #expect(table.book.triedPeerCount == 1)
    table.book.checkInvariants()
    _ = second
  }

  @Test func demotedIsStillKnown() {
    var table = TestTable()
    table.add(1, routable(1))
    let item = PeerAddress(peer: peer(1), address: routable(1))
    table.book.succeeded(item, now: table.now)
    #expect(table.book.count(.tried) == 1 && table.book.count(.new) == 0)
    table.book.demote(table.book.find(BookItem(item))!)
    #expect(table.book.count(.tried) == 0 && table.book.count(.new) == 1 && table.book.triedPeerCount == 0)
    table.book.checkInvariants()
  }

  // MARK: At hand

  @Test func pinsAndNames() {
    var table = TestTable { $0.newBuckets = 1 }
    for number in 0..<600 { table.add(UInt64(100 + number), routable(number)) }
    let nameless = BookItem(.address(routable(900)), routable(900))
    let added = (900..<1_000).filter { group in
      let item = BookItem(.address(routable(group)), routable(group))
      table.book.keep(item, marks: .nameless, at: 0)
      return table.book.find(item) != nil
    }
    #expect(added.count == 100, "what is pinned needs no bucket")
    table.book.checkInvariants()
    table.book.name(routable(900), peer(5))
    #expect(table.book.find(nameless) == nil)
    let named = table.book.find(BookItem(.peer(peer(5)), routable(900)))
    #expect(named.map { table.book.records[$0].marks.isSuperset(of: [.pinned, .nameless]) } == true)
    for group in 900..<1_000 { table.book.unpin(group == 900 ? .peer(peer(5)) : .address(routable(group))) }
    #expect(table.book.count <= 64)
    table.book.checkInvariants()
  }

  /// A name and other long addresses are kept as they are.
  @Test func otherAddresses() {
    var table = TestTable()
    let names = ["/dns4/example.com/tcp/4001", "/ip6/2600::1/tcp/4001", "/ip4/20.0.0.1/tcp/4001"].map(
      address)
    for name in names { table.add(1, name) }
    #expect(table.book.ids(of: .peer(peer(1))).map { table.book.endpoint(of: $0).multiaddr } == names)
    for name in names { table.book.forget(PeerAddress(peer: peer(1), address: name)) }
    #expect(table.book.count == 0 && table.book.peerCount == 0)
  }

  // MARK: Persistence

  @Test func snapshot() {
    var table = TestTable()
    for number in 0..<3_000 {
      let place: Multiaddr =
        number % 3 == 0 ? Multiaddr(ip: .v6(high: 0x2600 << 48 | UInt64(number) << 32, low: 7), port: 1) : routable(number)
      let item = PeerAddress(peer: number % 7 == 0 ? nil : peer(UInt64(number)), address: place)
      table.book.add(item, from: .v4(UInt32(number % 300)), now: table.now, using: &table.generator)
      if number % 5 == 0 { table.book.failed(item, now: table.now) }
    }
    let parts = (0..<AddressBook.snapshotParts).map { table.book.snapshot(part: $0, clock: testClock) }
    var again = TestTable(seed: 2)
    // Another process: its clock began later.
    let clock = WallClock(now: .zero, wall: testClock.time(at: at(1_500_000)))
    for part in parts {
      let isWhole = again.book.restore(part.rawSpan, clock: clock, now: at(100), using: &again.generator)
      #expect(isWhole)
    }
    again.book.checkInvariants()
    let before = table.book.all(.new).map { table.book.item($0) }
    #expect(Set(again.book.all(.new).map { again.book.item($0) }) == Set(before))
    for item in before {
      let (old, new) = (table.book.records[table.book.find(item)!], again.book.records[again.book.find(item)!])
      #expect(new.failures == old.failures && new.source == old.source && new.heard == -500_000)
      #expect(new.tried == (old.tried == .never ? .never : -500_000))
    }
  }

  @Test func damagedSnapshotsNeverTrap() {
    var table = TestTable()
    for number in 0..<40 { table.add(UInt64(number), routable(number)) }
    let part = (0..<AddressBook.snapshotParts).map { table.book.snapshot(part: $0, clock: testClock) }.max { $0.count < $1.count }!
    for length in 0..<part.count {
      var again = TestTable()
      _ = again.book.restore(Array(part.prefix(length)).rawSpan, clock: testClock, now: .zero, using: &again.generator)
      again.book.checkInvariants()
    }
    let seed: UInt64 = 12
    print("snapshot fuzz seed \(seed)")
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<3_000 {
      var bytes = part
      for _ in 0...generator.index(below: 6) { bytes[generator.index(below: bytes.count)] = UInt8(truncatingIfNeeded: generator.next()) }
      var again = TestTable()
      _ = again.book.restore(bytes.rawSpan, clock: testClock, now: .zero, using: &again.generator)
    }
  }

  // MARK: Anything

  /// Anything in any order: tables, chains and counts agree after each step.
  @Test func randomSteps() {
    var most = 0
    for seed in UInt64(1)...4 {
      var table = TestTable(seed: seed) {
        $0.newBuckets = 2
        $0.triedBuckets = 2
        $0.addressesPerPeerMaximum = 3
        $0.pendingMaximum = 3
      }
      var generator = SeededGenerator(seed: seed + 100)
      for _ in 0..<1_000 {
        table.now = table.now + generator.jitter(.seconds(3_000))
        let place = routable(generator.index(below: 200))
        let item = PeerAddress(peer: generator.index(below: 5) == 0 ? nil : peer(UInt64(generator.index(below: 60))), address: place)
        let target = BookItem(item).target
        switch generator.index(below: 10) {
        case 0...3: table.book.add(item, from: .v4(UInt32(generator.index(below: 50))), now: table.now, using: &table.generator)
        case 4, 5: table.book.succeeded(item, now: table.now)
        case 6: table.book.failed(item, now: table.now)
        case 7: _ = table.book.resolvePending(at: BookSeconds(at: table.now))
        case 8:
          switch generator.index(below: 4) {
          case 0: table.book.pin(target)
          case 1: table.book.unpin(target)
          case 2: table.book.name(place, peer(3))
          default: if let id = table.book.find(BookItem(item)) { table.book.demote(id) }
          }
        default: if generator.index(below: 3) == 0 { table.book.forget(item) }
        }
        table.book.checkInvariants()
        most = max(most, table.book.count(.tried))
      }
    }
    #expect(most > 3)
  }

  /// The index against a dictionary, with hashes that fall together.
  @Test func index() {
    for seed in UInt64(1)...20 {
      var generator = SeededGenerator(seed: seed)
      var index = RecordIndex()
      var model: [RecordID: UInt64] = [:]
      for _ in 0..<2_000 {
        let id = RecordID(generator.index(below: 200))
        if let hash = model[id] {
          if generator.index(below: 3) > 0 {
            index.remove(hash, id)
            model[id] = nil
          } else {
            index.replace(hash, id, by: id + 1_000)
            index.replace(hash, id + 1_000, by: id)
          }
        } else {
          let hash = UInt64(generator.index(below: 40)) << 32 | generator.next() >> 40
          index.insert(hash, id)
          model[id] = hash
        }
      }
      #expect(index.count == model.count)
      for id in RecordID(0)..<200 {
        let hash = model[id] ?? 5 << 32
        #expect(index.find(hash) { $0 == id } == (model[id] == nil ? nil : id), "seed \(seed), record \(id)")
      }
    }
  }
}

@Suite struct NetworkGroupTests {
  @Test(arguments: [
    ("20.1.2.3", "20.1.200.9", true), ("20.1.2.3", "20.2.2.3", false), ("2600:1:2::1", "2600:1:9::5", true),
    ("2600:1::1", "2600:2::1", false),
    ("::ffff:20.1.2.3", "20.1.0.1", true),
  ])
  func prefixes(left: String, right: String, areTogether: Bool) {
    let groups = NetworkGroups()
    #expect((groups.group(of: IPAddress(left)!) == groups.group(of: IPAddress(right)!)) == areTogether)
  }

  @Test func exempt() {
    var groups = NetworkGroups()
    for text in ["127.0.0.1", "10.1.2.3", "192.168.0.1", "fe80::1", "::1"] { #expect(groups.group(of: IPAddress(text)!) == nil) }
    groups.includesPrivate = true
    #expect(groups.group(of: IPAddress("10.1.2.3")!) == groups.group(of: IPAddress("10.1.9.9")!))
  }

  /// The longest prefix counts; without an entry the /16 does.
  @Test func autonomousSystems() throws {
    let text = "20.0.0.0/8 AS100 # wide\n\n20.1.0.0/16 200\n2600::/16 AS300\r\n"
    var groups = NetworkGroups()
    groups.systems = try AutonomousSystems(text: text)
    #expect(groups.systems?.system(of: IPAddress("20.1.0.1")!) == 200)
    #expect(groups.systems?.system(of: IPAddress("20.2.0.1")!) == 100)
    #expect(groups.systems?.system(of: IPAddress("2600:77::1")!) == 300)
    #expect(groups.systems?.system(of: IPAddress("21.0.0.1")!) == nil)
    #expect(groups.group(of: IPAddress("20.2.0.1")!) == groups.group(of: IPAddress("20.77.0.1")!))
    #expect(groups.group(of: IPAddress("21.2.0.1")!) != groups.group(of: IPAddress("21.77.0.1")!))
    for (bad, at) in [("20.0.0.0/8", 1), ("#\n20.0.0.0/8 x", 2), ("20.0.0/8 5", 1), ("20.0.0.0/8 5 6", 1)] {
      let error = #expect(throws: AutonomousSystems.LineError.self) { try AutonomousSystems(text: bad) }
      #expect(error?.line == at)
    }
  }
}
