import Dispatch
import Foundation
import Wire

/// What clients may cost the server: requests by address, and bytes of long answers that are still to be sent or were never read, in all and
/// by address.
final class ClientAccounts: @unchecked Sendable {
  private struct Client {
    var requests: TokenBucket
    /// Bytes of long answers.
    var answers: Bytes
  }

  /// Bytes of long answers, beside those that there may be.
  private struct Bytes {
    /// Reserved for answers, or not sent yet.
    var held = 0
    /// What of those that there may be is not taken by answers which nobody read.
    var unread: TokenBucket

    /// Whether so many more may be held. A single answer may have more than there is room for when nothing else is to be sent.
    func hasRoom(_ bytes: Int, _ now: Instant) -> Bool {
      Double(held + bytes) <= unread.available(now: now) || held == 0 && unread.isFull(now: now)
    }
  }

  private let configuration: HTTPServer.Configuration
  private let lock = NSLock()
  private var clients: [String: Client] = [:]
  /// Of all clients.
  private var all: Bytes
  /// What answers that may be long have had of late, the longest most.
  private var expected = Exchange.shortBytes
  private var refused = (tooOften: UInt64(0), full: UInt64(0))

  init(_ configuration: HTTPServer.Configuration) {
    self.configuration = configuration
    all = Bytes(unread: Self.unread(configuration.forgivenBytesPerSecond, configuration.responseBytesMaximum, Self.now))
  }

  /// What becomes of a request.
  enum Admission {
    /// It is taken, and so many bytes are reserved for its answer until that is there.
    case taken(reserved: Int)
    /// The client asks too much.
    case tooOften
    /// Too many answers are still to be sent, or were not read.
    case full
  }

  /// Takes a request of a client that costs so much, or refuses it. One whose answer may be long needs room for what such answers have of late, so
  /// that hardly any is made in vain.
  func admit(_ name: String, cost: Double, mayBeLong: Bool) -> Admission {
    lock.withLock {
      let now = Self.now
      var client = clients[name] ?? newClient(now)
      let needed = mayBeLong ? expected : 0
      guard clients[name] != nil || makeRoom(now), client.answers.held < configuration.responseBytesPerAddressMaximum,
        !mayBeLong || client.answers.hasRoom(needed, now) && all.hasRoom(needed, now)
      else {
        refused.full += 1
        return .full
      }
      // What is dearer than all that can be saved is taken when everything is.
      let isPaid = client.requests.take(min(cost, client.requests.burst), now: now)
      if isPaid {
        client.answers.held += needed
        all.held += needed
      } else {
        refused.tooOften += 1
      }
      clients[name] = client
      return isPaid ? .taken(reserved: needed) : .tooOften
    }
  }

  /// An answer is there, of which so many bytes are kept until it is sent: they take the place of what was reserved for it. `false` when they find
  /// no room, and then nothing is kept. What is short needs none: the number of such answers is bounded by that of connections.
  func settle(_ reserved: Int, with bytes: Int, for name: String) -> Bool {
    let isShort = bytes <= Exchange.shortBytes
    if isShort && reserved == 0 { return true }
    return lock.withLock {
      expected = max(bytes, Exchange.shortBytes, expected - expected / 16)
      hold(-reserved, name)
      if isShort { return true }
      let now = Self.now
      guard let client = clients[name], client.answers.hasRoom(bytes, now), all.hasRoom(bytes, now) else {
        refused.full += 1
        return false
      }
      hold(bytes, name)
      return true
    }
  }

  /// A long answer is sent, or its client has gone without reading it; or what was reserved for one is not needed.
  func release(_ bytes: Int, for name: String, isRead: Bool) {
    lock.withLock {
      hold(-bytes, name)
      if isRead { return }
      let now = Self.now
      all.unread.spend(Double(bytes), now: now)
      clients[name]?.answers.unread.spend(Double(bytes), now: now)
    }
  }

  private func hold(_ bytes: Int, _ name: String) {
    all.held += bytes
    clients[name]?.answers.held += bytes
  }

  /// Charges a client for bytes of an answer.
  func charge(_ bytes: Int, to name: String) {
    lock.withLock { clients[name]?.requests.spend(Double(bytes / Self.bytesPerToken), now: Self.now) }
  }

  var use: HTTPServer.Use { lock.withLock { .init(heldBytes: all.held, tooOften: refused.tooOften, full: refused.full) } }

  private func newClient(_ now: Instant) -> Client {
    Client(
      requests: TokenBucket(rate: configuration.requestsPerSecond, burst: configuration.requestsAtOnce, now: now),
      answers: Bytes(
        unread: Self.unread(
          configuration.forgivenBytesPerSecond * Self.forgivenShare, configuration.responseBytesPerAddressMaximum, now)))
  }

  private static func unread(_ perSecond: Double, _ maximum: Int, _ now: Instant) -> TokenBucket {
    TokenBucket(rate: max(1, perSecond), burst: Double(max(1, maximum)), now: now)
  }

  /// Whether there is room for another client; those who have cost nothing of late are forgotten for it.
  private func makeRoom(_ now: Instant) -> Bool {
    if clients.count < Self.clientsMaximum { return true }
    clients = clients.filter {
      $0.value.answers.held > 0 || !$0.value.answers.unread.isFull(now: now) || !$0.value.requests.isFull(now: now)
    }
    return clients.count < Self.clientsMaximum
  }

  private static var now: Instant { Instant(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds)) }
  /// Bytes of answers that cost as much as a small request.
  static let bytesPerToken = 4_096
  private static let clientsMaximum = 4_096
  /// How much of what is forgiven in all one address is forgiven: several that read nothing leave others their room.
  private static let forgivenShare = 0.25
}
