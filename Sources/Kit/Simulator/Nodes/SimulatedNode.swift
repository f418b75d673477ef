import HostCore
import Identity
import Ledger
import NodeCore
import Wire

/// The node that simulations run: the real one.
public typealias Core = NodeCore<AccountLedger, ProofOfAuthority>

/// A node's machine, process and place in the network.
package final class SimulatedNode {
  package let index: Int
  package let key: NodeKey
  package let region: Region
  let address: Multiaddr
  let ip: IPAddress
  /// The key that it makes blocks with.
  let producer: NodeKey?
  let behaviour: Behaviour?
  /// What changes a byzantine node's words.
  var mask: Mask?
  /// Nobody can dial it, but who is behind the same router.
  let isUnreachable: Bool
  let isSeed: Bool
  let uploadBytes: Double
  let downloadBytes: Double

  /// `nil` while the process does not run.
  package internal(set) var core: Core?
  /// Counts the process's lives, so that what belongs to an earlier one is dropped.
  var life: UInt32 = 0
  var disk = Disk()
  /// Its pools are full half of the time.
  var refusesWork = false
  /// The machine is gone, so that nothing is answered, not even refused.
  var isOff = false

  var ends: [ConnectionID: LinkEnd] = [:]
  var accepted: UInt64 = 0
  var nextPort: UInt16 = 32_768

  /// What the process has not looked at yet.
  var inbox: [Core.Input] = []
  var isRunning = false
  var isSuspended = false
  /// Packets that the system took while the process stood still.
  var unread: [(end: LinkEnd, packet: Packet, bytes: Int)] = []
  /// When the timer event that counts fires.
  var armed = Instant.distantFuture
  /// When its timer ran last, and how often at that moment.
  var timerAt = Instant.zero
  var timers = 0

  var uploadFree = Instant.zero
  var downloadFree = Instant.zero
  var workFree = Instant.zero
  var storeFree = Instant.zero
  var readFree = Instant.zero
  /// How far the wall clock is off.
  var clockOffset: Duration
  /// The same when no fault touches the clock.
  let homeOffset: Duration
  /// Which side of a partition it is on.
  var group = 0
  /// Its last durable head; must survive.
  var durableHeight: UInt64 = 0
  /// Since when it has not said that it is level, though it has all that the honest peers at its links have.
  var heldBackSince: Instant?
  var bytesIn: UInt64 = 0
  package internal(set) var bytesOut: UInt64 = 0

  init(
    index: Int, key: NodeKey, region: Region, ip: IPAddress, address: Multiaddr, producer: NodeKey?, behaviour: Behaviour?,
    isUnreachable: Bool, isSeed: Bool,
    uploadBytes: Double, downloadBytes: Double, clockOffset: Duration
  ) {
    self.index = index
    self.key = key
    self.region = region
    self.ip = ip
    self.address = address
    self.producer = producer
    self.behaviour = behaviour
    self.isUnreachable = isUnreachable
    self.isSeed = isSeed
    self.uploadBytes = uploadBytes
    self.downloadBytes = downloadBytes
    self.clockOffset = clockOffset
    homeOffset = clockOffset
  }

  var isHonest: Bool { behaviour == nil }
  var isUp: Bool { core != nil }
  var name: String { "n\(index)" }
}
