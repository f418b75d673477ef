import Crypto
import EventLoop
import Foundation
import Identity
import SecureChannel

/// Keys on disk, readable by the owner alone: node and producer keys in the libp2p private-key encoding, and the key of a private network.
public enum KeyFile {
  /// Why a key file cannot be used.
  public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong, with the file's name.
    public let description: String
  }

  /// Reads a key.
  public static func read(_ path: String, crypto: any CryptoSuite = SystemCrypto.shared) throws(Failure) -> NodeKey {
    let bytes: [UInt8]
    do throws(TransportError) { bytes = try PrivateFile.read(path, maximumBytes: 4096) } catch {
      throw Failure(description: "the key file \(path) cannot be read: \(error)")
    }
    do throws(IdentityError) { return try NodeKey(encoded: bytes.rawSpan, crypto: crypto) } catch {
      throw Failure(description: "the key file \(path) is damaged: \(error)")
    }
  }

  /// Writes a key with mode 0600; a file that exists is an error, because a lost key cannot be recovered.
  public static func write(_ key: NodeKey, to path: String) throws(Failure) {
    do throws(TransportError) { try PrivateFile.create(key.encoded, at: path) } catch {
      throw Failure(
        description: error.code == .alreadyExists
          ? "\(path) exists already; a key is never overwritten" : "the key file \(path) cannot be written: \(error)")
    }
  }

  /// Reads the key of a private network (`swarm_key`).
  public static func readNetworkKey(_ path: String) throws(Failure) -> NetworkKey {
    var bytes: [UInt8]
    do throws(TransportError) { bytes = try PrivateFile.read(path, maximumBytes: 4096) } catch {
      throw Failure(description: "the network's key file \(path) cannot be read (--swarm-key): \(error)")
    }
    // Its last part may be no text (`/bin/`), so that only an editor's mark at its beginning is dropped.
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { bytes.removeFirst(3) }
    do throws(NetworkKey.FileError) { return try NetworkKey(file: bytes) } catch {
      throw Failure(description: "\(path) is not the key file of a private network (--swarm-key): \(error)")
    }
  }

  /// Reads a key, or makes one on the first start.
  public static func readOrCreate(_ path: String, crypto: any CryptoSuite = SystemCrypto.shared) throws(Failure) -> NodeKey {
    if FileManager.default.fileExists(atPath: path) { return try read(path, crypto: crypto) }
    let key = NodeKey(seed: crypto.randomBytes(32), crypto: crypto)
    try write(key, to: path)
    return key
  }
}
