import Dispatch
import Foundation
import Wire

/// What clients may cost the server: requests by address, and bytes of long answers that are still to be sent or were never read, in all and
/// by address.
final class ClientAccounts: @unchecked Sendable {
  private struct Client {
    var bucket: TokenBucket
    /// Bytes of its answers that are not sent yet.
    var held = 0
  }

  private let configuration: HTTPServer.Configuration
  private let lock = NSLock()
  private var clients: [String: Client] = [:]
  private var held = 0
  /// Bytes of answers that their clients did not read.
  private var unread: TokenBucket
  /// What answers that may be long have had of late, the longest most.
  private var expected = Exchange.shortBytes
  private var refused = (tooOften: UInt64(0), full: UInt64(0))

  init(_ configuration: HTTPServer.Configuration) {
    self.configuration = configuration
    unread = TokenBucket(
      rate: max(1, configuration.forgivenBytesPerSecond), burst: Double(max(1, configuration.responseBytesMaximum)), now: Self.now)
  }

  /// What becomes of a request.
  enum Admission {
    /// It is taken, and so many bytes are reserved for its answer until that is there.
    case taken(reserved: Int)
    /// The client asks too much.
    case tooOften
    /// Too many answers are still to be sent.
    case full
  }

  /// Takes a request of a client that costs so much, or refuses it. One whose answer may be long needs room for what such answers have of late, so
  /// that hardly any is made in vain.
  func admit(_ client: String, cost: Double, mayBeLong: Bool) -> Admission {
    lock.withLock {
      let now = Self.now
      guard makeRoom(now) || clients[client] != nil else { return refuse(.full) }
      var account = clients[client] ?? Client(bucket: bucket(now))
      defer { clients[client] = account }
      let needed = mayBeLong ? expected : 0
      guard account.held < configuration.responseBytesPerAddressMaximum, !mayBeLong || hasRoom(needed, now) else { return refuse(.full) }
      // What is dearer than all that can be saved is taken when everything is.
      guard account.bucket.take(min(cost, account.bucket.burst), now: now) else { return refuse(.tooOften) }
      held += needed
      account.held += needed
      return .taken(reserved: needed)
    }
  }

  private func refuse(_ refusal: Admission) -> Admission {
    switch refusal {
    case .tooOften: refused.tooOften += 1
    case .full: refused.full += 1
    case .taken: break
    }
    return refusal
  }

  /// Whether so much more may be held. A single answer may have more than there is room for when nothing else is to be sent.
  private func hasRoom(_ bytes: Int, _ now: Instant) -> Bool {
    Double(held + bytes) <= unread.available(now: now) || held == 0 && unread.isFull(now: now)
  }

  /// Reserves room for a long answer until it is sent; `false` when there is none.
  func reserve(_ bytes: Int, for client: String) -> Bool {
    lock.withLock {
      guard var account = clients[client] else { return false }
      expected = max(bytes, expected - expected / 16)
      guard hasRoom(bytes, Self.now), account.held == 0 || account.held + bytes <= configuration.responseBytesPerAddressMaximum else {
        refused.full += 1
        return false
      }
      held += bytes
      account.held += bytes
      clients[client] = account
      return true
    }
  }

  /// Charges a client for bytes of an answer.
  func charge(_ bytes: Int, to client: String) {
    lock.withLock { clients[client]?.bucket.spend(Double(bytes / Self.bytesPerToken), now: Self.now) }
  }

  /// A long answer is sent, or its client has gone without reading it.
  func release(_ bytes: Int, for client: String, isRead: Bool) {
    lock.withLock {
      held -= bytes
      clients[client]?.held -= bytes
      if !isRead { unread.spend(Double(bytes), now: Self.now) }
    }
  }

  /// An answer that might have been long was short.
  func noteShort() { lock.withLock { expected = max(Exchange.shortBytes, expected - expected / 16) } }

  var use: HTTPServer.Use { lock.withLock { .init(heldBytes: held, tooOften: refused.tooOften, full: refused.full) } }

  private func bucket(_ now: Instant) -> TokenBucket {
    TokenBucket(rate: configuration.requestsPerSecond, burst: configuration.requestsAtOnce, now: now)
  }

  /// Whether there is room for another client; those who have cost nothing of late are forgotten for it.
  private func makeRoom(_ now: Instant) -> Bool {
    if clients.count < Self.clientsMaximum { return true }
    clients = clients.filter { $0.value.held > 0 || !$0.value.bucket.isFull(now: now) }
    return clients.count < Self.clientsMaximum
  }

  private static var now: Instant { Instant(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds)) }
  /// Bytes of answers that cost as much as a small request.
  static let bytesPerToken = 4_096
  private static let clientsMaximum = 4_096
}
