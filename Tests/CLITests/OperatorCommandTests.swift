import Foundation
import TestKit
import Testing

/// `starling peers`, `peer`, `explain` and `book` against real nodes of the program.
@Suite("Operators' commands") struct OperatorCommandTests {
  /// A node of a chain without a running producer.
  private struct Operated {
    let process: RunningNode
    let api: String
    let address: String
    let peerID: String
    let data: String

    init(_ name: String, in folder: Folder, _ options: [String] = []) async throws {
      data = "data-\(name)"
      process = try RunningNode(
        [
          "--data-dir", data, "--genesis", "genesis.json", "--listen", "/ip4/127.0.0.1/tcp/0", "--http-port", "0", "--allow-loopback",
          "--json",
        ] + options, in: folder, errors: try folder.file("\(name).log"))
      let line = try #require(try await process.line())
      let ready = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      api = try #require(ready["api"] as? String)
      address = try #require((ready["addresses"] as? [String])?.first)
      peerID = try #require(ready["peer_id"] as? String)
    }

    func run(_ words: [String], in folder: Folder, token: Bool = true) async throws -> Outcome {
      try await Starling.run(words + ["--api", api] + (token ? ["--data-dir", data] : []), in: folder)
    }

    func end() async throws -> Int32 {
      kill(process.process.processIdentifier, SIGTERM)
      return try await process.end()
    }
  }

  private func pair(in folder: Folder, _ options: [String] = [], others: [String]? = nil) async throws -> (Operated, Operated) {
    let address = String(repeating: "ab", count: 32)
    _ = try await Starling.run(["genesis", "--chain-id", "demo", "--authority", address], in: folder)
    return try await (Operated("first", in: folder, options), Operated("second", in: folder, others ?? options))
  }

  /// Runs a command again and again until its output is as wanted.
  private func until(_ what: String, _ run: () async throws -> Outcome, _ condition: (Outcome) -> Bool) async throws -> Outcome {
    try await eventually(what, try await run(), is: condition)
  }

