/// Deadlines by key, earliest first; a key has at most one. A binary heap with an index: O(log n) to set, move, remove and take.
// Inlinable throughout, so that users in other modules get code for their keys rather than for any.
public struct DeadlineQueue<Key: Hashable & Comparable & Sendable>: Sendable {
  @usableFromInline struct Entry: Sendable {
    @usableFromInline var deadline: Instant
    @usableFromInline var key: Key

    @inlinable init(deadline: Instant, key: Key) {
      self.deadline = deadline
      self.key = key
    }

    // Keys break ties, so that equal deadlines fire in the same order on every machine.
    @inlinable func isBefore(_ other: Entry) -> Bool { deadline != other.deadline ? deadline < other.deadline : key < other.key }
  }

  @usableFromInline var heap: [Entry] = []
  @usableFromInline var position: [Key: Int] = [:]

  /// Makes an empty queue.
  @inlinable public init() {}

  /// The number of keys.
  @inlinable public var count: Int { heap.count }

  /// The earliest deadline, or `nil`.
  @inlinable public var next: Instant? { heap.first?.deadline }

  /// The deadline of a key, or `nil`.
  @inlinable public subscript(key: Key) -> Instant? { position[key].map { heap[$0].deadline } }

  /// Sets or moves a key's deadline.
  @inlinable public mutating func set(_ key: Key, _ deadline: Instant) {
    if let index = position[key] {
      let earlier = deadline < heap[index].deadline
      heap[index].deadline = deadline
      if earlier { siftUp(index) } else { siftDown(index) }
    } else {
      heap.append(Entry(deadline: deadline, key: key))
      position[key] = heap.count - 1
      siftUp(heap.count - 1)
    }
  }

  /// Forgets a key.
  @inlinable public mutating func remove(_ key: Key) {
    guard let index = position.removeValue(forKey: key) else { return }
    let last = heap.removeLast()
    guard index < heap.count else { return }
    heap[index] = last
    position[last.key] = index
    siftUp(index)
    siftDown(index)
  }

  /// Takes the earliest key whose deadline is not after `now`.
  @inlinable public mutating func popExpired(_ now: Instant) -> Key? {
    guard let first = heap.first, first.deadline <= now else { return nil }
    remove(first.key)
    return first.key
  }

  @inlinable mutating func siftUp(_ start: Int) {
    var index = start
    while index > 0 {
      let parent = (index - 1) / 2
      guard heap[index].isBefore(heap[parent]) else { return }
      swap(index, parent)
      index = parent
    }
  }

  @inlinable mutating func siftDown(_ start: Int) {
    var index = start
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2] where child < heap.count && heap[child].isBefore(heap[least]) { least = child }
      if least == index { return }
      swap(index, least)
      index = least
    }
  }

  @inlinable mutating func swap(_ left: Int, _ right: Int) {
    heap.swapAt(left, right)
    position[heap[left].key] = left
    position[heap[right].key] = right
  }
}
