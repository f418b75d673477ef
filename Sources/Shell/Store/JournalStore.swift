import Glibc
import Threads
import Wire

/// A small durable store in one file: batches one behind the other, each under a checksum, and a copy of everything in memory.
///
/// Made for the peer book. Unlike ``LMDBStore`` it notices any damage of its file when it is opened, and never reads what it has not
/// checked. A batch that a crash has torn at the file's end is dropped: nobody was told that it is durable. A batch that was damaged later is
/// passed over, and those behind it are read (``damage``). One process at a time has the
/// file. Reads are O(log n) and take no disk; a commit returns after `fdatasync`. The file is written anew when most of it is out of date.
public final class JournalStore: KeyValueStore {
  private let path: String
  private let memory = MemoryStore()
  private let writing = Lock()
  // Under `writing`.
  private nonisolated(unsafe) var file: JournalFile
  /// The file's length when it was last written anew.
  private nonisolated(unsafe) var baseBytes: Int

  /// The bytes of a torn batch that was dropped from the file's end when it was opened.
  public let droppedBytes: Int

  /// What of a file was passed over when it was opened.
  public struct Damage: Hashable, Sendable {
    /// The places at which something was wrong.
    public var places = 0
    /// The bytes that could not be read; each batch in them is as if it had never been written.
    public var bytes = 0
  }

  /// What was passed over when it was opened. It stays in the file until ``repair(keeping:)``.
  public let damage: Damage

  /// Opens the file, or makes it where it is missing.
  ///
  /// - Throws: a ``StoreError`` that names the file: it cannot be read or written, another process has it, or it holds no batch that can be read.
  public init(path: String) throws(StoreError) {
    self.path = path
    let file = try JournalFile(opening: path)
    let bytes = try file.read(maximum: Self.bytesMaximum)
    var damage = Damage()
    let end = try JournalFormat.read(bytes, path: path, &damage) { [memory] in memory.apply($0) }
    self.damage = damage
    // An end before the first line is a file that is just being made.
    droppedBytes = end == 0 ? 0 : bytes.count - end
    self.file = file
    baseBytes = end
    file.length = end
    if end == 0 {
      try file.append(JournalFormat.magic)
    } else if droppedBytes > 0 {
      try file.cut()
    }
  }

  /// The value of a key, or `nil`.
  public func get(_ table: StoreTable, _ key: [UInt8]) throws(StoreError) -> [UInt8]? {
    try memory.get(table, key)
  }

  /// Up to `limit` entries from `start` on, in byte order.
  public func scan(_ table: StoreTable, from start: [UInt8], limit: Int) throws(StoreError) -> [(key: [UInt8], value: [UInt8])] {
    try memory.scan(table, from: start, limit: limit)
  }

  /// Makes the whole batch durable or nothing of it; waits for other commits and for the disk.
  public func commit(_ batch: WriteBatch) throws(StoreError) {
    try StoreLimits.check(batch)
    guard !batch.isEmpty else { return }
    try writing.withLock { () throws(StoreError) in
      let record = JournalFormat.record(batch.operations)
      guard file.length + record.count <= Self.bytesMaximum else { throw StoreError("\(path) is full") }
      try file.append(record)
      memory.apply(batch.operations)
      // The batch is durable already: when there is no room to tidy up, that waits until the file has doubled again.
      if file.length > max(2 * baseBytes, Self.rewriteBytes) {
        baseBytes = file.length
        try? writeAnew()
      }
    }
  }

  /// Writes the file anew without what is damaged, and keeps the damaged one under another name.
  public func repair(keeping aside: String) throws(StoreError) {
    try writing.withLock { () throws(StoreError) in
      guard link(path, aside) == 0 else { throw StoreError("keeping \(path) as \(aside): \(String(cString: strerror(errno)))") }
      try writeAnew()
    }
  }