  @Test("a peer is added, explained, banned, let in again, trusted and dropped")
  func peer() async throws {
    let folder = try Folder()
    let (first, second) = try await pair(in: folder)
    let without = try await first.run(["peer", "add", second.address], in: folder, token: false)
    #expect(without.status == 1 && without.errors.contains("starling-data/admin.token") && without.errors.contains("--data-dir"))
    let added = try await first.run(["peer", "add", second.address, "--keep", "--json"], in: folder)
    #expect(added.status == 0 && added.json["result"] as? String == "dialling", "\(added.errors)")
    let list = { try await Starling.run(["peers", "--api", first.api], in: folder) }
    let linked = try await until("linked", list) { $0.output.contains("active") }
    for part in [second.peerID, "out  ", "must-keep", "127.0.0.0/16", "SCORE", "WHY"] {
      #expect(linked.output.contains(part), "\(part) in\n\(linked.output)")
    }

    let prefix = String(second.peerID.prefix(20))
    let story = try await Starling.run(["explain", prefix, "--api", first.api], in: folder)
    #expect(
      story.status == 0 && story.output.contains("an operator wants it kept") && story.output.hasPrefix(second.peerID), "\(story.output)")
    // Some beginnings are names of their own, as far as their form goes.
    for length in [9, 10, 11, 12, 13, 14, 45] {
      let found = try await Starling.run(["explain", String(second.peerID.prefix(length)), "--api", first.api], in: folder)
      #expect(found.output.hasPrefix(second.peerID + "\n"), "\(length): \(found.output)\(found.errors)")
    }
    let short = "\(second.peerID.prefix(4))…\(second.peerID.suffix(6))"
    let steps = try await Starling.run(["explain", short, "--json", "--api", first.api], in: folder)
    #expect(
      (steps.json["steps"] as? [[String: Any]])?.contains { $0["kind"] as? String == "active" } == true, "\(steps.output)\(steps.errors)")

    let ban = try await first.run(["peer", "ban", prefix, "--for", "1h", "--reason", "tested"], in: folder)
    #expect(ban.status == 0 && ban.output == "Banned for 1 h; links and dials ended: 1.\n", "\(ban.output)\(ban.errors)")
    let rules = try await Starling.run(["peer", "rules", "--api", first.api], in: folder)
    #expect(rules.output.contains("Banned   \(second.peerID) for another 5") && rules.output.contains("by an operator: tested"))
    #expect(rules.output.contains("Kept     \(second.address)"))
    let told = { try await Starling.run(["explain", first.peerID, "--api", second.api], in: folder) }
    _ = try await until("the other end knows why", told) { $0.output.contains("closed by the remote: banned (it says: \"tested\")") }
    let again = try await first.run(["peer", "add", second.address], in: folder)
    #expect(again.status == 1 && again.errors.contains("not dialled: banned (tested)"), "\(again.errors)")
    #expect(try await first.run(["peer", "unban", prefix], in: folder).output == "The ban is lifted.\n")
    _ = try await until("linked again", list) { $0.output.contains("active") }

    #expect(try await first.run(["peer", "trust", prefix], in: folder).output.hasPrefix("Trusted"))
    _ = try await until("shown as trusted", list) { $0.output.contains("must-keep, trusted") }
    #expect(try await first.run(["peer", "distrust", prefix], in: folder).status == 0)
    let twice = try await first.run(["peer", "distrust", prefix], in: folder)
    #expect(twice.status == 1 && twice.errors.contains("not trusted"))
    let dropped = try await first.run(["peer", "drop", prefix, "--json"], in: folder)
    #expect(dropped.json["links"] as? Int == 1 && dropped.json["was_must_keep"] as? Bool == true, "\(dropped.output)\(dropped.errors)")
    _ = try await until("the link has gone", list) { $0.output.hasPrefix("No peers") }
    #expect(try await first.end() == 0)
    #expect(try await second.end() == 0)
  }

  @Test("a search of the network finds a peer, and those who serve the chain")
  func find() async throws {
    let folder = try Folder()
    let (hub, second) = try await pair(in: folder)
    let nobody = try await hub.run(["find", "service", "blocks"], in: folder)
    #expect(nobody.status == 1 && nobody.errors.contains("no Kademlia server is known"), "\(nobody.output)\(nobody.errors)")
    _ = try await second.run(["peer", "add", hub.address], in: folder)
    let services = { try await hub.run(["find", "service", "blocks", "--json"], in: folder) }
    func peers(_ outcome: Outcome) -> [[String: Any]] { outcome.json["peers"] as? [[String: Any]] ?? [] }
    let served = try await until("the service is found", services) { !peers($0).isEmpty }
    #expect(peers(served)[0]["peer_id"] as? String == second.peerID && peers(served)[0]["linked"] as? Bool == true, "\(served.output)")
    #expect(served.json["complete"] as? Bool == true)

    // Links are few and by hand, so that the last one knows the hub alone.
    let third = try await Operated("third", in: folder, ["--min-outbound", "0", "--no-mdns"])
    _ = try await third.run(["peer", "add", hub.address], in: folder)
    let search = { try await third.run(["find", "peer", second.peerID], in: folder) }
    let found = try await until("the peer is found", search) { $0.status == 0 }
    #expect(found.output.hasPrefix(second.peerID) && found.output.contains(second.address.prefix { $0 != "p" }), "\(found.output)")
    let unknown = "12D3KooWQ4419vkbMjiHuQVGRgBvzVWqhRonEVLzaBGHUeYRY8Tf"
    let lost = try await third.run(["find", "peer", unknown], in: folder)
    #expect(lost.status == 1 && lost.output == "No peer that answered knows one.\n", "\(lost.output)\(lost.errors)")
    let odd = try await third.run(["find", "service", "a/b"], in: folder)
    #expect(odd.status == 1 && odd.errors.contains("a service's name must be 1 to 64 letters"), "\(odd.errors)")
    let barred = try await third.run(["find", "peer", unknown], in: folder, token: false)
    #expect(barred.status == 1 && barred.errors.contains("--data-dir"))
    for node in [hub, second, third] { #expect(try await node.end() == 0) }
  }

  @Test("a peer whose process stands still is found dead by its pongs, and comes back by itself")
  func frozen() async throws {
    let folder = try Folder()
    // Only the first gives a silent peer up soon. However slow this machine is, the second never closes a link.
    let (first, second) = try await pair(in: folder, ["--keep-alive", "1s", "--reconnection-interval", "1s"], others: [])
    _ = try await first.run(["peer", "add", second.address, "--keep"], in: folder)
    let list = { try await Starling.run(["peers", "--api", first.api], in: folder) }
    let story = { try await Starling.run(["explain", second.peerID, "--api", first.api], in: folder) }
    _ = try await until("linked, and the round trip is known", list) { $0.output.contains("active") && $0.output.contains(" ms ") }
    kill(second.process.process.processIdentifier, SIGSTOP)
    _ = try await until("given up", story) { $0.output.contains("keep-alive-timeout (3 pings unanswered") }
    #expect(try await !list().output.contains("active"))
    kill(second.process.process.processIdentifier, SIGCONT)
    _ = try await until("linked again", list) { $0.output.contains("active") }
    // What it had not read while it stood still does no harm now: it reads why, and itself closes nothing.
    let why = { try await Starling.run(["explain", first.peerID, "--api", second.api], in: folder) }
    let told = try await until("it has read why, and is linked again", why) { outcome in
      let end = outcome.output.range(of: "closed by the remote: keep-alive-timeout (it says: \"3 pings unanswered\")")
      return end.map { outcome.output[$0.upperBound...].contains("active") } ?? false
    }
    // Both may have dialled at one moment: of two links one goes.
    let ends = told.output.split(separator: "\n").filter {
      $0.contains("closed by this side") && !$0.contains("duplicate") && !$0.contains("replaced")
    }
    #expect(ends.isEmpty, "\(told.output)")
    #expect(try await first.end() == 0)
    #expect(try await second.end() == 0)
  }

  @Test("when all peers fall silent at once nobody is blamed, and the links are there when they are back")
  func silence() async throws {
    let folder = try Folder()
    // What follows has to be seen between the third and the tenth missed ping.
    let (first, second) = try await pair(in: folder, ["--keep-alive", "4s"], others: [])
    var others = [second]
    for number in 3...6 { others.append(try await Operated("peer\(number)", in: folder)) }
    for other in others { _ = try await other.run(["peer", "add", first.address, "--keep"], in: folder) }
    func active(_ outcome: Outcome) -> Int { outcome.output.components(separatedBy: " active ").count - 1 }
    let list = { try await Starling.run(["peers", "--api", first.api], in: folder) }
    _ = try await until("all are linked", list) { active($0) >= 5 }
    for other in others { kill(other.process.process.processIdentifier, SIGSTOP) }
    // One alone would be closed now.
    try await eventually("the first has missed three pings of most") { try folder.text("first.log").contains("most peers are silent") }
    let during = try await list()
    #expect(active(during) >= 4, "\(during.output)")
    for other in others { kill(other.process.process.processIdentifier, SIGCONT) }
    for other in others {
      let story = { try await Starling.run(["explain", other.peerID, "--api", first.api], in: folder) }
      let told = try await until("it is linked", story) { $0.output.contains("Linked (") }
      #expect(!told.output.contains("Score"), "\(told.output)")
    }
    for node in others + [first] { #expect(try await node.end() == 0) }
  }

  @Test("the book is inspected, exported and imported, of a node that runs and of one that does not")
  func book() async throws {
    let folder = try Folder()
    let (first, second) = try await pair(in: folder)
    _ = try await first.run(["peer", "add", second.address], in: folder)
    let inspect = { try await Starling.run(["book", "inspect", "--json", "--api", first.api], in: folder) }
    _ = try await until("the second is tried", inspect) { ($0.json["tried"] as? [String: Any])?["places"] as? Int == 1 }
    let running = try await Starling.run(["book", "inspect", "--stopped", first.data], in: folder)
    #expect(running.status == 1 && running.errors.contains("data-first"), "a store has one user: \(running.errors)")
    let export = try await Starling.run(["book", "export", "--api", first.api], in: folder)
    #expect(export.status == 0 && export.output.split(separator: "\n").count == 1)
    #expect(export.json["peer"] as? String == second.peerID && export.json["table"] as? String == "tried", "\(export.output)")
    #expect(try await first.end() == 0)

    let text = try await Starling.run(["book", "inspect", "--stopped", first.data], in: folder)
    #expect(text.status == 0 && text.output.contains("1 place taken, in 1 of 256 buckets") && text.output.contains(second.peerID))
    let stopped = try await Starling.run(["book", "export", "--stopped", first.data], in: folder)
    #expect(stopped.json["address"] as? String == export.json["address"] as? String, "\(stopped.output)\(stopped.errors)")
    #expect(
      try await Starling.run(["book", "inspect", "--stopped", "nowhere"], in: folder).errors.contains(
        "nowhere does not hold the peer book of a node"))

    let third = try await Operated("third", in: folder)
    try folder.write(stopped.output + "\n{\"address\":\"/ip4/127.0.0.1/tcp/9\"}\n", to: "book.jsonl")
    let imported = try await third.run(["book", "import", "book.jsonl", "--json"], in: folder)
    #expect(imported.json["added"] as? Int == 2, "\(imported.output)\(imported.errors)")
    // As hearsay it is dialled, and tried only once it has answered.
    let list = { try await Starling.run(["peers", "--json", "--api", third.api], in: folder) }
    let linked = try await until("the imported peer is dialled", list) { $0.output.contains("\"state\":\"active\"") }
    #expect(linked.output.contains("\"reason\":\"heard\""), "\(linked.output)")
    try folder.write("{\"address\":\"/ip4/127.0.0.1/tcp/9\"}\n[]\n", to: "bad.jsonl")
    let bad = try await third.run(["book", "import", "bad.jsonl"], in: folder)
    #expect(bad.status == 1 && bad.errors.contains("bad.jsonl:2") && bad.errors.contains("nothing was imported"), "\(bad.errors)")
    #expect(try await third.end() == 0)
    #expect(try await second.end() == 0)
  }

  @Test(
    "a wrong call is refused before anything is asked",
    arguments: [
      (["peer"], "a command is missing"), (["peer", "bann", "x"], "did you mean ban?"), (["peer", "ban"], "PEER|CIDR is missing"),
      (["peer", "ban", "x", "--for", "0s"], "must be between 1s and 3650d, not '0s'"),
      (["peer", "ban", "x", "--for", "9999d"], "must be between 1s and 3650d"),
      (["peer", "ban", "x", "--reason", String(repeating: "x", count: 201)], "at most 200 bytes"), (["explain"], "PEER is missing"),
      (["book", "import"], "FILE is missing"),
    ] as [([String], String)])
  func wrongCall(_ words: [String], _ expected: String) async throws {
    let outcome = try await Starling.run(words, in: Folder())
    #expect(outcome.status == 64 && outcome.errors.contains(expected), "\(outcome.errors)")
  }

  @Test("on a terminal the list is live until q, and gives the terminal back")
  func live() async throws {
    let folder = try Folder()
    let (first, second) = try await pair(in: folder)
    let terminal = try Terminal(["peers", "--api", first.api], in: folder)
    try await terminal.shows("0 active")
    _ = try await first.run(["peer", "add", second.address], in: folder)
    try await terminal.shows("1 active")  // it is drawn again
    try await terminal.shows("out  ")
    #expect(!terminal.echoes, "keys are not shown")
    #expect(try await second.end() == 0)
    try await terminal.shows("0 active · q ends")
    #expect(try await first.end() == 0)
    try await terminal.shows("connection refused")  // a node that is gone is told, and waited for
    terminal.type("q")
    #expect(try await terminal.end() == 0)
    #expect(terminal.echoes, "the echo is back")
    try await eventually("the cursor is back") { terminal.text.hasSuffix("\u{1b}[?25h") }
    // Without the node there is nothing to begin with.
    let gone = try Terminal(["peers", "--api", first.api], in: folder)
    #expect(try await gone.end() == 1)
    #expect(gone.echoes)
  }

  @Test("Ctrl-C ends the live list", arguments: [SIGINT, SIGTERM])
  func interrupted(signal: Int32) async throws {
    let folder = try Folder()
    let (first, _) = try await pair(in: folder)
    let terminal = try Terminal(["peers", "--api", first.api], in: folder)
    try await terminal.shows("0 active")
    kill(terminal.process.processIdentifier, signal)
    #expect(try await terminal.end() == 0)
    #expect(terminal.echoes)
    let once = try Terminal(["peers", "--once", "--api", first.api], in: folder)
    #expect(try await once.end() == 0)
    try await eventually("the list is there: \(once.text)") { once.text.contains("No peers") }
  }
}

