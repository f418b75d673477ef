/// A first-in first-out queue over one array. Appending and taking the front are O(1) amortised.
struct FIFO<Element> {
  private var storage: [Element?] = []
  private var head = 0

  /// How many elements wait.
  var count: Int { storage.count - head }

  /// Whether none waits.
  var isEmpty: Bool { storage.count == head }

  /// The oldest.
  var first: Element? { head < storage.count ? storage[head] : nil }

  /// The element at `index`, counted from the oldest.
  subscript(index: Int) -> Element {
    guard let element = storage[head + index] else { preconditionFailure("a taken element was asked for") }
    return element
  }

  /// Adds at the back.
  mutating func append(_ element: Element) { storage.append(element) }

  /// Takes the oldest.
  mutating func popFirst() -> Element? {
    guard head < storage.count else { return nil }
    let element = storage[head]
    storage[head] = nil
    head += 1
    if head == storage.count {
      storage.removeAll(keepingCapacity: storage.count <= 1_024)
      head = 0
    } else if head >= 1_024 && head * 2 >= storage.count {
      storage.removeFirst(head)
      head = 0
    }
    return element
  }

  /// Takes out what `isGone` names. O(n).
  mutating func removeAll(where isGone: (Element) -> Bool) {
    storage = storage[head...].filter { element in element.map { !isGone($0) } ?? false }
    head = 0
  }
}
