/// A binary heap with the smallest element on top.
struct Heap<Element: Comparable & Sendable>: Sendable {
  private var elements: [Element] = []

  init() {}

  /// Makes a heap of elements. O(n).
  init(_ elements: [Element]) {
    self.elements = elements
    for index in stride(from: elements.count / 2 - 1, through: 0, by: -1) { sink(index) }
  }

  var count: Int { elements.count }
  var first: Element? { elements.first }

  /// O(log n).
  mutating func push(_ element: Element) {
    elements.append(element)
    var index = elements.count - 1
    while index > 0 {
      let parent = (index - 1) / 2
      guard elements[index] < elements[parent] else { break }
      elements.swapAt(index, parent)
      index = parent
    }
  }

  /// O(log n).
  mutating func pop() -> Element? {
    guard let first = elements.first else { return nil }
    let last = elements.removeLast()
    if !elements.isEmpty {
      elements[0] = last
      sink(0)
    }
    return first
  }

  private mutating func sink(_ start: Int) {
    var index = start
    while true {
      var smallest = index
      for child in [2 * index + 1, 2 * index + 2] where child < elements.count && elements[child] < elements[smallest] { smallest = child }
      if smallest == index { return }
      elements.swapAt(index, smallest)
      index = smallest
    }
  }
}

/// A map that remembers the last `capacity` keys given to it and forgets the oldest first.
struct RecentMap<Key: Hashable & Sendable, Value: Sendable>: Sendable {
  private var values: [Key: Value] = [:]
  private var order: [Key] = []
  private var oldest = 0
  private let capacity: Int

  init(capacity: Int) { self.capacity = max(1, capacity) }

  subscript(key: Key) -> Value? { values[key] }

  mutating func insert(_ key: Key, _ value: Value) {
    guard values.updateValue(value, forKey: key) == nil else { return }
    if order.count < capacity {
      order.append(key)
    } else {
      values[order[oldest]] = nil
      order[oldest] = key
      oldest = (oldest + 1) % capacity
    }
  }
}
