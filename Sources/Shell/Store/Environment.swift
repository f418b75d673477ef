import CLMDB
import Glibc
import Wire

/// An LMDB environment together with the lock file that keeps every other process (and a second open in this one) out.
///
/// LMDB itself lets several processes in, and breaks when one process opens a directory twice.
final class Environment: Sendable {
  nonisolated(unsafe) let handle: OpaquePointer
  let pageBytes: Int
  private let dataDirectory: String
  private let lockDescriptor: Int32

  init(dataDirectory: String, configuration: LMDBStore.Configuration) throws(StoreError) {
    self.dataDirectory = dataDirectory
    let folder = dataDirectory + "/store"
    for path in [dataDirectory, folder] where mkdir(path, 0o700) != 0 && errno != EEXIST {
      throw StoreError("cannot make the directory \(path): \(String(cString: strerror(errno)))")
    }
    lockDescriptor = try Self.lock(folder: folder, dataDirectory: dataDirectory)
    var opened: OpaquePointer?
    do throws(StoreError) {
      opened = try Self.open(folder: folder, dataDirectory: dataDirectory, configuration: configuration)
      pageBytes = Self.pageBytes(of: opened)
      try Self.check(opened, folder: folder, dataDirectory: dataDirectory, pageBytes: pageBytes)
    } catch {
      if let opened { mdb_env_close(opened) }
      closeUnlocking(lockDescriptor)
      throw error
    }
    guard let opened else { throw StoreError("cannot open the store in \(dataDirectory)") }
    handle = opened
  }

  deinit {
    mdb_env_close(handle)
    closeUnlocking(lockDescriptor)
  }

  func error(_ code: Int32, _ doing: String) -> StoreError { Self.error(code, doing, dataDirectory) }

