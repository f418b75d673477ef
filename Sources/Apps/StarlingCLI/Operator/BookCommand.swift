import EventLoop
import Foundation
import HTTPAPI
import Node
import Wire

/// `starling book …`
enum BookCommand {
  static func run(_ call: ParsedCommand) throws -> Int32 {
    switch call.path.last {
    case "inspect": try inspect(call)
    case "export": try export(call)
    default: try importBook(call)
    }
  }

  private static func inspect(_ call: ParsedCommand) throws -> Int32 {
    let book = try call["stopped"].map { BookResponse(try StoppedNode(dataDirectory: $0).peering.bookSummary()) } ?? NodeAPI(call).book()
    if call.isOn("json") {
      Output.json(book)
      return ExitStatus.success
    }
    func table(_ table: BookResponse.Table) -> String {
      "\(table.places.counted("place")) taken, in \(table.filledBuckets) of \(table.buckets) buckets"
    }
    Output.rows([
      ("Peers", ["\(book.peers), \(book.addresses) addresses of \(book.groups) network groups"]),
      ("Tried", [table(book.tried) + (book.waiting == 0 ? "" : "; \(book.waiting) waiting while the peers in their places are tested")]),
      ("New", [table(book.new)]), ("Anchors", book.anchors.isEmpty ? ["none"] : book.anchors),
      ("Groups", book.largestGroups.map { "\($0.name): \($0.addresses)" }),
    ])
    return ExitStatus.success
  }

  private static func export(_ call: ParsedCommand) throws -> Int32 {
    let page: (Int) throws -> BookEntriesResponse
    if let folder = call["stopped"] {
      let peering = try StoppedNode(dataDirectory: folder).peering
      page = { start in
        let page = peering.bookEntries(from: start, limit: ImportRequest.entriesMaximum)
        return BookEntriesResponse(page.entries, next: page.next)
      }
    } else {
      let api = try NodeAPI(call)
      page = { try api.bookEntries(from: $0, limit: ImportRequest.entriesMaximum) }
    }
    var start: Int? = 0
    while let from = start {
      let answer = try page(from)
      for entry in answer.entries { Output.json(entry) }
      if let next = answer.next, next <= from {
        throw Failure("the book has no end: behind the entries from \(from) on, the next are said to be those from \(next) on")
      }
      start = answer.next
    }
    return ExitStatus.success
  }

  private static func importBook(_ call: ParsedCommand) throws -> Int32 {
    let file = call.arguments[0]
    let text: [UInt8]
    do throws(TextFile.Failure) { text = try TextFile.read(file, maximumBytes: bytesMaximum) } catch {
      throw Failure(error.text(of: file))
    }
    let api = try NodeAPI.admin(call)
    var total = OperationResponse(result: "imported", added: 0, known: 0, refused: 0)
    var batch: [ImportRequest.Entry] = []
    func flush() throws {
      guard !batch.isEmpty else { return }
      let answer = try api.importBook(batch)
      for count in [\OperationResponse.added, \.known, \.refused] {
        let (sum, overflow) = (total[keyPath: count] ?? 0).addingReportingOverflow(max(0, answer[keyPath: count] ?? 0))
        total[keyPath: count] = overflow ? .max : sum
      }
      batch = []
    }
    // A failure leaves what was sent before in place, so every line is read first.
    let entries = try text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated().compactMap { index, line in
      try entry(Data(line), "\(file):\(index + 1)")
    }
    for entry in entries {
      batch.append(entry)
      if batch.count == batchSize { try flush() }
    }
    try flush()
    if call.isOn("json") {
      Output.json(total)
    } else {
      Output.line(
        "New addresses: \(total.added ?? 0). Known already: \(total.known ?? 0). Refused, because this node cannot use them or has no room: \(total.refused ?? 0)."
      )
    }
    return ExitStatus.success
  }

  private static func entry(_ line: Data, _ place: String) throws -> ImportRequest.Entry? {
    if line.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") }) { return nil }
    guard let entry = try? JSONDecoder().decode(ImportRequest.Entry.self, from: line) else {
      throw Failure("\(place): not a JSON object with \"address\" and, if it is known, \"peer\"; nothing was imported")
    }
    return entry
  }

  /// Far more than the largest book, exported.
  private static let bytesMaximum = 256 << 20
  /// Far below the longest body that a node reads.
  private static let batchSize = 500
}
