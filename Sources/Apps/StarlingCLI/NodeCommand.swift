import EventLoop
import Foundation
import Node
import NodeCore

/// `starling node`
enum NodeCommand {
  private struct Ready: Encodable {
    let event = "ready"
    let peerID: String
    let addresses: [String]
    let api: String?

    enum CodingKeys: String, CodingKey {
      case event, addresses, api
      case peerID = "peer_id"
    }
  }

  static func run(_ call: ParsedCommand) throws -> Int32 {
    // Before any thread starts: threads inherit the mask, so the signals come to the wait below alone.
    let signals = SignalSet([SIGINT, SIGTERM, SIGHUP], keepsIgnored: true)
    signals.block()
    let environment = ProcessInfo.processInfo.environment
    let files = (environment["STARLING_CONFIG"].map { [$0] } ?? []) + call.all("config")
    let own = ["json", "until-stdin-closes"]
    func load() throws(ConfigurationError) -> NodeConfiguration {
      try NodeConfiguration.load(files: files, environment: environment, flags: call.options.filter { !own.contains($0.name) })
    }
    let configuration = try load()
    Platform.raiseDescriptorLimit()
    // Whoever reads what the node says may have stopped: that must hold up neither the node nor its end.
    defer { for writer in [LineWriter.standardOutput, .standardError] { writer.flush(within: .seconds(1)) } }
    let logger = Logger(level: configuration.logLevel, format: configuration.logFormat)
    let node = try Node(configuration: configuration, logger: logger)
    try node.start()
    ready(node, json: call.isOn("json"))
    if call.isOn("until-stdin-closes") { watchStandardInput() }
    while signals.wait() == SIGHUP {
      do throws(ConfigurationError) { node.reload(try load()) } catch {
        logger.error("node", "the configuration cannot be read again; nothing was changed", ["why": .text(error.description)])
      }
    }
    // From here on the signals have their own effect: a second one ends the process.
    signals.unblock()
    node.stop()
    return ExitStatus.success
  }

  private static func ready(_ node: Node, json: Bool) {
    let answered = DispatchSemaphore(value: 0)
    let answer = Box<[String]>([])
    node.ask(.info) { result in
      if case .info(let info) = result { answer.value = info.addresses.map { $0.withPeerID(info.peerID).description } }
      answered.signal()
    }
    _ = answered.wait(timeout: .now() + .seconds(5))
    let configuration = node.configuration
    let host = configuration.httpBind.contains(":") ? "[\(configuration.httpBind)]" : configuration.httpBind
    let ready = Ready(peerID: node.peerID.description, addresses: answer.value, api: node.httpPort.map { "http://\(host):\($0)" })
    let addresses = ready.addresses.isEmpty ? "no address" : ready.addresses.joined(separator: " ")
    let line = json ? Output.encoded(ready) : "Ready: \(ready.peerID) listens on \(addresses); API \(ready.api ?? "off")".printable()
    LineWriter.standardOutput.write(line + "\n") { _ in "" }
  }

  private static func watchStandardInput() {
    Thread.detachNewThread {
      var byte: UInt8 = 0
      while true {
        let count = read(STDIN_FILENO, &byte, 1)
        if count == 0 || (count < 0 && errno != EINTR) { break }
      }
      kill(getpid(), SIGTERM)
    }
  }
}

/// A value that another thread fills in before a semaphore is signalled.
final class Box<Value>: @unchecked Sendable {
  var value: Value
  init(_ value: Value) { self.value = value }
}

/// Signals that a thread waits for in place of their effects.
struct SignalSet {
  private let numbers: [Int32]
  private var set = sigset_t()

  /// - Parameter keepsIgnored: a hang-up or an interrupt that the process was started to ignore, as by `nohup` or as a job in a script's
  ///   background, stays ignored.
  init(_ numbers: [Int32], keepsIgnored: Bool = false) {
    let numbers = numbers.filter { !keepsIgnored || $0 == SIGTERM || !Self.isIgnored($0) }
    self.numbers = numbers
    sigemptyset(&set)
    for number in numbers { sigaddset(&set, number) }
  }

  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    sigaction(number, nil, &action)
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  /// Holds the signals back; threads that are started later do so too.
  func block() {
    var set = set
    // An ignored signal cannot be waited for.
    for number in numbers { signal(number, SIG_DFL) }
    pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  /// Gives the signals their effect back, on this thread.
  func unblock() {
    var set = set
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }

  /// The next signal.
  func wait() -> Int32 {
    var set = set
    var number: Int32 = 0
    while sigwait(&set, &number) != 0 {}
    return number
  }

  /// The next signal within a time; `nil` when none came.
  func wait(for time: Duration) -> Int32? {
    var set = set
    let nanoseconds = max(0, time.nanoseconds)
    var limit = timespec(tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    let number = sigtimedwait(&set, nil, &limit)
    return number > 0 ? number : nil
  }
}
