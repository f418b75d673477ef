import Glibc

/// The two commands of Redis that a test plan needs, over a plain socket (RESP).
struct Redis {
  private let descriptor: Int32

  /// Connects to `HOST:PORT`, trying for up to `timeout` seconds, for the server may start later.
  init(_ address: String, timeout: Double) throws {
    guard let colon = address.lastIndex(of: ":") else { throw CommandError("redis_addr=\(address) is not HOST:PORT") }
    let host = String(address[..<colon])
    let port = String(address[address.index(after: colon)...])
    let deadline = ContinuousClock.now + .seconds(timeout)
    while true {
      if let descriptor = Redis.connect(host, port) {
        self.descriptor = descriptor
        return
      }
      guard ContinuousClock.now < deadline else { throw CommandError("no Redis at \(address)") }
      usleep(100_000)
    }
  }

  private static func connect(_ host: String, _ port: String) -> Int32? {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, port, &hints, &list) == 0 else { return nil }
    defer { freeaddrinfo(list) }
    var next = list
    while let entry = next {
      let descriptor = socket(entry.pointee.ai_family, entry.pointee.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), entry.pointee.ai_protocol)
      if descriptor >= 0 {
        if Glibc.connect(descriptor, entry.pointee.ai_addr, entry.pointee.ai_addrlen) == 0 { return descriptor }
        close(descriptor)
      }
      next = entry.pointee.ai_next
    }
    return nil
  }

  /// Sends a command and gives the texts of its answer; empty for a null.
  @discardableResult
  func ask(_ words: String...) throws -> [String] {
    var request = "*\(words.count)\r\n"
    for word in words { request += "$\(word.utf8.count)\r\n\(word)\r\n" }
    var bytes = Array(request.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      guard count > 0 else { throw CommandError("Redis has closed the connection") }
      bytes = bytes.dropFirst(count)
    }
    return try answer()
  }

  private func answer() throws -> [String] {
    let line = try readLine()
    let rest = String(line.dropFirst())
    switch line.first {
    case "-": throw CommandError("Redis: \(rest)")
    case "$":
      guard let count = Int(rest), count >= 0 else { return [] }
      let text = String(decoding: try read(count), as: UTF8.self)
      _ = try read(2)
      return [text]
    case "*":
      guard let count = Int(rest), count > 0 else { return [] }
      return try (0..<count).flatMap { _ in try answer() }
    default: return [rest]
    }
  }

  private func readLine() throws -> String {
    var line: [UInt8] = []
    while !line.suffix(2).elementsEqual([13, 10]) { line += try read(1) }
    return String(decoding: line.dropLast(2), as: UTF8.self)
  }

  private func read(_ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let part = bytes.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress! + done, count - done) }
      guard part > 0 else { throw CommandError("Redis has closed the connection") }
      done += part
    }
    return bytes
  }
}
