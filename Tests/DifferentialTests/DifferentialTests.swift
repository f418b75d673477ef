import Crypto
import Foundation
import Identity
import Ledger
import Sync
import TestKit
import Testing
import Wire

@testable import Discovery
@testable import Gossip
@testable import HostCore
@testable import Identity
@testable import Ledger
@testable import Peering
@testable import SecureChannel

/// The same bytes, read here and by Python's protobuf.
///
/// Protobuf says whether bytes are a message, and writes the fields that it knows anew. What is read of the two forms here must be the same, and nothing
/// that protobuf refuses may be read. So no decoder can take a field for another, lose its place, hide a fault or differ on what comes
/// twice. Beyond that a decoder may refuse what means nothing (a hash of 31 bytes): then it refuses both forms.
///
/// The known differences, each on purpose: a tag of more than five bytes is read, as go does; the ledger's messages have one form only;
/// and a row for taking blocks back has no field that this version does not know.
@Suite("The same bytes, read by Python's protobuf", .ownThread) struct DifferentialTests {
  /// A kind of message, and how it is read.
  struct Kind: CustomTestStringConvertible, Sendable {
    /// What a decoder may refuse that protobuf reads.
    enum Strictness { case nothing, unknownFields, otherForms }

    let name: String
    let corpus: [[UInt8]]
    let refuses: Strictness
    let maximum: Int
    /// All of what was understood, or `nil`.
    let read: @Sendable (RawSpan) -> AnyHashable?
    var testDescription: String { name }
  }

  /// How many messages of each kind; more for a long run.
  static let count = ProcessInfo.processInfo.environment["STARLING_DIFFERENTIAL"].flatMap(Int.init) ?? 100_000

  @Test("no difference", arguments: Kinds.all) func differences(kind: Kind) throws {
    try #require(
      FileManager.default.isExecutableFile(atPath: Reference.python.path), "no Python with protobuf: run Scripts/setup")
    for message in kind.corpus { #expect(kind.read(message.rawSpan) != nil, "the good message \(Base16.encode(message)) is refused") }
    let seed: UInt64 = 0xd1ff
    var mutator = Mutator(generator: SeededGenerator(seed: seed), corpus: kind.corpus, maximum: kind.maximum)
    let reference = try Reference(kind.name)
    defer { reference.end() }
    var (done, read, faults) = (0, 0, 0)
    while done < Self.count && faults < 5 {
      let messages = (0..<min(5_000, Self.count - done)).map { _ in mutator.next() }
      let answers = try reference.read(messages)
      try #require(answers.count == messages.count)
      for (message, canonical) in zip(messages, answers) {
        let understood = kind.read(message.rawSpan)
        if understood != nil { read += 1 }
        if let fault = fault(kind, message, canonical, understood) {
          faults += 1
          Issue.record("\(kind.name) \(Base16.encode(message)): \(fault)")
        }
      }
      done += messages.count
    }
    #expect(read > Self.count / 100 && read < Self.count, "\(read) of \(done) messages were read: they show nothing")
  }

  private func fault(_ kind: Kind, _ message: [UInt8], _ canonical: [UInt8]?, _ understood: AnyHashable?) -> String? {
    guard let canonical else {
      return understood == nil || hasLongTag(message.rawSpan, 0) ? nil : "protobuf refuses it; read as \(shown(understood))"
    }
    if canonical == message { return nil }
    if kind.refuses == .otherForms { return understood == nil ? nil : "not in its one form, and read as \(shown(understood))" }
    if kind.refuses == .unknownFields && understood == nil { return nil }
    let wanted = kind.read(canonical.rawSpan)
    return understood == wanted
      ? nil : "read as \(shown(understood)), and in protobuf's form \(Base16.encode(canonical)) as \(shown(wanted))"
  }

  private func shown(_ value: AnyHashable?) -> String { value.map { "\($0)" } ?? "nothing" }

  /// Whether a tag of more than five bytes stands at the beginning of a field, at any depth to which bytes can be read as fields.
  private func hasLongTag(_ span: RawSpan, _ depth: Int) -> Bool {
    var offset = 0
    while offset < span.byteCount {
      guard case .value(let tag, let tagBytes) = Varint.readProtobuf(span, at: offset) else { return false }
      if tagBytes > 5 { return true }
      offset += tagBytes
      switch tag & 7 {
      case 0:
        guard case .value(_, let bytes) = Varint.readProtobuf(span, at: offset) else { return false }
        offset += bytes
      case 1: offset += 8
      case 2:
        guard case .value(let count, let bytes) = Varint.readProtobuf(span, at: offset), count <= UInt64(span.byteCount - offset - bytes)
        else {
          return false
        }
        offset += bytes
        if depth < 5 && hasLongTag(span.extracting(offset..<offset + Int(count)), depth + 1) { return true }
        offset += Int(count)
      case 5: offset += 4
      default: break
      }
    }
    return false
  }
}
