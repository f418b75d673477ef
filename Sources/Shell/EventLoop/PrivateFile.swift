import CUV
import Glibc

/// Files that only their owner may read, replaced as a whole: keys, address books, settings.
public enum PrivateFile {
  /// Replaces the file at `path` with `bytes`, mode 0600: after a crash at any moment, the file holds either the former content or the
  /// new one. Writes a temporary file beside it, syncs, renames, and syncs the folder. O(n), and blocks on the disk.
  ///
  /// - Throws: ``TransportError`` with the system's code; the former file is untouched then.
  public static func write(_ bytes: [UInt8], to path: String) throws(TransportError) {
    let temporary = path + ".tmp-\(getpid())-\(Platform.randomBytes(4).map { String($0, radix: 16) }.joined())"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failure("create \(temporary)") }
    do {
      defer { close(descriptor) }
      var offset = 0
      while offset < bytes.count {
        let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress?.advanced(by: offset), $0.count - offset) }
        if written < 0, errno != EINTR {
          let error = failure("write \(temporary)")
          unlink(temporary)
          throw error
        }
        offset += max(0, written)
      }
      guard fsync(descriptor) == 0 else {
        let error = failure("sync \(temporary)")
        unlink(temporary)
        throw error
      }
    }
    guard rename(temporary, path) == 0 else {
      let error = failure("rename \(temporary) to \(path)")
      unlink(temporary)
      throw error
    }
    let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let folderDescriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard folderDescriptor >= 0 else { throw failure("open \(folder)") }
    defer { close(folderDescriptor) }
    guard fsync(folderDescriptor) == 0 else { throw failure("sync \(folder)") }
  }

  /// Reads the whole file at `path`. O(n), and blocks on the disk.
  ///
  /// - Throws: ``TransportError`` with the system's code, or `limitReached` when the file is longer than `maximumBytes`.
  public static func read(_ path: String, maximumBytes: Int) throws(TransportError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open \(path)") }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = chunk.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
      if count == 0 { return bytes }
      if count < 0 {
        if errno == EINTR { continue }
        throw failure("read \(path)")
      }
      bytes.append(contentsOf: chunk[..<count])
      if bytes.count > maximumBytes {
        throw TransportError(.limitReached, context: "\(path) is longer than \(maximumBytes) bytes")
      }
    }
  }

  private static func failure(_ context: String) -> TransportError { TransportError(status: -errno, context: context) }
}
