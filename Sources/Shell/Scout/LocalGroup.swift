import EventLoop

/// The group of multicast DNS on this host's interfaces. Used on its loop's thread only.
final class LocalGroup: MulticastDelegate, @unchecked Sendable {
  private let names: [String]
  private let received: ([UInt8]) -> Void
  private var group: MulticastGroup?
  /// What was told last, so that a lasting fault is told once.
  private var fault: String?

  /// - Parameters:
  ///   - names: the interfaces to use; empty for all but the loopback.
  ///   - received: called with each datagram.
  init(interfaces names: [String], received: @escaping ([UInt8]) -> Void) {
    self.names = names
    self.received = received
  }

  /// Sends a datagram on every interface that is there now. Returns what is wrong when that has changed.
  func send(_ bytes: [UInt8], on loop: EventLoop) -> String? {
    let fault = attempt(bytes, loop)
    defer { self.fault = fault }
    return fault == self.fault ? nil : fault
  }

  private func attempt(_ bytes: [UInt8], _ loop: EventLoop) -> String? {
    do {
      let group = try self.group ?? MulticastGroup(Self.address, on: loop, delegate: self)
      self.group = group
      // Interfaces come and go.
      let usable = try interfaces().filter {
        $0.address.family == .ipv4 && (names.isEmpty ? !$0.isInternal : names.contains($0.name))
      }
      for interface in group.interfaces where !usable.contains(interface) { group.leave(interface) }
      var faults: [String] = []
      for interface in usable {
        do { try group.join(interface) } catch { faults.append("\(error)") }
      }
      group.send(bytes)
      return group.interfaces.isEmpty ? faults.first ?? "no interface with an IPv4 address (mdns_interfaces)" : nil
    } catch {
      return "\(error)"
    }
  }

  func group(_ group: MulticastGroup, received bytes: UnsafeRawBufferPointer, from sender: SocketAddress) {
    // RFC 6762 §17 allows no longer message.
    if bytes.count <= 9_000 { received(Array(bytes)) }
  }

  /// RFC 6762 §3.
  private static let address = SocketAddress("224.0.0.251", port: 5_353)!
}
