import Foundation
import HTTPAPI
import HostCore
import Identity
import NodeCore
import Peering
import Store
import Swarm
import Testing
import Threads
import Wire

@testable import Node

/// What operators set is durable when the node says so, and written later when it says that it is not.
@Suite(.serialized) struct BookDurabilityTests {
  private static func ban(_ number: Int) -> Query {
    .operate(.ban(.network(IPNetwork("10.0.\(number / 256).\(number % 256)")!), for: nil, "tested"))
  }

  @Test func aFullDiskIsToldAndMadeUpFor() async throws {
    try await onOwnThread {
      let flock = try Flock()
      defer { flock.stop() }
      let store = FaultingStore(durability: .immediate)
      var rig = Node.Rig()
      rig.book = store
      let node = try flock.start("first", rig: rig)
      let other = NodeKey(seed: [UInt8](repeating: 9, count: 32), crypto: Node.crypto).peerID
      let address = try Multiaddr("/ip4/127.0.0.1/tcp/1")
      // What is taken back later is stored before.
      let former = NodeKey(seed: [UInt8](repeating: 10, count: 32), crypto: Node.crypto).peerID
      let (named, bare) = (try Multiaddr("/ip4/127.0.0.1/tcp/2"), try Multiaddr("/ip4/127.0.0.1/tcp/3"))
      let network = BanSubject.network(IPNetwork("10.8.8.8")!)
      let before: [OperatorCommand] = [
        .trust(former), .ban(network, for: nil, "tested"), .add(PeerAddress(peer: former, address: named), keep: true),
        .add(PeerAddress(peer: nil, address: bare), keep: true),
      ]
      for command in before {
        let answer = try node.askAndWait(.operate(command))
        guard case .operated(let result) = answer, !result.isRefusal else { throw Missing("that it is stored: \(answer)") }
      }
      store.failAllCommits()
      let commands: [OperatorCommand] = [
        .trust(other), .add(PeerAddress(peer: nil, address: address), keep: true),
        .importBook([PeerAddress(peer: nil, address: try Multiaddr("/ip4/20.1.2.3/tcp/4001"))]),
        .distrust(former), .unban(network), .drop(former), .dropAddress(bare),
      ]
      for query in (0..<150).map(Self.ban) + commands.map(Query.operate) {
        let answer = try node.askAndWait(query)
        guard case .notStored(let error) = answer else { throw Missing("that it is not stored: \(answer)") }
        #expect(error.message == "the disk is full")
      }
      // What is not to last does not wait for the disk, nor what changes nothing.
      guard case .operated(.refused) = try node.askAndWait(.operate(.unban(.network(IPNetwork("10.9.9.9")!)))) else {
        throw Missing("no refusal")
      }
      guard case .operated = try node.askAndWait(.operate(.add(PeerAddress(peer: nil, address: address), keep: false))) else {
        throw Missing("no answer to a dial")
      }
      #expect(flock.log("first").contains("the peer book was not written"))

      store.heal()
      try waitUntil("it is written without another word") { flock.log("first").contains("the peer book is written again") }
      guard case .operated(.banned) = try node.askAndWait(Self.ban(150)) else { throw Missing("a ban that is stored") }
      // As after a power cut: what is durable, not what is in the node's memory.
      let left = FaultingStore(durability: .immediate)
      var rows = WriteBatch()
      for row in try store.scan(HostCore.bookTable, from: [], limit: 100_000) { rows.put(HostCore.bookTable, row.key, row.value) }
      try left.commit(rows)
      flock.stop("first")
      rig.book = left
      let again = try flock.start("first", rig: rig)
      guard case .rules(let rules) = try again.askAndWait(.rules) else { throw Missing("no rules") }
      #expect(rules.bans.count == 151 && rules.trusted == [other] && rules.kept.map(\.address) == [address])
      guard case .book(let book) = try again.askAndWait(.book) else { throw Missing("no book") }
      #expect(book.addresses >= 1, "the imported address")
    }
  }

  /// What has failed is tried again with a time that doubles, and told of at each try by itself.
  @Test func theWriterTriesAgain() async throws {
    try await onOwnThread {
      let store = FaultingStore(durability: .immediate)
      store.failAllCommits()
      let (failures, recovered) = (Counter(), Gate())
      let writer = BookWriter(
        store, retry: .milliseconds(1)...(.milliseconds(4)), onFailure: { _ in failures.add() }, onRecovery: { recovered.open() })
      var batch = WriteBatch()
      batch.put(HostCore.bookTable, [1], [2])
      writer.write(batch)
      let answers = Recorder<Bool>()
      writer.whenWritten { answers.add($0 == nil) }
      #expect(answers.wait(for: 1) == [false])
      try waitUntil("it has tried again by itself") { failures.value >= 3 }
      store.heal()
      try waitUntil("it is told that it is well again") { recovered.isOpen }
      #expect(try store.get(HostCore.bookTable, [1]) == [2])
      writer.whenWritten { answers.add($0 == nil) }
      #expect(answers.wait(for: 2) == [false, true])
    }
  }
}
