import Dispatch
import Foundation
import Wire

/// What clients may cost the server: requests by address, and bytes of answers that are still to be sent, in all and by address.
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
  private var refused = (tooOften: UInt64(0), full: UInt64(0))

  init(_ configuration: HTTPServer.Configuration) { self.configuration = configuration }

  /// Why a request is not taken.
  enum Refusal {
    /// The client asks too much.
    case tooOften
    /// Too many answers are still to be sent.
    case full
  }

  /// Takes a request of a client that costs so much; `nil` when it is taken.
  func admit(_ client: String, cost: Double) -> Refusal? {
    lock.withLock {
      let now = Self.now
      guard makeRoom(now) || clients[client] != nil else { return refuse(.full) }
      var account = clients[client] ?? Client(bucket: bucket(now))
      defer { clients[client] = account }
      guard held < configuration.responseBytesMaximum, account.held < configuration.responseBytesPerAddressMaximum else {
        return refuse(.full)
      }
      // What is dearer than all that can be saved is taken when everything is.
      return account.bucket.take(min(cost, account.bucket.burst), now: now) ? nil : refuse(.tooOften)
    }
  }

  private func refuse(_ refusal: Refusal) -> Refusal {
    switch refusal {
    case .tooOften: refused.tooOften += 1
    case .full: refused.full += 1
    }
    return refusal
  }

  /// Reserves room for an answer until it is sent, and charges it; `false` when there is none.
  func reserve(_ bytes: Int, for client: String) -> Bool {
    lock.withLock {
      guard var account = clients[client] else { return false }
      // A single answer may have more when nothing else is to be sent.
      guard held == 0 || held + bytes <= configuration.responseBytesMaximum,
        account.held == 0 || account.held + bytes <= configuration.responseBytesPerAddressMaximum
      else {
        refused.full += 1
        return false
      }
      held += bytes
      account.held += bytes
      account.bucket.spend(Double(bytes / Self.bytesPerToken), now: Self.now)
      clients[client] = account
      return true
    }
  }

  /// An answer is sent, or its client gone.
  func release(_ bytes: Int, for client: String) {
    lock.withLock {
      held -= bytes
      clients[client]?.held -= bytes
    }
  }

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

/// A long answer on its way: sent from where it is, and given up when its client is too slow.
final class AnswerBody: Sendable {
  private let bytes: [UInt8]
  private let deadline: ContinuousClock.Instant

  init(_ bytes: [UInt8], within timeout: Duration) {
    self.bytes = bytes
    deadline = .now + timeout
  }

  /// Copies what comes next; negative to end the connection.
  func read(at position: Int, into buffer: UnsafeMutablePointer<CChar>, maximum: Int) -> Int {
    guard ContinuousClock.now < deadline, position < bytes.count else { return Self.endWithError }
    let count = min(maximum, bytes.count - position)
    bytes.withUnsafeBytes { UnsafeMutableRawPointer(buffer).copyMemory(from: $0.baseAddress! + position, byteCount: count) }
    return count
  }

  /// `MHD_CONTENT_READER_END_WITH_ERROR`
  private static let endWithError = -2
}
