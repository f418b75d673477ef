import Foundation
import Glibc

// What the machine has once, while several runs of the tests, and several tests of a run, use it at a time.

/// A loopback address that no other run of the tests uses; each `number` from 1 to 254 belongs to one test alone.
public func ownLoopback(_ number: Int) -> String {
  let run = Int(getpid())
  return "127.\(128 + run >> 8 & 127).\(run & 255).\(number)"
}

/// Holds something that there is once on this machine, such as a fixed port, until it is let go of. Others wait for it.
public final class Alone: Sendable {
  private let descriptor: Int32

  /// Blocks until nobody else holds what has this name.
  public init(with name: String) {
    let path = FileManager.default.temporaryDirectory.appending(path: "starling-tests-\(name).lock").path
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    while flock(descriptor, LOCK_EX) != 0 && errno == EINTR {}
  }

  deinit { close(descriptor) }
}
