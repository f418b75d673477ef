import Crypto
import Identity
import Testing
import Wire

@testable import Discovery

private func url(_ text: String) -> WebAddress { WebAddress(text)! }

/// A finder and HTTP peers that answer at once; a URL that is not among them does not answer.
private struct World {
  var finder: WebFinder
  var lists: [WebAddress: [String]] = [:]
  var now = 0.0
  var asked: [String] = []
  var outputs: [WebFinder.Output] = []

  init(_ change: (inout WebFinder.Configuration) -> Void) {
    var configuration = WebFinder.Configuration()
    change(&configuration)
    finder = WebFinder(localPeer: peer(1), configuration: configuration, now: at(0))
  }

  mutating func run(to seconds: Double) {
    while let next = finder.nextDeadline, next <= at(seconds) {
      now = max(now, Double(next.nanoseconds) / 1e9)
      perform(finder.handle(.timerFired, now: at(now)))
    }
    now = seconds
  }

  private mutating func perform(_ wanted: [WebFinder.Output]) {
    finder.checkInvariants()
    for output in wanted {
      guard case .fetch(let id, let address, let question, .seconds(2)) = output else {
        outputs.append(output)
        continue
      }
      asked.append("\(address)/\(question.rawValue)")
      let answer: WebFinder.Answer =
        switch (question, lists[address]) {
        case (_, nil): .failure(WebFault(.unreachable, "refused"))
        case (.status, _): .status(peer: nil, addresses: [])
        case (.peers, let list?): .peers(list)
        }
      perform(finder.handle(.answered(id, answer), now: at(now)))
    }
  }

  var active: [String] { finder.peers.filter(\.isActive).map(\.address.description) }
  var known: [String] { finder.peers.map(\.address.description) }
}

@Suite struct WebFinderTests {
  @Test(
    arguments: [
      ("http://A.example:5000/", "http://a.example:5000"), ("http://10.0.0.1", "http://10.0.0.1:80"),
      ("10.0.0.1:5000", "http://10.0.0.1:5000"),
      ("http://[2001:DB8::1]:1", "http://[2001:db8::1]:1"), ("HTTP://localhost:5001", "http://localhost:5001"),
      ("https://a.example", nil), ("http://a/b", nil), ("http://u@a:1", nil), ("http://a:0", nil), ("http://a:65536", nil),
      ("a.example", nil),
      ("http://", nil), ("http://2001:db8::1:1", nil), ("http://a?b", nil), ("http://a:+1", nil),
      ("http://[::ffff:20.0.0.1]:5", "http://20.0.0.1:5"), ("http://[20.0.0.1]:5", nil),
    ] as [(String, String?)])
  func addresses(text: String, wanted: String?) { #expect(WebAddress(text)?.description == wanted) }

  /// S1's probe: every port of the list but one's own, a dead one is not added, and one that starts later is found.
  @Test func probe() {
    var world = World {
      $0.ports = Array(5_000...5_011)
      $0.ownPort = 5_003
    }
    world.lists[WebAddress(localPort: 5_000)] = []
    world.run(to: 29)
    #expect(
      world.asked.filter { $0.hasSuffix("status") }.sorted()
        == (5_000...5_011).filter { $0 != 5_003 }.map { "http://localhost:\($0)/status" })
    #expect(world.known == ["http://localhost:5000"])
    world.lists[WebAddress(localPort: 5_007)] = []
    world.run(to: 31)
    #expect(world.active == ["http://localhost:5000", "http://localhost:5007"])
  }

  /// What a peer tells: live URLs are verified and added, dead ones are not, libp2p addresses are passed on; strangers' names and
  /// private addresses lead to no request.
  @Test func exchange() {
    var world = World { $0.peers = [url("http://a.example:5000")] }
    let told = ["http://20.0.0.2:5000", "http://20.0.0.3:5000", "http://10.0.0.1:80", "http://localhost:22", "http://b.example:80", "junk"]
    let multiaddr = "/ip4/20.0.0.9/tcp/9000"
    world.lists[url("http://a.example:5000")] =
      told + ["\(multiaddr)/p2p/\(peer(9))", "/ip4/10.0.0.9/tcp/1/p2p/\(peer(8))", "20.0.0.4:7071"]
    world.lists[url("http://20.0.0.2:5000")] = ["http://a.example:5000", "http://20.0.0.2:5000"]
    world.run(to: 1)
    #expect(world.active == ["http://20.0.0.2:5000", "http://a.example:5000"])
    #expect(!world.asked.contains { $0.contains("10.0.0.1") || $0.contains("localhost") || $0.contains("b.example") })
    #expect(world.outputs.contains(.refused(url("http://20.0.0.3:5000"), WebFault(.unreachable, "refused"))))
    #expect(world.outputs.contains(.found([PeerAddress(peer: peer(9), address: address(multiaddr))])))
    #expect(world.outputs.contains(.found([PeerAddress(peer: nil, address: address("/ip4/20.0.0.4/tcp/7071"))])))
    #expect(!world.outputs.contains { if case .found(let items) = $0 { items.contains { $0.peer == peer(8) } } else { false } })
    #expect(world.finder.faults == [.unusable: 6, .unreachable: 1], "four told URLs, a libp2p address, and a name: \(world.finder.faults)")
  }