  /// Takes the lock; the kernel frees it when the process dies in whatever way.
  private static func lock(folder: String, dataDirectory: String) throws(StoreError) -> Int32 {
    let path = folder + "/LOCK"
    let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw StoreError("cannot open \(path): \(String(cString: strerror(errno)))") }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      close(descriptor)
      if code == EWOULDBLOCK {
        throw StoreError("the data directory \(dataDirectory) is in use by another process; stop it, or use another data directory")
      }
      throw StoreError("cannot lock \(path): \(String(cString: strerror(code)))")
    }
    return descriptor
  }

  private static func open(
    folder: String, dataDirectory: String, configuration: LMDBStore.Configuration
  ) throws(StoreError) -> OpaquePointer {
    let isNew = !exists(folder + "/data.mdb")
    try makeRoom(for: configuration.readerMaximum, folder: folder)
    var created: OpaquePointer?
    guard mdb_env_create(&created) == 0, let environment = created else { throw StoreError("no memory for the store") }
    var code = mdb_env_set_mapsize(environment, max(1 << 20, configuration.mapBytes))
    if code == 0 { code = mdb_env_set_maxdbs(environment, UInt32(clamping: max(1, configuration.tableMaximum))) }
    if code == 0 { code = mdb_env_set_maxreaders(environment, UInt32(clamping: max(2, configuration.readerMaximum))) }
    if code == 0 { code = mdb_env_open(environment, folder, UInt32(MDB_NOTLS), 0o600) }
    guard code == 0 else {
      mdb_env_close(environment)
      // A store that could not be made whole holds nothing, and would pass for a damaged one.
      if isNew { unlink(folder + "/data.mdb") }
      throw error(code, "opening the store", dataDirectory)
    }
    // Slots of readers that were killed would keep old pages alive for ever.
    var dead: Int32 = 0
    mdb_reader_check(environment, &dead)
    return environment
  }

  /// Gives the table of readers its room on the disk. LMDB maps that file and writes into it as into memory, and where the disk has no room
  /// for such a write the process gets a fatal signal, not an error.
  private static func makeRoom(for readers: Int, folder: String) throws(StoreError) {
    let path = folder + "/lock.mdb"
    let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw StoreError("cannot open \(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    let code = posix_fallocate(descriptor, 0, lockHeadBytes + readerBytes * max(2, readers))
    guard code == 0 else {
      throw StoreError("there is no room for \(path): \(String(cString: strerror(code))); free some space, or raise the limit (ulimit -f)")
    }
  }

  private static func exists(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_size > 0
  }

  private static func pageBytes(of environment: OpaquePointer?) -> Int {
    var statistics = MDB_stat()
    mdb_env_stat(environment, &statistics)
    return Int(statistics.ms_psize)
  }

  /// Guards against a data file that lost its end: reading behind the end of a mapped file is a fatal signal, not an error.
  ///
  /// A healthy file may lack a few free pages at its end, so a short file is filled up and walked before it is refused.
  private static func check(_ environment: OpaquePointer?, folder: String, dataDirectory: String, pageBytes: Int) throws(StoreError) {
    var info = MDB_envinfo()
    mdb_env_info(environment, &info)
    let needed = (info.me_last_pgno + 1) * pageBytes
    let path = folder + "/data.mdb"
    var status = stat()
    guard stat(path, &status) == 0 else { throw StoreError("cannot read \(path): \(String(cString: strerror(errno)))") }
    let present = Int(status.st_size)
    guard present < needed else { return }
    guard truncate(path, needed) == 0 else {
      throw StoreError("cannot extend \(path): \(String(cString: strerror(errno)))")
    }
    guard walk(environment, pageBytes: pageBytes, fileBytes: present) else {
      truncate(path, present)
      throw StoreError(
        "the store in \(dataDirectory) is damaged: \(path) has \(present) bytes of \(needed); restore a copy, or remove \(folder) and sync again"
      )
    }
  }

  /// Whether every entry of every table lies inside the first `fileBytes` of the file.
  private static func walk(_ environment: OpaquePointer?, pageBytes: Int, fileBytes: Int) -> Bool {
    var transaction: OpaquePointer?
    guard mdb_txn_begin(environment, nil, UInt32(MDB_RDONLY), &transaction) == 0, let transaction else { return false }
    defer { mdb_txn_abort(transaction) }
    var main = MDB_dbi()
    guard mdb_dbi_open(transaction, nil, 0, &main) == 0 else { return false }
    var names: [String] = []
    let sound = entries(transaction, main) { key, _ in
      names.append(String(decoding: UnsafeRawBufferPointer(start: key.mv_data, count: key.mv_size), as: UTF8.self))
      return true
    }
    guard sound else { return false }
    for name in names {
      var table = MDB_dbi()
      guard mdb_dbi_open(transaction, name, 0, &table) == 0 else { return false }
      let sound = entries(transaction, table) { _, value in
        guard let data = value.mv_data, Int(bitPattern: data) % pageBytes == pageHeaderBytes else { return true }
        // Only a value on overflow pages of its own starts right behind a page's header.
        let header = data - pageHeaderBytes
        let page = header.load(as: Int.self)
        guard header.load(fromByteOffset: 10, as: UInt16.self) & 0x04 != 0, page > 1, page < Int.max / pageBytes else { return false }
        return page * pageBytes + pageHeaderBytes + value.mv_size <= fileBytes
      }
      guard sound else { return false }
    }
    return true
  }

  private static func entries(_ transaction: OpaquePointer, _ table: MDB_dbi, _ visit: (MDB_val, MDB_val) -> Bool) -> Bool {
    var cursor: OpaquePointer?
    guard mdb_cursor_open(transaction, table, &cursor) == 0, let cursor else { return false }
    defer { mdb_cursor_close(cursor) }
    var key = MDB_val()
    var value = MDB_val()
    var code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST)
    while code == 0 {
      guard visit(key, value) else { return false }
      code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)
    }
    return code == MDB_NOTFOUND
  }

  private static func error(_ code: Int32, _ doing: String, _ directory: String) -> StoreError {
    let reason =
      switch code {
      case MDB_MAP_FULL: "the store is full; raise store_map_gib"
      case ENOSPC, EDQUOT: "the disk is full; free some space"
      case EFBIG: "a file has reached the largest size that is allowed; raise the limit (ulimit -f)"
      case MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_INVALID:
        "the data is damaged; restore a copy, or remove its folder store and sync again"
      case MDB_PANIC: "an earlier write failed halfway; restart the node"
      case MDB_VERSION_MISMATCH: "the data was written by another version of LMDB"
      case MDB_READERS_FULL: "too many reads at the same time"
      case MDB_DBS_FULL: "too many tables"
      case MDB_MAP_RESIZED: "another process enlarged the store; restart the node"
      case MDB_TXN_FULL: "one batch changes too much"
      case EACCES, EPERM, EROFS: "no permission to write"
      case EIO: "the disk wrote only a part: it is full, or it is failing"
      case ENOMEM: "no address space for the map; lower store_map_gib"
      default: String(cString: mdb_strerror(code))
      }
    return StoreError("\(doing) in \(directory): \(reason)")
  }

  /// A reader's slot in LMDB's lock file is one line of the processor's cache; more than the head that stands before them.
  private static let (readerBytes, lockHeadBytes) = (64, 4_096)
  /// LMDB's page header on 64-bit machines: page number 8, padding 2, flags 2, bounds 4.
  private static let pageHeaderBytes = 16
}
