import Foundation
import HTTPAPI
import Identity
import NodeCore
import Testing

@testable import Node

/// What operators do to a running node over HTTP, seen from both ends of real links.
@Suite(.serialized) struct OperatorRoutesTests {
  private static let prefix = "/api/v1/node"

  /// A node with its API and the token of its data folder.
  private struct Served {
    let node: Node
    let client: HTTPClient
    let token: String

    init(_ flock: Flock, _ name: String, change: (inout NodeConfiguration) -> Void = { _ in }) throws {
      node = try flock.start(name) {
        $0.httpEnabled = true
        $0.httpPort = 0
        change(&$0)
      }
      token = try AdminToken.read(flock.folder + "/" + name + "/admin.token")
      client = try HTTPClient("http://127.0.0.1:\(node.httpPort!)", token: token, timeout: patience)
    }

    func peers() throws -> [PeersResponse.Peer] {
      let answer: PeersResponse = try client.get(prefix + "/peers")
      return answer.peers
    }

    func story(_ peer: String) throws -> StoryResponse { try client.get(prefix + "/peers/\(peer)/explain") }

    func rules() throws -> RulesResponse { try client.get(prefix + "/rules") }

    func post(_ path: String, _ value: some Encodable) throws -> OperationResponse { try client.post(prefix + path, value) }

    func delete(_ path: String) throws -> OperationResponse { try client.delete(prefix + path) }

    /// The status and code of a refused call.
    func refusal(_ body: () throws -> some Any) -> String? {
      do {
        _ = try body()
        return nil
      } catch { return (error as? HTTPClientError).map { "\($0.status) \($0.reason)" } }
    }

    func isLinked(to other: Served) throws -> Bool { try node.isLinked(exactlyTo: other.node) }

    /// Whether the story of another has a link's end with this code, by that side.
    func sawClose(of other: Served, _ code: String, by side: String) throws -> Bool {
      try story(other.node.peerID.description).steps.contains {
        $0.kind == "closed" && $0.reason == code && $0.sentence.contains("closed by \(side)")
      }
    }

    func address() throws -> String { try node.information().addresses[0].withPeerID(node.peerID).description }
  }

