import Dashboard
import EventLoop
import Foundation
import Wire

/// Shows what happens: a live table with the latest sentences on a terminal, sentence by sentence elsewhere.
final class Screen {
  private let started = Platform.now
  private let descriptor: Int32
  private let live: LiveTable
  private let isInteractive: Bool
  private var sentences: [String] = []
  private var nextFrame = Instant.zero
  /// Lines that stay below the sentences.
  var notes: [String] = []

  /// Makes a screen on a file descriptor.
  init(descriptor: Int32) {
    self.descriptor = descriptor
    live = LiveTable(descriptor: descriptor)
    isInteractive = LiveTable.Terminal.of(descriptor).isInteractive
  }

  /// Time since the start.
  var elapsed: Duration { Platform.now - started }

  /// Tells what happens, in a sentence.
  func say(_ sentence: String) {
    let line = String(format: "%6.1f s  ", elapsed.seconds) + sentence
    if isInteractive {
      sentences.append(line)
      nextFrame = .zero
    } else {
      Output.write(line + "\n", to: descriptor)
    }
  }

  /// Shows the table, unless it was shown a moment ago: twice a second on a terminal, every 10 s elsewhere.
  func show(title: String, _ table: () -> TerminalTable) {
    let now = Platform.now
    guard now >= nextFrame else { return }
    let isFirst = nextFrame == .zero
    nextFrame = now + (isInteractive ? .milliseconds(500) : .seconds(10))
    // Elsewhere the first table would only say that nothing runs yet.
    if !isInteractive && isFirst { return }
    let height = LiveTable.Terminal.of(descriptor).height
    let table = table()
    let room = max(3, min(12, height - table.rows.count - notes.count - 6))
    live.show(title: isInteractive ? [title, ""] : [""], table, footer: isInteractive ? [""] + sentences.suffix(room) + notes : [""])
  }

  /// Leaves the last frame where it is and prints lines below it from now on.
  func finish() { live.finish() }

  /// Prints lines as they are.
  func print(_ lines: [String]) { Output.write(lines.map { $0 + "\n" }.joined(), to: descriptor) }

  /// Prints a table.
  func print(_ table: TerminalTable) {
    let terminal = LiveTable.Terminal.of(descriptor)
    print(table.lines(width: terminal.width, colours: terminal.colours))
  }
}
