import HostCore
import NodeCore
import Wire

/// Every event in order, as a running hash and, when somebody reads it, as lines. Nothing in it differs from run to run.
struct Trace {
  /// What the simulator itself does to a node.
  enum Note: UInt64 {
    case started = 1
    case crashed, stopped, suspended, resumed, clockSet, diskFails, diskWorks, grouped, linkCut, partition, mended, flood, misbehaved,
      refuses, accepts
  }

  private var mixer = Mixer(seed: 0x7472_6163_6500)
  /// Takes each line.
  var sink: ((String) -> Void)?

  var hash: UInt64 { mixer.short }

  mutating func note(_ now: Instant, _ node: Int, _ note: Note, _ first: UInt64 = 0, _ second: UInt64 = 0) {
    mixer.add(UInt64(bitPattern: now.nanoseconds))
    mixer.add(UInt64(truncatingIfNeeded: node))
    mixer.add(note.rawValue)
    mixer.add(first)
    mixer.add(second)
    sink?("\(Trace.stamp(now)) n\(node) # \(note) \(first) \(second)")
  }

  mutating func input(_ now: Instant, _ node: Int, _ input: Core.Input) {
    mixer.add(UInt64(bitPattern: now.nanoseconds))
    mixer.add(UInt64(truncatingIfNeeded: node))
    let summary = InputSummary(input)
    mixer.add(summary.kind.rawValue)
    mixer.add(summary.link)
    mixer.add(UInt64(summary.stream))
    mixer.add(summary.bytes)
    sink?("\(Trace.stamp(now)) n\(node) \(summary.text)")
  }

  /// Seconds with nine places.
  static func stamp(_ time: Instant) -> String {
    let fraction = String(time.nanoseconds % 1_000_000_000)
    return "\(time.nanoseconds / 1_000_000_000)." + String(repeating: "0", count: 9 - fraction.count) + fraction
  }
}

/// What the trace keeps of an input.
struct InputSummary {
  enum Kind: UInt64 {
    case listening = 32
    case accepted, failed, established, closed, streamOpened, streamAccepted, message, streamFinished, streamEnded, writable, blocked,
      command
    case timer, clock, workDone, committed, commitFailed, query, discovered, notAccepted, workRefused, commitRefused, readDone, readRefused,
      overdrawn
  }

  let kind: Kind
  var link: UInt64 = 0
  var stream: UInt32 = 0
  var bytes: [UInt8] = []

  init(_ input: Core.Input) {
    switch input {
    case .host(let input): self.init(input)
    case .timer: self = InputSummary(kind: .timer)
    case .clock: self = InputSummary(kind: .clock)
    case .workDone(let id, _): self = InputSummary(kind: .workDone, link: id.rawValue)
    case .commitRefused(let id): self = InputSummary(kind: .commitRefused, link: id.rawValue)
    case .workRefused(let id): self = InputSummary(kind: .workRefused, link: id.rawValue)
    case .committed(let id): self = InputSummary(kind: .committed, link: id.rawValue)
    case .commitFailed(let id, _): self = InputSummary(kind: .commitFailed, link: id.rawValue)
    case .readDone(let id, _): self = InputSummary(kind: .readDone, link: id.rawValue)
    case .readRefused(let id): self = InputSummary(kind: .readRefused, link: id.rawValue)
    case .query(let id, .submit(let transaction)): self = InputSummary(kind: .query, link: id.rawValue, bytes: transaction)
    case .query(let id, _): self = InputSummary(kind: .query, link: id.rawValue)
    }
  }

  private init(_ input: HostCore.Input) {
    func of(_ kind: Kind, _ ref: StreamRef, _ bytes: [UInt8] = []) -> InputSummary {
      InputSummary(kind: kind, link: ref.connection.rawValue, stream: ref.stream.rawValue, bytes: bytes)
    }
    switch input {
    case .listening: self = InputSummary(kind: .listening)
    case .accepted(let id, let remote): self = InputSummary(kind: .accepted, link: id.rawValue, bytes: remote.bytes)
    case .failed(let id, let error): self = InputSummary(kind: .failed, link: id.rawValue, bytes: Array("\(error)".utf8))
    case .established(let id, let identity, _): self = InputSummary(kind: .established, link: id.rawValue, bytes: identity.peer.bytes)
    case .clock: self = InputSummary(kind: .clock)
    case .notAccepted: self = InputSummary(kind: .notAccepted)
    case .closed(let id, let error): self = InputSummary(kind: .closed, link: id.rawValue, bytes: Array("\(error)".utf8))
    case .overdrawn(let id): self = InputSummary(kind: .overdrawn, link: id.rawValue)
    case .streamOpened(let ref, let name, _): self = of(.streamOpened, ref, Array(name.name.utf8))
    case .streamAccepted(let ref, let name): self = of(.streamAccepted, ref, Array(name.name.utf8))
    case .message(let ref, let bytes, _): self = of(.message, ref, bytes)
    case .streamFinished(let ref): self = of(.streamFinished, ref)
    case .streamEnded(let ref, let error): self = of(.streamEnded, ref, error.map { Array("\($0)".utf8) } ?? [])
    case .writable(let ref): self = of(.writable, ref)
    case .blocked(let ref): self = of(.blocked, ref)
    case .discovered: self = InputSummary(kind: .discovered)
    case .command: self = InputSummary(kind: .command)
    case .timer: self = InputSummary(kind: .timer)
    }
  }

  private init(kind: Kind, link: UInt64 = 0, stream: UInt32 = 0, bytes: [UInt8] = []) {
    self.kind = kind
    self.link = link
    self.stream = stream
    self.bytes = bytes
  }

  var text: String {
    var line = "\(kind)"
    switch kind {
    case .workDone, .workRefused, .commitRefused, .committed, .commitFailed, .readDone, .readRefused, .query: line += " \(link)"
    default: if link != 0 { line += " \(link >> 63 == 1 ? "in" : "out")#\(link & ~(1 << 63))" }
    }
    if stream != 0 { line += "/\(stream & 0x8000_0000 == 0 ? "in" : "out")\(stream & 0x7fff_ffff)" }
    switch kind {
    case .streamOpened, .streamAccepted, .failed, .closed, .streamEnded: line += " " + String(decoding: bytes, as: UTF8.self)
    case .message, .query:
      var mixer = Mixer()
      mixer.add(bytes)
      line += " \(bytes.count) B " + String(mixer.short, radix: 16)
    default: break
    }
    return line
  }
}
