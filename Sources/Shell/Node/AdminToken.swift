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
    do throws(TransportError) { bytes = try PrivateFile.read(path, maximumBytes: 4_096) } catch {
      throw KeyFile.Failure(description: "the admin token \(path) cannot be read: \(error)")
    }
    let token = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    guard token.utf8.count >= charactersMinimum, token.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
      throw KeyFile.Failure(
        description: "the admin token \(path) must have \(charactersMinimum) visible characters at least; delete the file for a new one")
    }
    return token
  }

  /// Reads a token, or makes one of 32 random bytes on the first start. Tells too whether nobody else can read the file.
  static func readOrCreate(_ path: String) throws(KeyFile.Failure) -> (token: String, isPrivate: Bool) {
    if FileManager.default.fileExists(atPath: path) {
      let mode = (try? FileManager.default.attributesOfItem(atPath: path))?[.posixPermissions] as? NSNumber
      return (try read(path), mode.map { $0.intValue & 0o077 == 0 } ?? false)
    }
    let token = Base16.encode(Platform.randomBytes(32))
    do throws(TransportError) { try PrivateFile.write(Array((token + "\n").utf8), to: path) } catch {
      throw KeyFile.Failure(description: "the admin token \(path) cannot be written: \(error)")
    }
    return (token, true)
  }
}