/// The program on a terminal of its own.
private final class Terminal: @unchecked Sendable {
  let process = Process()
  private let master: Int32
  private let slave: Int32
  private let lock = NSLock()
  private var seen = Data()

  init(_ arguments: [String], in folder: Folder) throws {
    // Linux's own calls (pts(4)); the portable ones are not imported.
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    var locked: Int32 = 0
    var number: UInt32 = 0
    let (unlock, getNumber): (UInt, UInt) = (0x4004_5431, 0x8004_5430)
    guard master >= 0, ioctl(master, unlock, &locked) == 0, ioctl(master, getNumber, &number) == 0 else { throw POSIXError(.ENXIO) }
    slave = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
    var size = winsize(ws_row: 30, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0)
    _ = ioctl(master, UInt(TIOCSWINSZ), &size)
    process.executableURL = Starling.executable
    process.arguments = arguments
    process.currentDirectoryURL = folder.url
    process.environment = ["TERM": "xterm", "NO_COLOR": "1"]
    let handle = FileHandle(fileDescriptor: slave, closeOnDealloc: false)
    process.standardInput = handle
    process.standardOutput = handle
    process.standardError = handle
    try process.start()
    Thread.detachNewThread { [self] in
      var part = [UInt8](repeating: 0, count: 65_536)
      while true {
        let count = read(master, &part, part.count)
        if count <= 0 { return }
        lock.withLock { seen += part[..<count] }
      }
    }
  }

  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    close(slave)
  }

  var text: String { lock.withLock { String(decoding: seen, as: UTF8.self) } }

  /// Whether what is typed is shown.
  var echoes: Bool {
    var settings = termios()
    return tcgetattr(slave, &settings) == 0 && settings.c_lflag & tcflag_t(ECHO | ICANON) == tcflag_t(ECHO | ICANON)
  }

  func type(_ keys: String) { _ = write(master, keys, keys.utf8.count) }

  /// Waits until the last frame holds a text.
  func shows(_ wanted: String) async throws {
    try await eventually("the terminal shows \(wanted):\n\(text.suffix(4_000))") {
      text.components(separatedBy: "\u{1b}[H").last?.contains(wanted) == true
    }
  }

  /// Its exit status, once it has ended.
  func end() async throws -> Int32 { try await process.end() }
}
