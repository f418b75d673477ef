import Wire

extension PeeringMachine {
  /// The wall clock was read again. When it has gone another way than the machine's own clock, which may stand still while the computer
  /// sleeps, what ends, decays or is persisted by it moves along. O(addresses) then, nothing for less than a second.
  mutating func setClock(_ new: WallClock, _ now: Instant) {
    let step = new.time(at: now) - clock.time(at: now)
    // The old clock stays, so that small steps add up.
    guard step >= .seconds(1) || step <= .seconds(-1) else { return }
    clock = new
    bans.move(by: step)
    banDeadline = bans.nextEnd
    known.moveScores(by: step, now: now)
    book.move(by: step, now: now)
  }
}
