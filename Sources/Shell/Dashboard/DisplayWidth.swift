import Wire

/// How many terminal columns text takes, and cutting by columns.
///
/// Control characters never reach the terminal: text from peers could move the cursor or change its title.
public enum DisplayWidth {
  /// The columns that the text takes once cleaned; O(n).
  public static func of(_ text: String) -> Int { text.reduce(0) { $0 + of($1) } }

  /// The text with everything that must not reach a terminal replaced by `·`; O(n).
  public static func clean(_ text: String) -> String { text.printable { _ in "·" } }

  /// The clean text cut or filled up to exactly `width` columns; what was cut ends in `…`. O(n).
  public static func fit(_ text: String, to width: Int, alignedRight: Bool = false) -> String {
    guard width > 0 else { return "" }
    let text = clean(text)
    var total = 0
    var cut = text.startIndex
    for index in text.indices {
      let next = total + of(text[index])
      if next > width {
        // The last kept characters make room for the ellipsis.
        var end = cut
        while total > width - 1, end > text.startIndex {
          end = text.index(before: end)
          total -= of(text[end])
        }
        return text[..<end] + "…" + String(repeating: " ", count: width - 1 - total)
      }
      total = next
      cut = text.index(after: index)
    }
    let space = String(repeating: " ", count: width - total)
    return alignedRight ? space + text : text + space
  }

  private static func of(_ character: Character) -> Int {
    let scalars = character.unicodeScalars
    guard let first = scalars.first else { return 0 }
    // An emoji presentation selector, or a flag of two letters, makes a wide cell of narrow scalars.
    if scalars.count > 1, scalars.contains("\u{fe0f}") || isRegionalIndicator(first) { return 2 }
    return scalars.map(width).max() ?? 0
  }

  private static func width(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .format: return 0
    default: break
    }
    // Unicode East Asian Width W and F, in blocks.
    switch scalar.value {
    case 0x1100...0x115f, 0x231a...0x231b, 0x23e9...0x23ec, 0x2e80...0x303e, 0x3041...0x33ff, 0x3400...0x4dbf, 0x4e00...0x9fff,
      0xa000...0xa4cf, 0xa960...0xa97f, 0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe6f, 0xff00...0xff60, 0xffe0...0xffe6,
      0x1f004, 0x1f0cf, 0x1f18e, 0x1f191...0x1f19a, 0x1f200...0x1f320, 0x1f32d...0x1f335, 0x1f337...0x1f393, 0x1f3a0...0x1f3ca,
      0x1f3cf...0x1f3d3, 0x1f3e0...0x1f3f0, 0x1f3f4, 0x1f3f8...0x1f43e, 0x1f440, 0x1f442...0x1f4fc, 0x1f4ff...0x1f53d,
      0x1f54b...0x1f567, 0x1f57a, 0x1f595...0x1f596, 0x1f5a4, 0x1f5fb...0x1f64f, 0x1f680...0x1f6c5, 0x1f6cc, 0x1f6d0...0x1f6ff,
      0x1f7e0...0x1f7eb, 0x1f90c...0x1f9ff, 0x1fa70...0x1faff, 0x20000...0x3fffd:
      return 2
    default: return 1
    }
  }

  private static func isRegionalIndicator(_ scalar: Unicode.Scalar) -> Bool { (0x1f1e6...0x1f1ff).contains(scalar.value) }
}
