import Wire

/// What happens when: a binary heap by time, then by the order in which it was scheduled, so that every run is the same.
///
/// The heap holds small keys; the events lie still in a table beside it. O(log n) to schedule and to take.
struct EventQueue<Event> {
  private struct Key {
    let time: Int64
    let number: UInt64
    let slot: Int

    @inline(__always)
    func isBefore(_ other: Key) -> Bool { time != other.time ? time < other.time : number < other.number }
  }

  private var heap: [Key] = []
  private var events: [Event?] = []
  private var free: [Int] = []
  private var scheduled: UInt64 = 0

  /// Events that wait.
  var count: Int { heap.count }

  /// When the next one happens.
  var next: Instant? { heap.first.map { Instant(nanoseconds: $0.time) } }

  /// Schedules an event.
  mutating func schedule(_ event: Event, at time: Instant) {
    let slot: Int
    if let reused = free.popLast() {
      slot = reused
      events[slot] = event
    } else {
      slot = events.count
      events.append(event)
    }
    scheduled += 1
    heap.append(Key(time: time.nanoseconds, number: scheduled, slot: slot))
    siftUp(heap.count - 1)
  }

  /// Takes the next event unless it happens after `last`.
  mutating func pop(upTo last: Instant = .distantFuture) -> (time: Instant, event: Event)? {
    guard let first = heap.first, first.time <= last.nanoseconds else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      siftDown()
    }
    guard let event = events[first.slot].take() else { preconditionFailure("event \(first.number) was taken before") }
    free.append(first.slot)
    return (Instant(nanoseconds: first.time), event)
  }

  private mutating func siftUp(_ start: Int) {
    var index = start
    let key = heap[index]
    while index > 0 {
      let parent = (index - 1) / 2
      guard key.isBefore(heap[parent]) else { break }
      heap[index] = heap[parent]
      index = parent
    }
    heap[index] = key
  }

  private mutating func siftDown() {
    var index = 0
    let key = heap[0]
    while true {
      var child = 2 * index + 1
      guard child < heap.count else { break }
      if child + 1 < heap.count && heap[child + 1].isBefore(heap[child]) { child += 1 }
      guard heap[child].isBefore(key) else { break }
      heap[index] = heap[child]
      index = child
    }
    heap[index] = key
  }
}
