/// A budget of bytes inside another one: system, peer, stream. What is not reserved in all of them is not kept.
///
/// It counts and holds no memory itself. Owned by one thread with its whole tree. A scope gives everything back to its parent when it is let
/// go of, so that no path out of a peer's life can leak.
public final class MemoryScope {
  /// What there is.
  public let limit: Int
  /// What of it is kept for ``Priority/life``.
  public let keptForLife: Int
  /// What is reserved now.
  public private(set) var used = 0
  /// The most that was reserved at a time.
  public private(set) var peak = 0
  /// How often this scope had no room for what was wanted.
  public private(set) var refusals: UInt64 = 0
  private let parent: MemoryScope?

  /// Makes a scope of at most `limit` bytes, inside `parent` when there is one.
  public init(limit: Int, in parent: MemoryScope? = nil, keptForLife: Int = 0) {
    self.limit = max(0, limit)
    self.keptForLife = min(max(0, keptForLife), self.limit)
    self.parent = parent
  }

  deinit { parent?.release(used) }

  /// How much somebody's wish matters.
  public enum Priority {
    /// It makes things faster and nothing fails without it: granted while half of every scope stays free.
    case comfort
    /// Something fails without it.
    case need
    /// A link ends without it, though its peer may have done nothing wrong. Granted from what is kept for this purpose once everything else is
    /// taken; anyone who asks for it has a bound of its own.
    case life
  }

  /// Reserves bytes here and in all scopes above; `false` when one of them has no room, and then nothing is reserved.
  ///
  /// - Complexity: O(depth), two at most.
  public func reserve(_ bytes: Int, _ priority: Priority = .need) -> Bool {
    precondition(bytes >= 0, "\(bytes) bytes cannot be reserved")
    let room =
      switch priority {
      case .comfort: limit / 2
      case .need: limit - keptForLife
      case .life: limit
      }
    guard bytes <= room - used else {
      refusals &+= 1
      return false
    }
    if let parent, !parent.reserve(bytes, priority) { return false }
    used += bytes
    peak = max(peak, used)
    return true
  }

  /// Gives bytes back that were reserved here.
  public func release(_ bytes: Int) {
    precondition(bytes >= 0 && bytes <= used, "\(bytes) bytes are given back and \(used) were reserved")
    used -= bytes
    parent?.release(bytes)
  }

  /// Whether a newcomer that begins with so many bytes may come in: a quarter stays free for those that are there. It reserves nothing.
  public func admits(_ bytes: Int) -> Bool {
    if bytes <= limit - limit / 4 - used { return true }
    refusals &+= 1
    return false
  }
}
