/// Finds records by a keyed hash: open addressing with linear probing, eight bytes a place, at most three quarters full.
struct RecordIndex: Sendable {
  /// The hash's upper half above the record's ID; ``empty`` for a free place.
  private var places: [UInt64] = []
  private(set) var count = 0

  private static let empty = UInt64.max

  /// The record with this hash that `matches`. O(1).
  func find(_ hash: UInt64, where matches: (RecordID) -> Bool) -> RecordID? {
    guard !places.isEmpty else { return nil }
    let mark = hash >> 32
    var place = home(mark)
    while places[place] != Self.empty {
      if places[place] >> 32 == mark, matches(RecordID(truncatingIfNeeded: places[place])) {
        return RecordID(truncatingIfNeeded: places[place])
      }
      place = next(place)
    }
    return nil
  }

  mutating func insert(_ hash: UInt64, _ id: RecordID) {
    if (count + 1) * 4 > places.count * 3 { grow() }
    put(Self.entry(hash, id))
    count += 1
  }

  /// Puts another record into the place of one. The record must be there.
  mutating func replace(_ hash: UInt64, _ old: RecordID, by new: RecordID) {
    guard let place = place(of: hash, old) else { preconditionFailure("an indexed record is not found") }
    places[place] = Self.entry(hash, new)
  }

  /// Takes a record out and moves later ones up, so that no gap breaks a run. The record must be there.
  mutating func remove(_ hash: UInt64, _ id: RecordID) {
    guard var gap = place(of: hash, id) else { preconditionFailure("an indexed record is not found") }
    var place = next(gap)
    while places[place] != Self.empty {
      let wanted = home(places[place] >> 32)
      // It may move into the gap unless its home lies behind the gap.
      let distance = (place - wanted) & (places.count - 1)
      if distance >= (place - gap) & (places.count - 1) {
        places[gap] = places[place]
        gap = place
      }
      place = next(place)
    }
    places[gap] = Self.empty
    count -= 1
  }

  private func place(of hash: UInt64, _ id: RecordID) -> Int? {
    let wanted = Self.entry(hash, id)
    var place = home(hash >> 32)
    while places[place] != Self.empty {
      if places[place] == wanted { return place }
      place = next(place)
    }
    return nil
  }

  private static func entry(_ hash: UInt64, _ id: RecordID) -> UInt64 { hash & 0xffff_ffff_0000_0000 | UInt64(id) }
  private func home(_ mark: UInt64) -> Int { Int(mark) & (places.count - 1) }
  private func next(_ place: Int) -> Int { (place + 1) & (places.count - 1) }

  private mutating func put(_ entry: UInt64) {
    var place = home(entry >> 32)
    while places[place] != Self.empty { place = next(place) }
    places[place] = entry
  }

  private mutating func grow() {
    let old = places
    places = Array(repeating: Self.empty, count: max(16, old.count * 2))
    for entry in old where entry != Self.empty { put(entry) }
  }
}
