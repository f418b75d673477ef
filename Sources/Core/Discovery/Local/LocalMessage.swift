import Identity
import Wire

/// What libp2p peers say to each other over multicast DNS (libp2p/specs `discovery/mdns.md`).
enum LocalMessage {
  /// The service's name: `_p2p._udp.local`.
  static let service = DNSName("_p2p._udp.local")!
  /// The question for all kinds of service (RFC 6763 §9).
  static let services = DNSName("_services._dns-sd._udp.local")!
  /// The most bytes of a message, so that it fits into one frame of a network (RFC 6762 §17).
  static let bytesMaximum = 1_400
  /// The most addresses that are taken from one message.
  static let addressesMaximum = 64

  /// The question for peers.
  static var query: [UInt8] {
    var message = DNSMessage()
    message.questions = [.init(service, .ptr)]
    return message.encoded
  }

  /// The answer to the question for all kinds of service.
  static func serviceAnswer(lifetimeSeconds: UInt32) -> [UInt8] {
    var message = DNSMessage()
    message.isResponse = true
    message.answers = [.init(services, .pointer(service), lifetimeSeconds: lifetimeSeconds)]
    return message.encoded
  }

  /// A peer's answer: the pointer to its name, and as additional records the TXT with its addresses, and the SRV, A and AAAA that DNS-SD
  /// asks for (RFC 6763 §6) and without which some libraries pass a service over. Addresses that do not fit are left out. A lifetime
  /// of 0 takes it back. `nil` without an address that can be told.
  static func answer(name: String, peer: PeerID, addresses: [Multiaddr], lifetimeSeconds: UInt32) -> [UInt8]? {
    guard let host = DNSName(name + ".local"), let instance = DNSName(labels: [Array(name.utf8)] + service.labels) else { return nil }
    let told = addresses.filter { $0.isDialable && $0.ipAddress != nil && text($0, peer).count <= 255 }
    guard let port = told.first?.tcpPort else { return nil }
    var message = DNSMessage()
    message.isResponse = true
    message.answers = [.init(service, .pointer(instance), lifetimeSeconds: lifetimeSeconds)]
    for count in stride(from: told.count, to: 0, by: -1) {
      var ips: [IPAddress] = []
      for ip in told.prefix(count).compactMap(\.ipAddress) where !ips.contains(ip) { ips.append(ip) }
      message.additionals =
        [
          .init(instance, .texts(told.prefix(count).map { text($0, peer) }), lifetimeSeconds: lifetimeSeconds, isUnique: true),
          .init(instance, .service(port: port, host: host), lifetimeSeconds: lifetimeSeconds, isUnique: true),
        ] + ips.map { .init(host, .address($0), lifetimeSeconds: lifetimeSeconds, isUnique: true) }
      let bytes = message.encoded
      if bytes.count <= bytesMaximum { return bytes }
    }
    return nil
  }

  private static func text(_ address: Multiaddr, _ peer: PeerID) -> [UInt8] { Array("dnsaddr=\(address.withPeerID(peer))".utf8) }

  /// Whether a message asks for peers.
  static func asksForPeers(_ message: DNSMessage) -> Bool {
    !message.isResponse && message.questions.contains { $0.name == service && $0.asks(for: .ptr) }
  }

  /// Whether a message asks for all kinds of service.
  static func asksForServices(_ message: DNSMessage) -> Bool {
    !message.isResponse && message.questions.contains { $0.name == services && $0.asks(for: .ptr) }
  }

  /// The addresses that an answer tells, each with its peer; what cannot be read, dialled or has no PeerID is passed over.
  static func addresses(_ message: DNSMessage) -> [PeerAddress] {
    guard message.isResponse else { return [] }
    var found: [PeerAddress] = []
    for record in message.answers + message.additionals where record.name.isWithin(service) && record.lifetimeSeconds > 0 {
      guard case .texts(let texts) = record.data else { continue }
      for text in texts where found.count < addressesMaximum {
        // py-libp2p numbers them from the second on: dnsaddr2=…
        let parts = text.split(separator: UInt8(ascii: "="), maxSplits: 1)
        guard parts.count == 2, parts[0].starts(with: Array("dnsaddr".utf8)),
          let address = try? Multiaddr(String(decoding: parts[1], as: UTF8.self)), address.isDialable, address.ipAddress != nil,
          let peer = address.peerID
        else { continue }
        found.append(PeerAddress(peer: peer, address: address.withoutPeerID))
      }
    }
    return found
  }
}
