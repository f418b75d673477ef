import Foundation
import TestKit

/// A TCP client that sends bytes as they are and reads HTTP answers.
final class RawClient {
  struct Answer {
    var status = 0
    var headers: [String: String] = [:]
    var body = ""
    var json: [String: Any] { (try? JSONSerialization.jsonObject(with: Data(body.utf8))) as? [String: Any] ?? [:] }
    var errorCode: String? { (json["error"] as? [String: Any])?["code"] as? String }
  }

  private let descriptor: Int32
  private var buffer: [UInt8] = []

  /// - Parameter last: the last byte of the loopback address that it comes from.
  init?(port: UInt16, from last: UInt8 = 1) {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var timeout = timeval(tv_sec: Int(patience.components.seconds), tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    let fd = descriptor
    if last != 1 {
      address.sin_addr.s_addr = UInt32(0x7f00_0000 + UInt32(last)).bigEndian
      address.sin_port = 0
      let bound = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
      }
      guard bound else { return nil }
      address.sin_port = port.bigEndian
    }
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let connected = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0 }
    }
    // The deinitialiser closes the socket here too.
    guard connected else { return nil }
  }

  deinit { close(descriptor) }

  @discardableResult func write(_ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if count <= 0 { return false }
      sent += count
    }
    return true
  }

  @discardableResult func write(_ text: String) -> Bool { write(Array(text.utf8)) }

  /// Everything up to the first `marker`, marker included; `nil` at the end of the connection.
  func read(through marker: String) -> String? {
    let wanted = Array(marker.utf8)
    while true {
      if let range = buffer.firstRange(of: wanted) {
        let text = String(decoding: buffer[..<range.upperBound], as: UTF8.self)
        buffer.removeSubrange(..<range.upperBound)
        return text
      }
      guard fill() else { return nil }
    }
  }

  /// The next answer; `nil` when the connection ends first. `bodyless` for HEAD.
  func answer(bodyless: Bool = false) -> Answer? {
    guard let head = read(through: "\r\n\r\n") else { return nil }
    var answer = Answer()
    let lines = head.components(separatedBy: "\r\n")
    answer.status = Int(lines[0].split(separator: " ").dropFirst().first ?? "") ?? 0
    for line in lines.dropFirst() {
      let parts = line.split(separator: ":", maxSplits: 1)
      if parts.count == 2 { answer.headers[parts[0].lowercased()] = parts[1].trimmingCharacters(in: .whitespaces) }
    }
    let length = bodyless || answer.status == 100 || answer.status == 204 ? 0 : Int(answer.headers["content-length"] ?? "") ?? 0
    while buffer.count < length { guard fill() else { return nil } }
    answer.body = String(decoding: buffer.prefix(length), as: UTF8.self)
    buffer.removeFirst(length)
    return answer
  }

  /// Sends no more.
  func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// Whether the server closes the connection.
  func ends() -> Bool {
    while fill() {}
    return errno != EAGAIN
  }

  private func fill() -> Bool {
    var chunk = [UInt8](repeating: 0, count: 65_536)
    errno = 0
    let count = recv(descriptor, &chunk, chunk.count, 0)
    guard count > 0 else { return false }
    buffer.append(contentsOf: chunk[..<count])
    return true
  }
}

extension RawClient {
  static func get(_ port: UInt16, _ target: String, method: String = "GET", headers: String = "") -> Answer? {
    let client = RawClient(port: port)
    client?.write("\(method) \(target) HTTP/1.1\r\nHost: localhost\r\n\(headers)\r\n")
    return client?.answer(bodyless: method == "HEAD")
  }

  static func exchange(_ port: UInt16, _ request: String) -> Answer? {
    let client = RawClient(port: port)
    client?.write(request)
    return client?.answer()
  }

  static func post(_ port: UInt16, _ target: String, _ body: String, type: String? = "application/json", headers: String = "") -> Answer? {
    let client = RawClient(port: port)
    let field = type.map { "Content-Type: \($0)\r\n" } ?? ""
    client?.write("POST \(target) HTTP/1.1\r\nHost: localhost\r\n\(field)Content-Length: \(body.utf8.count)\r\n\(headers)\r\n\(body)")
    return client?.answer()
  }
}
