import CUV
import Glibc

/// Files that are written whole or not at all: keys, address books, settings.
public enum PrivateFile {
  /// Replaces the file at `path` with `bytes`, mode 0600: after a crash at any moment, the file holds either the former content or the
  /// new one. Writes a temporary file beside it, syncs, renames, and syncs the folder. O(n), and blocks on the disk.
  ///
  /// - Throws: ``TransportError`` with the system's code; the former file is untouched then.
  public static func write(_ bytes: [UInt8], to path: String) throws(TransportError) {
    try put(bytes, to: path, mode: 0o600) { temporary in rename(temporary, path) }
  }

  /// Makes a file that is not there yet; after a crash at any moment, it is there whole or not at all. O(n), and blocks on the disk.
  ///
  /// - Parameter mode: who may read it, by default its owner alone; the process's mask applies.
  /// - Throws: ``TransportError`` with the system's code, `alreadyExists` when there is something at `path`, which is untouched then.
  public static func create(_ bytes: [UInt8], at path: String, mode: UInt32 = 0o600) throws(TransportError) {
    // Before anything is written, for a clear answer on a full disk.
    var status = stat()
    if lstat(path, &status) == 0 { throw TransportError(.alreadyExists, context: "create \(path)") }
    try put(bytes, to: path, mode: mode) { temporary in
      // A link, unlike a renaming, never takes the place of another file.
      if link(temporary, path) == 0 { return unlink(temporary) }
      // Some file systems have no links.
      guard errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS, access(path, F_OK) != 0 else { return -1 }
      return rename(temporary, path)
    }
  }

  private static func put(
    _ bytes: [UInt8], to path: String, mode: UInt32, _ place: (_ temporary: String) -> Int32
  ) throws(TransportError) {
    let temporary = path + ".tmp-\(getpid())-\(Platform.randomBytes(4).map { String($0, radix: 16) }.joined())"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw failure("create \(temporary)") }
    do {
      defer { close(descriptor) }
      if let fault = Platform.write(bytes, to: descriptor).fault {
        errno = fault
        let error = failure("write \(temporary)")
        unlink(temporary)
        throw error
      }
      guard fsync(descriptor) == 0 else {
        let error = failure("sync \(temporary)")
        unlink(temporary)
        throw error
      }
    }
    guard place(temporary) == 0 else {
      let error = failure("put \(path) in its place")
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

  /// Whether nobody but its owner and the system's administrator can read or change the file.
  public static func isPrivate(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & 0o077 == 0
  }

  private static func failure(_ context: String) -> TransportError { TransportError(status: -errno, context: context) }
}
