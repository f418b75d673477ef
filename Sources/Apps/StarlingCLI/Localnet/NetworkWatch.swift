import EventLoop
import Foundation
import HTTPAPI
import Threads

/// Asks every node again and again how it does, each on a thread of its own, so that a node that hangs delays nobody.
final class NetworkWatch: @unchecked Sendable {
  private let lock = Lock()
  private var latest: [Int: NodeInfoResponse] = [:]
  private var isStopping = false

  /// Starts watching.
  init(_ nodes: [LocalNode]) {
    for node in nodes {
      Thread.detachNewThread { [self] in
        while !lock.withLock({ isStopping }) {
          let info = try? node.api.info()
          lock.withLock { latest[node.number] = info }
          usleep(250_000)
        }
      }
    }
  }

  /// Ends the threads, soon.
  func stop() { lock.withLock { isStopping = true } }

  /// What a node last said; `nil` when it did not answer.
  func info(_ node: LocalNode) -> NodeInfoResponse? { lock.withLock { latest[node.number] } }

  /// Forgets what a node said before it was killed.
  func forget(_ node: LocalNode) { lock.withLock { _ = latest.removeValue(forKey: node.number) } }

  /// What the nodes that answer say.
  var infos: [NodeInfoResponse] { lock.withLock { latest.sorted { $0.key < $1.key }.map(\.value) } }
}
