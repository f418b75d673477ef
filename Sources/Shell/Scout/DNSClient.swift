import CResolv
import Discovery
import Identity
import Wire

/// Asks the DNS through the system's resolver. Blocks; for worker threads.
struct DNSClient: Sendable {
  /// The name server to ask in place of those of `/etc/resolv.conf`: an IPv4 address and a port.
  var server: (ip: String, port: UInt16)?

  /// Answers one of discovery's questions.
  func answer(_ question: NameFinder.Question) -> NameFinder.Answer {
    switch question {
    case .texts(let name):
      switch records(name.description, .txt) {
      case .failure(let fault): return .failure(fault.text)
      case .success(let records):
        // The strings of one record belong together (RFC 7208 §3.3 says it for one use, dnsaddr follows it).
        return .texts(
          records.compactMap { if case .texts(let parts) = $0 { String(decoding: parts.joined(), as: UTF8.self) } else { nil } })
      }
    case .addresses(let host):
      let answers = [records(host, .a), records(host, .aaaa)]
      var addresses: [IPAddress] = []
      for case .success(let records) in answers {
        for case .address(let address) in records where !addresses.contains(address) { addresses.append(address) }
      }
      if addresses.isEmpty, case .failure(let fault) = answers[0] { return .failure(fault.text) }
      return .addresses(addresses)
    }
  }

  private struct Fault: Error {
    let text: String
  }

  private func records(_ name: String, _ kind: DNSMessage.Kind) -> Result<[DNSMessage.Data], Fault> {
    var bytes = [UInt8](repeating: 0, count: Self.answerBytes)
    var error: Int32 = 0
    let length = starling_resolve(name, Int32(kind.rawValue), server?.ip, server?.port ?? 0, &bytes, Int32(bytes.count), &error)
    guard length >= 0 else { return .failure(Fault(text: Self.text(error, kind))) }
    guard length <= bytes.count else { return .failure(Fault(text: "an answer of \(length) bytes")) }
    do throws(DNSError) {
      let message = try DNSMessage(encoded: Array(bytes[..<Int(length)]).rawSpan)
      let wanted = DNSName(name).map { message.answers(to: $0, kind) } ?? []
      return wanted.isEmpty ? .failure(Fault(text: Self.text(NO_DATA, kind))) : .success(wanted)
    } catch {
      return .failure(Fault(text: "an answer that cannot be read (\(error))"))
    }
  }

  private static func text(_ error: Int32, _ kind: DNSMessage.Kind) -> String {
    switch error {
    case HOST_NOT_FOUND: "there is no such name"
    case TRY_AGAIN: "no name server answers"
    case NO_DATA: "the name has no \(kind == .txt ? "TXT" : "A or AAAA") records"
    default: "the name server refuses"
    }
  }

  /// The most that a DNS message can have.
  private static let answerBytes = 65_535
}
