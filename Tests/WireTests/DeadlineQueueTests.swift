import Testing
import Wire

@Suite struct DeadlineQueueTests {
  @Test(arguments: [1, 2, 3, 4] as [UInt64]) func agreesWithSortedList(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var queue = DeadlineQueue<Int>()
    var model: [Int: Instant] = [:]
    for step in 0..<2_000 {
      let key = generator.index(below: 50)
      switch generator.index(below: 4) {
      case 0:
        queue.remove(key)
        model[key] = nil
      case 1:
        let now = Instant(nanoseconds: Int64(generator.index(below: 100)))
        let expected = model.filter { $0.value <= now }.min { ($0.value, $0.key) < ($1.value, $1.key) }?.key
        #expect(queue.popExpired(now) == expected, "seed \(seed) step \(step)")
        if let expected { model[expected] = nil }
      default:
        let deadline = Instant(nanoseconds: Int64(generator.index(below: 100)))
        queue.set(key, deadline)
        model[key] = deadline
      }
      #expect(queue.next == model.values.min(), "seed \(seed) step \(step)")
      #expect(queue.count == model.count)
    }
  }
}
