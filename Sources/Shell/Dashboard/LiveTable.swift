import EventLoop
import Glibc
import Wire

/// Shows a table again and again: in place on a terminal, line by line into a file or pipe.
///
/// A frame is one write: cursor home, each line erased to its end, the rest of the screen erased last, so that nothing
/// flickers. Not thread-safe; one thread owns it.
public final class LiveTable {
  /// What the output can do.
  public struct Terminal: Hashable, Sendable {
    /// Whether frames replace each other; `false` for files and pipes.
    public var isInteractive: Bool
    /// Whether styles are shown.
    public var colours: Bool
    /// Columns.
    public var width: Int
    /// Lines.
    public var height: Int

    /// Describes an output.
    public init(isInteractive: Bool, colours: Bool, width: Int, height: Int) {
      self.isInteractive = isInteractive
      self.colours = colours
      self.width = width
      self.height = height
    }

    /// Asks the system about a file descriptor; `NO_COLOR` and `TERM=dumb` are honoured.
    public static func of(_ descriptor: Int32) -> Terminal {
      let dumb = getenv("TERM").map { String(cString: $0) == "dumb" } ?? true
      guard isatty(descriptor) == 1, !dumb else { return Terminal(isInteractive: false, colours: false, width: .max, height: .max) }
      var size = winsize()
      let known = ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 && size.ws_row > 0
      let plain = getenv("NO_COLOR").map { $0.pointee != 0 } ?? false
      return Terminal(
        isInteractive: true, colours: !plain, width: known ? Int(size.ws_col) : 80, height: known ? Int(size.ws_row) : 24)
    }
  }

  private let terminal: () -> Terminal
  private let write: (String) -> Void
  private var started = false
  private var finished = false

  /// Shows on a file descriptor and asks for its size at each frame; default standard output.
  public convenience init(descriptor: Int32 = STDOUT_FILENO) {
    self.init(terminal: { Terminal.of(descriptor) }) { text in
      Platform.write(Array(text.utf8), to: descriptor)
    }
  }

  /// Shows through a closure, for tests and other sinks.
  public init(terminal: @escaping () -> Terminal, write: @escaping (String) -> Void) {
    self.terminal = terminal
    self.write = write
  }

  /// Shows one frame; lines that don't fit the height are left out, with a note how many.
  ///
  /// - Parameters:
  ///   - title: lines above the table, broken between words where they are too long.
  ///   - footer: lines below it, broken in the same way.
  public func show(title: [String] = [], _ table: TerminalTable, footer: [String] = []) {
    guard !finished else { return }
    let terminal = terminal()
    let body = table.lines(width: terminal.width, colours: terminal.colours)
    guard terminal.isInteractive else {
      write((title + body + footer).map { Self.trimmed($0) + "\n" }.joined())
      return
    }
    let above = title.flatMap { Self.wrapped($0, terminal.width) }
    let below = footer.flatMap { Self.wrapped($0, terminal.width) }
    var shown = body
    // The last line stays free: a line feed there would scroll the frame away.
    let room = max(2, terminal.height - 1 - above.count - below.count)
    if shown.count > room {
      let hidden = shown.count - room + 1
      shown = shown.prefix(room - 1) + [Self.cut("… \(hidden) more", terminal.width)]
    }
    var frame = started ? Self.home : Self.hideCursor + Self.clear + Self.home
    started = true
    for line in (above + shown + below).prefix(max(1, terminal.height - 1)) { frame += line + Self.eraseLine + "\r\n" }
    write(frame + Self.eraseBelow)
  }

  /// Leaves the last frame on the screen and gives the cursor back.
  public func finish() {
    guard !finished else { return }
    finished = true
    if started { write(Self.showCursor) }
  }

  private static func wrapped(_ line: String, _ width: Int) -> [String] { line.wrapped(to: width).map { cut($0, width) } }

  private static func cut(_ line: String, _ width: Int) -> String { trimmed(DisplayWidth.fit(line, to: width)) }

  private static func trimmed(_ line: String) -> String {
    var line = line
    while line.hasSuffix(" ") { line.removeLast() }
    return line
  }

  // ECMA-48 control sequences.
  private static let home = "\u{1b}[H"
  private static let clear = "\u{1b}[2J"
  private static let eraseLine = "\u{1b}[K"
  private static let eraseBelow = "\u{1b}[J"
  private static let hideCursor = "\u{1b}[?25l"
  private static let showCursor = "\u{1b}[?25h"
}