  private func writeAnew() throws(StoreError) {
    var bytes = JournalFormat.magic
    for (table, map) in memory.snapshot.maps.sorted(by: { $0.key.name < $1.key.name }) {
      let rows = map.scan(from: [], limit: .max)
      // Each row for itself, so that a wrong byte costs one.
      for row in rows {
        var batch = WriteBatch()
        batch.put(table, row.key, row.value)
        bytes += JournalFormat.record(batch.operations)
      }
    }
    file = try JournalFile(replacing: path, with: bytes)
    baseBytes = bytes.count
  }

  /// Far more than the rows of the largest book, twice.
  private static let bytesMaximum = 256 << 20
  private static let rewriteBytes = 1 << 20
}

/// The journal's bytes: a first line, then records: length and checksum of the payload (4 and 8 bytes, big endian), a checksum of both
/// (4 bytes), and the payload: protobuf, 1 repeated row {1 table, 2 key, 3 value, absent: removed}.
enum JournalFormat {
  static let magic = Array("starling rows 1\n".utf8)
  static let headBytes = 16

  static func record(_ operations: [WriteBatch.Operation]) -> [UInt8] {
    var writer = ProtobufWriter(capacity: 1_024)
    for operation in operations {
      writer.message(1) {
        $0.string(1, operation.table.name)
        $0.data(2, operation.key)
        if let value = operation.value { $0.data(3, value) }
      }
    }
    let payload = writer.bytes
    var record: [UInt8] = []
    record.reserveCapacity(headBytes + payload.count)
    record.appendBigEndian(UInt32(clamping: payload.count))
    record.appendBigEndian(hash(payload[...]))
    record.appendBigEndian(UInt32(truncatingIfNeeded: hash(record[...])))
    return record + payload
  }

  /// Reads the records that are whole; returns where the last one ends. What follows is a torn batch.
  ///
  /// A record is torn when no good one follows it; otherwise it is damaged, and the next good one is looked for. O(n).
  static func read(
    _ bytes: [UInt8], path: String, _ damage: inout JournalStore.Damage, _ apply: ([WriteBatch.Operation]) -> Void
  ) throws(StoreError) -> Int {
    if magic.starts(with: bytes) && bytes.count < magic.count { return 0 }
    let isOfItsKind = bytes.starts(with: magic)
    guard isOfItsKind || next(bytes, from: min(magic.count, bytes.count)) != nil else {
      throw StoreError("\(path) does not begin as one of its kind", .damaged)
    }
    if !isOfItsKind { damage = JournalStore.Damage(places: 1, bytes: magic.count) }
    var offset = magic.count
    while let (start, end, batch) = next(bytes, from: offset) {
      if start > offset {
        damage.places += 1
        damage.bytes += start - offset
      }
      apply(batch.operations)
      offset = end
    }
    return offset
  }

  /// The first good record from a place on.
  private static func next(_ bytes: [UInt8], from start: Int) -> (start: Int, end: Int, batch: WriteBatch)? {
    func word(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
    var offset = start
    while offset + headBytes <= bytes.count {
      let payload = offset + headBytes
      // The sum over zeros is not zero, so that a file that has merely grown holds none.
      guard word(offset + 12..<payload) == hash(bytes[offset..<offset + 12]) & 0xffff_ffff else {
        offset += 1
        continue
      }
      let end = payload + Int(word(offset..<offset + 4))
      guard end <= bytes.count else {
        offset += 1
        continue
      }
      if hash(bytes[payload..<end]) == word(offset + 4..<offset + 12), let batch = batch(bytes[payload..<end]) {
        return (offset, end, batch)
      }
      // Its length is good, so that what it holds is not searched: a row may hold the bytes of a record.
      offset = end
    }
    return nil
  }

  private static func batch(_ payload: ArraySlice<UInt8>) -> WriteBatch? {
    var batch = WriteBatch()
    do throws(ProtobufError) {
      var reader = ProtobufReader(payload.span.bytes)
      while let field = try reader.nextField() {
        guard field == .bytes(1) else { throw .badField(field.number) }
        try readRow(reader.span, into: &batch)
      }
    } catch { return nil }
    return batch
  }

  private static func readRow(_ span: RawSpan, into batch: inout WriteBatch) throws(ProtobufError) {
    var (table, key): (String, [UInt8]) = ("", [])
    var value: [UInt8]?
    var reader = ProtobufReader(span)
    while let field = try reader.nextField() {
      switch field {
      case .bytes(1): table = try reader.string()
      case .bytes(2): key = reader.bytes
      case .bytes(3): value = reader.bytes
      default: throw .badField(field.number)
      }
    }
    if let value { batch.put(StoreTable(table), key, value) } else { batch.remove(StoreTable(table), key) }
  }

  /// Against accidents only, so that the key is nobody's secret.
  private static func hash(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    var hash = SipHash(SipHash.Key(low: 0, high: 0))
    hash.combine(bytes.span.bytes)
    return hash.value
  }
}

/// The descriptor of a journal, locked against other processes.
final class JournalFile {
  private let path: String
  private let descriptor: Int32
  /// Where the next record goes; what lies behind it is none.
  var length = 0
  private var mustCut = false

