import Identity
import Wire

/// What the router knows of a connected peer.
final class GossipPeer {
  let id: PeerID
  let version: GossipProtocol
  var direction: Direction
  /// Whether there is a standing agreement with the peer.
  let isDirect: Bool

  var score = 0.0
  /// What the peer subscribed to, on the newest stream that it writes to.
  var topics: Set<Topic> = []
  /// What that counts: see ``Gossip/Configuration/maximumSubscriptionBytes``.
  var topicBytes = 0
  /// Whether the peer has opened its stream before on this connection.
  var hasSpoken = false

  /// Whether there is a stream to the peer. What it sends is heard without one too.
  var isReachable = true
  /// Topics of this side whose mesh the peer left for the end of a stream alone: it is grafted again with the next one.
  var lostMeshes: Set<Topic> = []
  var queue = OutboundQueue()
  var isWritable = false
  /// Whether a part of the queue was sent and the rest waits for the next timer.
  var isDraining = false

  /// Ids that the peer has or does not want.
  var dontWant: IDWindow

  /// Changes of the mesh to tell the peer at the end of this input.
  var grafts: [Topic] = []
  var prunes: [(topic: Topic, backoff: Duration?)] = []
  var wants: [MessageID] = []
  /// IHAVE messages, encoded: peers share them.
  var haves: [[UInt8]] = []
  var isDirty = false

  /// Topics with a backoff that came about on this connection: the peer knows of it. One that restarted has forgotten earlier ones.
  var backoffsKnown: Set<Topic> = []

  /// Topics in which its last message broke this side's rules of who signs: it names messages by other rules too, so that nothing it announces
  /// there can be asked for.
  var misfits: Set<Topic> = []
  /// What it was asked for by its own announcements, and what of that is still to come.
  var promised = 0
  /// Messages that it was the first to bring and that the application has not judged, and their bytes.
  var pendingCount = 0
  var pendingBytes = 0

  // Since the last heartbeat.
  var fields = 0
  var ihaveMessages = 0
  var idsAsked = 0
  var dontWantIDs = 0
  var subscriptionChanges = 0
  var failedChecks = 0
  var droppedSinceReport = 0

  var statistics = GossipPeerStatistics()

  init(id: PeerID, version: GossipProtocol, direction: Direction, isDirect: Bool, dontWantCapacity: Int) {
    self.id = id
    self.version = version
    self.direction = direction
    self.isDirect = isDirect
    dontWant = IDWindow(capacity: dontWantCapacity)
  }

  /// Whether the peer can be in a mesh now.
  var canMesh: Bool { version != .floodsub && !isDirect && isReachable }

  /// Whether messages go to the peer outside the mesh.
  var isAlwaysSentTo: Bool { version == .floodsub || isDirect }
}

extension [GossipPeer] {
  /// Where the peer stands, or would stand, in an array in the order of PeerIDs. O(log n).
  func position(of id: PeerID) -> (index: Int, isPresent: Bool) {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if self[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return (low, low < count && self[low].id == id)
  }

  /// Whether the peer is in an array in the order of PeerIDs. O(log n).
  func hasPeer(_ id: PeerID) -> Bool { position(of: id).isPresent }

  /// Adds a peer in its place; false when it is there already.
  @discardableResult mutating func insertPeer(_ peer: GossipPeer) -> Bool {
    let (index, isPresent) = position(of: peer.id)
    if !isPresent { insert(peer, at: index) }
    return !isPresent
  }

  /// Takes a peer out; false when it is not there.
  @discardableResult mutating func removePeer(_ id: PeerID) -> Bool {
    let (index, isPresent) = position(of: id)
    if isPresent { remove(at: index) }
    return isPresent
  }

  /// Whether the array is in strictly ascending order.
  var isInOrder: Bool { zip(self, dropFirst()).allSatisfy { $0.id < $1.id } }
}