  private static func withFlock(_ body: @escaping @Sendable (Flock) throws -> Void) async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      try body(flock)
    }
  }

  // MARK: Links

  @Test func addAndDrop() async throws {
    try await Self.withFlock { flock in
      let (first, second) = (try Served(flock, "first"), try Served(flock, "second"))
      let body = AddPeerRequest(address: try second.address())
      #expect(try first.post("/peers", body).result == "dialling")
      try waitUntil("the two are linked") { try first.isLinked(to: second) && second.isLinked(to: first) }
      #expect(try first.post("/peers", body).result == "linked")

      let row = try #require(try first.peers().first)
      #expect(row.direction == "outbound" && row.role == "stored" && row.reason == "request" && row.netgroup == "127.0.0.0/16", "\(row)")
      #expect(row.trusted == false && row.score == 0 && row.connectedSeconds != nil && row.height == 0 && row.heightSeconds != nil)
      #expect(try second.peers().first?.reason == "accepted")

      // The beginning of its name is enough where nobody else is known.
      let dropped = try first.delete("/peers/12D3")
      #expect(dropped.links == 1 && dropped.wasMustKeep == false)
      try waitUntil("both ends know why") {
        try first.sawClose(of: second, "operator-request", by: "this side")
          && second.sawClose(of: first, "operator-request", by: "the remote")
      }
      #expect(try first.node.activePeers().isEmpty)
      let story = try first.story(second.node.peerID.description)
      #expect(story.steps.contains { $0.kind == "dialling" && $0.reason == "request" && $0.address?.hasPrefix("/ip4/127.0.0.1") == true })
      #expect(
        story.steps.map(\.time) == story.steps.map(\.time).sorted() && story.present.count + story.steps.count == story.sentences.count)
      #expect(story.present.contains { $0.contains("First heard of") }, "\(story.present)")

      #expect(first.refusal { try first.post("/peers", AddPeerRequest(address: "nonsense")) } == "400 bad_address")
      #expect(first.refusal { try first.post("/peers", AddPeerRequest(address: "/ip4/127.0.0.1/udp/1")) } == "400 bad_address")
      #expect(first.refusal { try first.post("/peers", AddPeerRequest(address: try first.address())) } == "400 is_self")
      #expect(first.refusal { try first.delete("/peers/16U") } == "404 unknown_peer")
      #expect(first.refusal { try first.delete("/peers/%2Fip4%2F127.0.0.1%2Ftcp%2F9") } == "404 unknown_peer")
    }
  }

  /// Whom the node dials is listed before anybody has answered, an address can be asked about, and the health names what is wrong.
  @Test func dialsAreShown() async throws {
    try await Self.withFlock { flock in
      let other = try flock.start("other")
      let sought = NodeKey(seed: [UInt8](repeating: 77, count: 32), crypto: Node.crypto).peerID
      let place = try other.information().addresses[0]
      let first = try Served(flock, "first") {
        $0.bootstrapPeers = ["127.0.0.1:1", place.withPeerID(sought).description]
        $0.kademlia = false
      }
      var dials: [DialsResponse.Dial] = []
      try waitUntil("both dials have failed") {
        let answer: DialsResponse = try first.client.get(Self.prefix + "/dials")
        dials = answer.dials
        return dials.count { $0.last != nil } == 2
      }
      #expect(dials.count == 2 && dials.allSatisfy { $0.role == "must-keep" && $0.failures >= 1 }, "\(dials)")
      #expect(dials.contains { $0.peerID == nil && $0.addresses == ["/ip4/127.0.0.1/tcp/1"] && $0.last?.reason == "refused" })
      #expect(dials.contains { $0.peerID == sought.description && $0.last?.answered == other.peerID.description })
      for text in ["127.0.0.1:1", "%2Fip4%2F127.0.0.1%2Ftcp%2F1"] {
        let story = try first.story(text)
        #expect(story.peerID == nil && story.address == "/ip4/127.0.0.1/tcp/1")
        #expect(story.sentences.contains { $0.contains("connection refused") }, "\(story.sentences)")
      }
      let named = try first.story(place.description.replacing("/", with: "%2F"))
      #expect(named.peerID == sought.description, "whose address it is to be")
      let health: HealthResponse = try first.client.get(Self.prefix + "/health")
      #expect(health.status == .isolated)
      #expect(["connection refused", "another peer answered"].contains { health.reason.contains($0) }, "\(health.reason)")
    }
  }

  // MARK: Bans

  /// The second node listens at another loopback address, so that a network can hold it alone.
  @Test(arguments: ["network", "peer"]) func aBanClosesAndUnbanLetsBack(kind: String) async throws {
    try await Self.withFlock { flock in
      let first = try Served(flock, "first")
      let second = try Served(flock, "second") { $0.listen = ["/ip4/127.0.0.2/tcp/0"] }
      _ = try first.post("/peers", AddPeerRequest(address: try second.address()))
      try waitUntil("the two are linked") { try first.isLinked(to: second) && second.isLinked(to: first) }

      let name = second.node.peerID.description
      let subject = kind == "peer" ? String(name.prefix(20)) : "127.0.0.2/31"
      let banned = try first.post("/bans", BanRequest(subject: subject, seconds: 600, reason: "tested: \(kind)"))
      #expect(banned.result == "banned" && banned.links == 1)
      try waitUntil("both ends know why") {
        try first.sawClose(of: second, "banned", by: "this side") && second.sawClose(of: first, "banned", by: "the remote")
      }
      #expect(try second.story(first.node.peerID.description).sentences.contains { $0.contains("banned (it says: \"tested: \(kind)\")") })
      let story = try first.story(name)
      #expect(story.present.contains { $0.contains("banned for another") || $0.contains("Banned for another") }, "\(story.present)")
      #expect(story.steps.contains { $0.kind == "banned" })
      let ban = try #require(try first.rules().bans.first)
      #expect(ban.subject == (kind == "peer" ? name : "127.0.0.2/31") && ban.setBy == "operator" && ban.reason == "tested: \(kind)")
      #expect(first.refusal { try first.post("/peers", AddPeerRequest(address: try second.address())) } == "409 not_dialled")
      if kind == "peer" {
        // It may dial as often as it likes.
        _ = try second.post("/peers", AddPeerRequest(address: try first.address()))
        try waitUntil("the banned one is told at the door") {
          try second.story(first.node.peerID.description).steps.filter { $0.sentence.contains("banned (it says: \"tested: peer\")") }.count
            >= 2
        }
      }
      #expect(try first.node.activePeers().isEmpty)

      let metrics = String(decoding: try first.client.request("GET", "/metrics").body, as: UTF8.self)
      #expect(metrics.contains("starling_bans_total{reason=\"operator\"} 1"))
      #expect(metrics.contains("starling_links_closed_total{reason=\"banned\"} "))
      #expect(metrics.contains("starling_links_chosen_total{reason=\"request\"} 1"))

      let path = "/bans/" + (kind == "peer" ? name : "127.0.0.2%2F31")
      #expect(try first.delete(path).result == "unbanned")
      try waitUntil("it is dialled again by itself") { try first.isLinked(to: second) && second.isLinked(to: first) }
      #expect(try first.rules().bans.isEmpty)
      #expect(first.refusal { try first.delete(path) } == "404 not_banned")
    }
  }

  // MARK: What lasts

  @Test func whatIsSetSurvivesARestart() async throws {
    try await Self.withFlock { flock in
      let second = try Served(flock, "second")
      let token: String
      do {
        let first = try Served(flock, "first")
        token = first.token
        _ = try first.post("/peers", AddPeerRequest(address: try second.address(), keep: true))
        _ = try first.post("/bans", BanRequest(subject: "203.0.113.0/24"))
        try waitUntil("the two are linked") { try first.isLinked(to: second) }
        #expect(try first.post("/trusted", TrustRequest(peer: String(second.node.peerID.description.prefix(16)))).liftedBan == false)
        #expect(try first.peers().first?.role == "must-keep" && first.peers().first?.trusted == true)
        flock.stop("first")
      }
      let first = try Served(flock, "first")
      #expect(first.token == token)
      let rules = try first.rules()
      #expect(rules.bans.map(\.subject) == ["203.0.113.0/24"] && rules.bans[0].until == nil)
      #expect(rules.trusted == [second.node.peerID.description])
      #expect(rules.mustKeep == [try second.address()])
      try waitUntil("the kept peer is linked without any configuration") { try first.isLinked(to: second) }
      #expect(try first.peers().first?.reason == "must-keep")
      #expect(try first.story(second.node.peerID.description).present.contains { $0.contains("Trusted by an operator") })
      #expect(try first.delete("/trusted/\(second.node.peerID)").result == "distrusted")
      #expect(first.refusal { try first.delete("/trusted/\(second.node.peerID)") } == "404 not_trusted")
      #expect(try first.delete("/peers/\(second.node.peerID)").wasMustKeep == true)
      #expect(try first.rules().mustKeep.isEmpty)
    }
  }

  @Test func theBookIsShownAndFilled() async throws {
    try await Self.withFlock { flock in
      let (first, second) = (try Served(flock, "first"), try Served(flock, "second"))
      _ = try first.post("/peers", AddPeerRequest(address: try second.address()))
      try waitUntil("the two are linked") { try first.isLinked(to: second) }
      let entries = (0..<50).map { ImportRequest.Entry(address: "/ip4/20.\($0).0.1/tcp/4001") }
      let imported = try first.post("/book", ImportRequest(entries: entries + [.init(address: "/ip4/0.0.0.0/tcp/1")]))
      // Where two of them belong to one place, which is seldom, the first one has it.
      let added = try #require(imported.added)
      #expect(added >= 45 && imported.known == 0 && imported.refused == 51 - added, "\(imported)")
      #expect(try first.post("/book", ImportRequest(entries: entries)).known == added)

      let book: BookResponse = try first.client.get(Self.prefix + "/book")
      #expect(book.tried.places == 1 && book.new.places >= added && book.anchors == [second.node.peerID.description], "\(book)")
      #expect(book.groups == added + 1 && book.largestGroups.count == 10 && book.largestGroups.allSatisfy { $0.addresses == 1 })
      var listed: [BookEntriesResponse.Entry] = []
      var start: Int? = 0
      while let from = start {
        let page: BookEntriesResponse = try first.client.get(Self.prefix + "/book/entries?from=\(from)&limit=7")
        listed += page.entries
        start = page.next
      }
      #expect(listed.count == book.addresses && Set(listed.map(\.address)).count == listed.count)
      let tried = try #require(listed.first { $0.table == "tried" })
      #expect(tried.peer == second.node.peerID.description && tried.succeeded != nil && tried.failures == 0)
      #expect(listed.filter { $0.table == "new" && $0.succeeded == nil }.count >= added)
      #expect(
        first.refusal { try first.post("/book", ImportRequest(entries: [.init(peer: "x", address: "/ip4/1.2.3.4/tcp/1")])) }
          == "400 bad_entry")
      let address = "/ip4/1.2.3.4/tcp/1/p2p/\(second.node.peerID)"
      for peer in [first.node.peerID, second.node.peerID] {
        let request = ImportRequest(entries: [.init(peer: peer.description, address: address)])
        let refusal = first.refusal { try first.post("/book", request) }
        #expect((refusal == "400 bad_entry") == (peer != second.node.peerID), "\(refusal)")
      }
      for limit in ["0", "-1", "1001", "x"] {
        let answer = try first.client.request("GET", Self.prefix + "/book/entries?limit=\(limit)")
        #expect(answer.status == 400, "limit=\(limit)")
      }
      let many = ImportRequest(entries: Array(repeating: .init(address: "/ip4/20.0.0.1/tcp/1"), count: ImportRequest.entriesMaximum + 1))
      #expect(first.refusal { try first.post("/book", many) } == "400 too_many_entries")
    }
  }

  // MARK: Who may

  @Test func commandsNeedTheTokenAndTheRightOrigin() async throws {
    try await Self.withFlock { flock in
      let first = try Served(flock, "first")
      let file = flock.folder + "/first/admin.token"
      let mode = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions] as? NSNumber
      #expect(mode?.intValue == 0o600 && first.token.count == 64)
      let port = first.node.httpPort!
      let calls = [
        ("POST", "/peers", "{\"address\":\"/ip4/127.0.0.1/tcp/9\"}"), ("POST", "/bans", "{\"subject\":\"10.0.0.0/8\"}"),
        ("POST", "/trusted", "{\"peer\":\"12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5\"}"), ("POST", "/book", "{\"entries\":[]}"),
        ("DELETE", "/peers/x", ""), ("DELETE", "/bans/10.0.0.0%2F8", ""), ("DELETE", "/trusted/x", ""),
      ]
      for (method, path, body) in calls {
        func status(_ token: String?) throws -> Int {
          try HTTPClient("http://127.0.0.1:\(port)", token: token, timeout: patience).request(
            method, Self.prefix + path, body: body.isEmpty ? nil : Array(body.utf8)
          )
          .status
        }
        #expect(try status(nil) == 401, "\(method) \(path)")
        #expect(try status(String(first.token.dropLast())) == 401, "\(method) \(path)")
        #expect(try status(first.token.replacing(first.token.prefix(1), with: first.token.hasPrefix("0") ? "1" : "0")) == 401)
        #expect(try status(first.token) != 401, "\(method) \(path)")
      }
      let rules = try first.rules()
      #expect(rules.bans.isEmpty && rules.trusted.count == 1, "only the right token changed anything, and its ban was lifted again")

      // A page cannot have the token; where it has, its origin still tells.
      func answer(_ fields: String) throws -> String { try Self.raw(port, "DELETE /api/v1/node/bans/10.0.0.0%2F8 HTTP/1.1\r\n\(fields)") }
      let bearer = "Authorization: Bearer \(first.token)\r\n"
      #expect(try answer("Host: 127.0.0.1:\(port)\r\nOrigin: https://evil.example\r\n" + bearer).contains("origin_not_allowed"))
      #expect(try answer("Host: 127.0.0.1:\(port)\r\nOrigin: null\r\n" + bearer).contains("origin_not_allowed"))
      #expect(try answer("Host: evil.example\r\n" + bearer).contains("host_not_allowed"))
      #expect(try answer("Host: 127.0.0.1:\(port)\r\nOrigin: http://127.0.0.1:\(port)\r\n" + bearer).contains("not_banned"))
    }
  }

  @Test(
    arguments: [
      ("/bans", "{\"subject\":\"10.0.0.0/8\",\"second\":5}", "400 bad_json"), ("/bans", "{\"subject\":\"10.0.0.0/99\"}", "400 bad_subject"),
      ("/bans", "{\"subject\":\"10.0.0.0/8\",\"seconds\":0}", "400 bad_seconds"), ("/bans", "{}", "400 bad_json"),
      ("/bans", "{\"subject\":\"10.0.0.0/8\",\"seconds\":99999999999999999999}", "400 bad_json"),
      ("/bans", "{\"subject\":\"\"}", "400 bad_peer_id"),
      ("/bans", "{\"subject\":\"10.0.0.0/8\",\"reason\":\"\(String(repeating: "é", count: 101))\"}", "400 bad_reason"),
      ("/trusted", "{\"peer\":\"zz\"}", "404 unknown_peer"), ("/trusted", "[]", "400 bad_json"),
      ("/peers", "{\"address\":7}", "400 bad_json"),
      ("/peers", "{\"address\":\"/ip4/127.0.0.1/tcp/9\",\"kepp\":true}", "400 bad_json"), ("/book", "not JSON", "400 bad_json"),
    ] as [(String, String, String)]) func badBodiesAreRefused(path: String, body: String, expected: String) async throws
  {
    try await Self.withFlock { flock in
      let first = try Served(flock, "first")
      let answer = try first.client.request("POST", Self.prefix + path, body: Array(body.utf8))
      let failure = try JSONDecoder().decode(FailureEnvelope.self, from: Data(answer.body))
      #expect("\(answer.status) \(failure.error.code)" == expected, "\(failure)")
      #expect(try first.rules() == RulesResponse(bans: [], trusted: [], mustKeep: []))
    }
  }

  @Test func aTokenThatOthersCanReadIsReported() async throws {
    try await Self.withFlock { flock in
      let token = String(repeating: "t", count: 20)
      for (name, text, mode) in [("open", token, 0o644), ("closed", token, 0o600), ("short", "abc", 0o600)] {
        try FileManager.default.createDirectory(atPath: flock.folder + "/" + name, withIntermediateDirectories: true)
        let file = flock.folder + "/" + name + "/admin.token"
        #expect(FileManager.default.createFile(atPath: file, contents: Data((text + "\n").utf8), attributes: [.posixPermissions: mode]))
      }
      #expect(try Served(flock, "open").token == token)
      #expect(flock.log("open").contains("others can read the admin token"))
      _ = try Served(flock, "closed")
      #expect(!flock.log("closed").contains("others can read"))
      #expect(throws: KeyFile.Failure.self) { try Served(flock, "short") }
      // What the configuration says comes first, and no file is made then.
      let node = try flock.start("configured") {
        $0.httpEnabled = true
        $0.httpPort = 0
        $0.adminToken = token
      }
      #expect(!FileManager.default.fileExists(atPath: flock.folder + "/configured/admin.token"))
      let client = try HTTPClient("http://127.0.0.1:\(node.httpPort!)", token: token, timeout: patience)
      let answer: OperationResponse = try client.post(Self.prefix + "/bans", BanRequest(subject: "10.0.0.1"))
      #expect(answer.result == "banned")
    }
  }

  /// Sends a request as it is and returns the whole answer.
  private static func raw(_ port: UInt16, _ head: String) throws -> String {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var timeout = timeval(tv_sec: Int(patience.components.seconds), tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    let status = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    guard status == 0 else { throw Missing("no connection") }
    let request = Array((head + "Connection: close\r\n\r\n").utf8)
    guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else { throw Missing("not sent") }
    var answer: [UInt8] = []
    var part = [UInt8](repeating: 0, count: 4_096)
    while true {
      let count = recv(descriptor, &part, part.count, 0)
      if count <= 0 { return String(decoding: answer, as: UTF8.self) }
      answer += part[..<count]
    }
  }
}
