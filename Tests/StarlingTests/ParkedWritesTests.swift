import SecureChannel
import Testing

@testable import Swarm

@Suite("writes that wait for a link") struct ParkedWritesTests {
  private let streams = (0..<2).map { StreamID(rawValue: $0) }

  @Test("a stream that waits again and again holds one place")
  func onePlace() {
    var parked = ParkedWrites()
    parked.append([9], to: streams[1])
    for turn in 0..<1_000 {
      parked.append([1, 2], to: streams[0])
      #expect(parked.order.count == 2)
      if turn.isMultiple(of: 2) {
        #expect(parked.take(10, of: streams[0]).bytes == [1, 2])
      } else {
        parked.drop(streams[0])
      }
      #expect(parked.order == [streams[1]])
    }
  }

  @Test("streams take turns, and each ends behind its last bytes")
  func turns() {
    var parked = ParkedWrites()
    for stream in streams { parked.append([1, 2, 3], to: stream) }
    let isHeld = parked.finish(streams[1])
    #expect(isHeld)
    var taken: [[UInt8]] = [[], []]
    var ended: [StreamID] = []
    var order: [StreamID] = []
    while let stream = parked.next() {
      order.append(stream)
      let part = parked.take(2, of: stream)
      taken[Int(stream.rawValue)] += part.bytes
      if part.isEnd { ended.append(stream) }
    }
    #expect(order == streams + streams && taken == [[1, 2, 3], [1, 2, 3]])
    #expect(ended == [streams[1]] && parked.count == 0)
  }
}