  init(opening path: String) throws(StoreError) {
    self.path = path
    while true {
      let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else { throw StoreError("cannot open \(path): \(String(cString: strerror(errno)))") }
      guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
        close(descriptor)
        throw StoreError("\(path) is in use by another process", .inUse)
      }
      // Its former owner may have put a new file in its place just before.
      var (own, named) = (stat(), stat())
      if fstat(descriptor, &own) == 0, stat(path, &named) == 0, own.st_ino == named.st_ino {
        self.descriptor = descriptor
        return
      }
      closeUnlocking(descriptor)
    }
  }

  /// Puts a new file in the place of the old one, at once and for good.
  init(replacing path: String, with bytes: [UInt8]) throws(StoreError) {
    self.path = path
    let new = path + ".new"
    descriptor = open(new, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw error("making") }
    do throws(StoreError) {
      guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw error("locking") }
      try append(bytes)
      guard rename(new, path) == 0 else { throw error("renaming") }
    } catch {
      // On a full disk it would take the room that the rows need.
      unlink(new)
      throw error
    }
    let folder = open(Self.folder(of: path), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if folder >= 0 {
      fsync(folder)
      close(folder)
    }
  }

  deinit {
    if descriptor >= 0 { closeUnlocking(descriptor) }
  }

  func read(maximum: Int) throws(StoreError) -> [UInt8] {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw error("reading") }
    guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= maximum else {
      throw StoreError("\(path) is not a file, or is larger than \(maximum >> 20) MiB", .damaged)
    }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var count = 0
    while count < bytes.count {
      let read = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress! + count, $0.count - count, count) }
      if read < 0 && errno == EINTR { continue }
      guard read > 0 else { throw error("reading") }
      count += read
    }
    return bytes
  }

  /// Appends a record and waits until it is on the disk; after an error it is as if it had not been.
  func append(_ record: [UInt8]) throws(StoreError) {
    if mustCut { try cut() }
    var count = 0
    while count < record.count {
      let written = record.withUnsafeBytes { pwrite(descriptor, $0.baseAddress! + count, $0.count - count, length + count) }
      if written < 0 && errno == EINTR { continue }
      guard written > 0 else { throw failed() }
      count += written
    }
    guard fdatasync(descriptor) == 0 else { throw failed() }
    length += record.count
  }

  /// Takes away what lies behind the last record.
  func cut() throws(StoreError) {
    mustCut = true
    guard ftruncate(descriptor, length) == 0 else { throw error("cutting") }
    mustCut = false
  }

  private func failed() -> StoreError {
    let cause = error("writing")
    mustCut = true
    try? cut()
    return cause
  }

  private func error(_ doing: String) -> StoreError { StoreError("\(doing) \(path): \(String(cString: strerror(errno)))") }

  private static func folder(of path: String) -> String {
    path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
  }
}