  /// Whoever has many ports or names in one place leaves room for others.
  @Test func aNetworkHasFewPlaces() {
    var world = World { $0.peers = [url("http://a.example:5000")] }
    let crowd = (1...100).map { "http://30.0.\($0).1:5000" }
    world.lists[url("http://a.example:5000")] = crowd + ["http://[::ffff:20.0.0.2]:5000"]
    for text in crowd { world.lists[url(text)] = crowd }
    world.lists[url("http://20.0.0.2:5000")] = []
    world.run(to: 100)
    #expect(world.known.count == 10 && world.known.contains("http://20.0.0.2:5000"), "\(world.known)")
  }

  /// Failing takes a peer out of the active ones; it stays known, is asked more and more rarely, and returns by itself.
  @Test func comesBack() {
    let one = url("http://20.0.0.1:1")
    var world = World { $0.peers = [one] }
    world.lists[one] = []
    world.run(to: 1)
    world.lists[one] = nil
    world.run(to: 31)
    #expect(world.active.isEmpty && world.known == ["\(one)"])
    #expect(world.outputs == [.active(one), .inactive(one, WebFault(.unreachable, "refused"))])
    world.asked = []
    world.run(to: 3_631)
    #expect((8...12).contains(world.asked.count))
    world.lists[one] = []
    world.run(to: 4_300)
    #expect(world.active == ["\(one)"] && world.outputs.last == .active(one))
  }

  @Test func oneselfAndSilence() {
    let one = url("http://20.0.0.1:1")
    var configuration = WebFinder.Configuration()
    configuration.peers = [one]
    var finder = WebFinder(localPeer: peer(1), configuration: configuration, now: at(0))
    let id = WebRequestID(rawValue: 1)
    #expect(finder.handle(.timerFired, now: at(0)) == [.fetch(id, one, .status, timeout: .seconds(2))])
    #expect(finder.nextDeadline == at(3))
    var silent = finder
    #expect(silent.handle(.timerFired, now: at(3)).isEmpty && silent.nextDeadline == at(33) && silent.faults == [.silent: 1])
    #expect(silent.handle(.answered(id, .status(peer: nil, addresses: [])), now: at(4)).isEmpty && silent.peers.isEmpty, "too late")
    let told = [peer(1), peer(2)].map { "/ip4/20.0.0.1/tcp/5/p2p/\($0)" }
    #expect(
      finder.handle(.answered(id, .status(peer: peer(1).description, addresses: told)), now: at(1))
        == [.refused(one, WebFault(.own, "it is this node itself"))])
    #expect(finder.nextDeadline == nil)
  }

  /// A peer that tells of ever new URLs fills neither tables nor lines.
  @Test func bounds() {
    var generator = SeededGenerator(seed: 3)
    for live in [false, true] {
      var world = World {
        $0.peers = [url("http://20.0.0.1:1")]
        $0.peersMaximum = 10
        $0.candidatesMaximum = 20
      }
      for turn in 0..<50 {
        let flood = (0..<300).map { _ in url("http://30.\(generator.index(below: 200)).\(generator.index(below: 200)).1:80") }
        world.lists[url("http://20.0.0.1:1")] = flood.map(\.description)
        if live { for address in flood { world.lists[address] = [] } }
        let before = world.asked.count
        world.run(to: Double(turn) * 30 + 1)
        #expect(world.asked.count - before <= 2 + 20 * 2 + 2 * 10)
      }
      #expect(world.finder.faults[.full]! > 1_000)
      #expect(world.known.count == (live ? 10 : 1) && world.active.contains("http://20.0.0.1:1"))
    }
  }
}
