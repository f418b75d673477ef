/// What waits for a peer whose stream takes no more, by priority and bounded by frames and bytes.
///
/// Policy when full: frames of lower priority make room, the lowest and oldest first; if there are none, the new frame is refused.
/// One frame may exceed the byte bound when nothing else waits, so that the largest message can always be sent.
struct OutboundQueue {
  /// The priorities; a lower number leaves first.
  enum Lane: Int, CaseIterable {
    /// Subscriptions, GRAFT, PRUNE, IDONTWANT.
    case control = 0
    /// Messages that this side publishes.
    case own = 1
    /// Messages that are passed on.
    case forwarded = 2
    /// IHAVE, IWANT and the answers to it.
    case gossip = 3
  }

  struct Item {
    let frame: [UInt8]
    /// The message in the frame, if it is one, to drop it when the peer no longer wants it.
    let message: GossipMessage?
  }

  private var lanes: [FIFO<Item>] = []
  private(set) var count = 0
  private(set) var bytes = 0

  /// Whether nothing waits.
  var isEmpty: Bool { count == 0 }

  /// Adds a frame.
  /// - Returns: whether it was taken, and how many frames were dropped, itself included.
  mutating func push(_ item: Item, lane: Lane, maximumCount: Int, maximumBytes: Int) -> (isAccepted: Bool, dropped: Int) {
    if lanes.isEmpty { lanes = Array(repeating: FIFO(), count: Lane.allCases.count) }
    var dropped = 0
    while count >= maximumCount || (count > 0 && bytes + item.frame.count > maximumBytes) {
      var victim = Lane.allCases.count - 1
      while victim > lane.rawValue && lanes[victim].isEmpty { victim -= 1 }
      guard victim > lane.rawValue, let out = lanes[victim].popFirst() else { return (false, dropped + 1) }
      count -= 1
      bytes -= out.frame.count
      dropped += 1
    }
    lanes[lane.rawValue].append(item)
    count += 1
    bytes += item.frame.count
    return (true, dropped)
  }

  /// Takes the first frame of the highest priority.
  mutating func pop() -> Item? {
    guard count > 0 else { return nil }
    for lane in lanes.indices {
      guard let item = lanes[lane].popFirst() else { continue }
      count -= 1
      bytes -= item.frame.count
      return item
    }
    return nil
  }
}
