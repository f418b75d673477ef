import Foundation
import HostCore
import Identity
import Ledger
import NodeCore
import Peering
import Sync
import Testing
import Wire

@testable import Node

@Suite struct EventLogTests {
  private let peer: PeerID
  private let name = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"

  init() throws { peer = try PeerID(text: name) }

  private func logged(_ format: LogFormat, _ events: [NodeEvent]) -> [String] {
    let lines = Lines()
    let log = EventLog(logger: Logger(level: .debug, format: format, now: { Date(timeIntervalSince1970: 0) }, sink: { lines.append($0) }))
    for event in events { log.write(event) }
    return lines.all.split(separator: "\n").map(String.init)
  }

  private var events: [NodeEvent] {
    let link = ConnectionID(rawValue: 7)
    let peering: [PeeringEvent] = [
      .peerKnown(peer, .identify(peer)), .proven(link, peer, .inbound), .peerActive(link, peer, .inbound),
      .peerInactive(link, peer, Reason(.shutdown)), .linkClosed(link, peer, Reason(.shutdown), by: .remote), .bookRowRemoved(peer),
    ]
    return peering.map { .host(.peering($0)) } + [
      .fetchFailed(peer, .late), .claimNotShown(peer, height: 9, .malformed),
      .chain(.blockApplied(hash: .zero, height: 3, transactions: 2)), .chain(.sideBlockKept(hash: .zero, height: 3)),
      .chain(.transactionsDropped(count: 1, .expired)), .sync(.syncing(target: 5)), .sync(.synced),
    ]
  }

  /// Values are words and `key=value`, not what Swift makes of a case.
  @Test func noLineIsADump() {
    let lines = logged(.text, events)
    #expect(lines.count == events.count)
    for line in lines { #expect(!line.contains("rawValue") && !line.contains("(target:") && !line.contains("PeerID("), "\(line)") }
    #expect(lines.contains { $0.hasSuffix("DEBUG peers proved its identity on out#7 (inbound) peer=12D3…SUKPH5") }, "\(lines)")
    #expect(lines.contains { $0.hasSuffix("a peer did not deliver blocks peer=12D3…SUKPH5 why=\"no answer in time\"") }, "\(lines)")
    #expect(lines.contains { $0.hasSuffix("applied a block height=3 hash=00000000 transactions=2") }, "\(lines)")
  }

  /// A clock that is behind makes every peer's copy of every block a refusal: a few lines tell of it, not one for each.
  @Test func blocksFromTheFutureDoNotFloodTheLog() throws {
    let producer = try #require(Address(hex: String(repeating: "ab", count: 32)))
    let event = NodeEvent.chain(.blockAhead(producer: producer, slot: 9, by: .seconds(300), from: peer))
    #expect(logged(.text, Array(repeating: event, count: 40)).count == 3)
  }

  /// The lines of one peer can be joined by its name.
  @Test func programsGetWholeNames() throws {
    for line in logged(.json, events) {
      let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      if let peer = object["peer"] as? String { #expect(peer == name, "\(line)") }
      if let hash = object["hash"] as? String { #expect(hash.count == 64, "\(line)") }
    }
  }
}
