import EventLoop
import Foundation
import Wire

/// The bearer token of admin calls on disk, readable by the owner alone: whoever can read it may command the node.
public enum AdminToken {
  /// The fewest characters that are taken.
  static let charactersMinimum = 16

  /// Reads a token.
  ///
  /// - Throws: a ``KeyFile/Failure`` that names the file.
  public static func read(_ path: String) throws(KeyFile.Failure) -> String {
    let bytes: [UInt8]
    do throws(TextFile.Failure) { bytes = try TextFile.read(path, maximumBytes: 4_096) } catch {
      throw KeyFile.Failure(description: "the admin token \(path): \(error)")
    }
    let token = String(decoding: bytes, as: UTF8.self).trimmed
    guard isGood(token) else {
      throw KeyFile.Failure(
        description: "\(path) holds no admin token: \(charactersMinimum) or more visible characters in one line, and nothing else")
    }
    return token
  }

  /// Whether a text may be a token: nobody guesses it, and it can be sent in a header.
  static func isGood(_ token: String) -> Bool {
    token.utf8.count >= charactersMinimum && token.utf8.allSatisfy { (0x21...0x7e).contains($0) }
  }

  /// Reads a token, or makes one of 32 random bytes on the first start. Tells too whether nobody else can read the file.
  static func readOrCreate(_ path: String) throws(KeyFile.Failure) -> (token: String, isPrivate: Bool) {
    if FileManager.default.fileExists(atPath: path) {
      return (try read(path), PrivateFile.isPrivate(path))
    }
    let token = Base16.encode(Platform.randomBytes(32))
    do throws(TransportError) { try PrivateFile.write(Array((token + "\n").utf8), to: path) } catch {
      throw KeyFile.Failure(description: "the admin token \(path) cannot be written: \(error)")
    }
    return (token, true)
  }
}
