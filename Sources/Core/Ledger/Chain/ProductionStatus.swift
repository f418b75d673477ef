import Wire

/// Whether and when a node makes its next block.
public struct ProductionStatus: Hashable, Sendable {
  /// A slot and when it begins.
  public struct Turn: Hashable, Sendable {
    /// The slot.
    public let slot: UInt64
    /// Its beginning, by the chain's time.
    public let time: WallTime

    /// Makes a turn.
    public init(slot: UInt64, time: WallTime) {
      self.slot = slot
      self.time = time
    }
  }

  /// What keeps a producer from its next turn.
  public enum Obstacle: Hashable, Sendable {
    /// Its key is not among the chain's producers.
    case notProducer
    /// It has not caught up with its peers.
    case catchingUp
    /// It has sealed its slots up to this one already, as with a clock that was ahead: to seal one twice would be an offence.
    case sealed(through: Turn)
    /// The chain's newest block lies ahead of this node's clock, and slots grow from block to block.
    case headAhead(Turn)
    /// What it makes cannot be stored, and nothing leaves it before.
    case storeFailing(StoreError)
  }

  /// The highest slot that this producer has sealed.
  public let last: Turn?
  /// The slot that it seals next, once nothing stands against it.
  public let next: Turn?
  /// What stands against it.
  public let obstacle: Obstacle?

  /// Makes a status.
  public init(last: Turn?, next: Turn?, obstacle: Obstacle?) {
    self.last = last
    self.next = next
    self.obstacle = obstacle
  }
}

extension ProductionStatus {
  /// In words without a full stop, such as `last slot 7 (15 s ago), next slot 10 in 12 ms`.
  public func words(at now: WallTime) -> String {
    let sealed = last.map { "last slot \($0.slot) (\(Self.when($0.time, now)))" } ?? "no slot sealed yet"
    let coming = next.map { ", next slot \($0.slot) (\(Self.when($0.time, now)))" } ?? ""
    return sealed + coming + (obstacle.map { "; it makes no blocks now: \($0.words(at: now))" } ?? "")
  }

  fileprivate static func when(_ time: WallTime, _ now: WallTime) -> String {
    time < now ? "\((time - now).rough) ago" : "in \((time - now).rough)"
  }
}

extension ProductionStatus.Obstacle {
  /// One word for programs.
  public var kind: String {
    switch self {
    case .notProducer: "not-producer"
    case .catchingUp: "catching-up"
    case .sealed: "sealed"
    case .headAhead: "head-ahead"
    case .storeFailing: "store-failing"
    }
  }

  /// In words without a full stop.
  public func words(at now: WallTime) -> String {
    switch self {
    case .notProducer: "its key is not among the producers of the chain"
    case .catchingUp: "it has not caught up with its peers yet"
    case .sealed(let turn):
      "it has sealed its slots up to \(turn.slot) (\(ProductionStatus.when(turn.time, now))) already, as with a clock that was ahead, and seals none twice"
    case .headAhead(let turn):
      "the newest block's slot \(turn.slot) (\(ProductionStatus.when(turn.time, now))) is ahead of this node's clock, and the next block needs a later one"
    case .storeFailing(let error): "blocks can't be stored (\(error.message)), and none leaves this node before it is"
    }
  }
}
