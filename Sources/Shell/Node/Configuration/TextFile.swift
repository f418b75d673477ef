import EventLoop
import Foundation

/// Files that people write: the one way in which all of them are read.
///
/// UTF-8, with or without a byte-order mark, which is dropped. What cannot be text is refused with its place, before anything is made of it.
public enum TextFile {
  /// Why a file is no text.
  public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong and what to do, in words, without the file's name.
    public let description: String
    /// The line, from 1; 0 when it is about the whole file.
    public let line: Int

    /// The same behind the file's name and the line.
    public func text(of path: String) -> String { "\(path)\(line > 0 ? ":\(line)" : ""): \(description)" }

    init(_ description: String, line: Int = 0) {
      self.description = description
      self.line = line
    }
  }

  /// Reads a file; `-` is standard input. Blocks.
  ///
  /// - Throws: a ``Failure``; what a path leads to may be a folder, or gone.
  public static func read(_ path: String, maximumBytes: Int) throws(Failure) -> [UInt8] {
    let bytes: [UInt8]
    do throws(TransportError) { bytes = try PrivateFile.read(path == "-" ? "/dev/stdin" : path, maximumBytes: maximumBytes) } catch {
      throw Failure(error.code == .limitReached ? "it is longer than \(maximumBytes) bytes" : "it cannot be read: \(error.message)")
    }
    return try text(bytes)
  }

  /// The text in a file's bytes: UTF-8 without a byte-order mark.
  public static func text(_ bytes: [UInt8]) throws(Failure) -> [UInt8] {
    if bytes.starts(with: [0xff, 0xfe]) || bytes.starts(with: [0xfe, 0xff]) {
      throw Failure("it is written in UTF-16; save it as UTF-8")
    }
    let text = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? Array(bytes.dropFirst(3)) : bytes
    if String(validating: text, as: UTF8.self) != nil, !text.contains(0) { return text }
    let fault = firstFault(text) ?? 0
    let line = text[..<fault].count { $0 == 0x0a } + 1
    throw Failure(text[fault] == 0 ? "a byte 0 stands where text belongs" : "it is not UTF-8; save it as UTF-8", line: line)
  }

  /// The first byte that belongs to no character, or is 0.
  private static func firstFault(_ text: [UInt8]) -> Int? {
    var index = 0
    while index < text.count {
      let byte = text[index]
      if byte == 0 { return index }
      if byte < 0x80 {
        index += 1
        continue
      }
      let length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2
      let end = min(index + length, text.count)
      guard String(validating: text[index..<end], as: UTF8.self)?.unicodeScalars.count == 1 else { return index }
      index = end
    }
    return nil
  }
}
