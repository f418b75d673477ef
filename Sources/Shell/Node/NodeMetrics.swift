import EventLoop
import HTTPAPI
import Metrics
import NodeCore
import Peering
import Swarm
import Threads

/// Prometheus' view of a node: the figures of one moment, asked for at each scrape.
final class NodeMetrics: Sendable {
  private let registry = MetricsRegistry()
  private let lock = Lock()
  private let latest = Latest()

  private final class Latest: @unchecked Sendable {
    var statistics: NodeStatistics?
  }

  /// - Parameters:
  ///   - memory: what the links keep for peers.
  ///   - http: what clients of the API make it keep.
  ///   - droppedLines: how many log lines were dropped.
  init(
    memory: @escaping @Sendable () -> Swarm.MemoryUse, http: @escaping @Sendable () -> HTTPServer.Use = { .init() },
    droppedLines: @escaping @Sendable () -> UInt64 = { 0 }
  ) {
    gauge("vision_p2p_peers_connected", "Active peers.") { Double($0.peering.active) }
    counter("vision_p2p_announces_received", "Blocks that gossip brought for the first time.") { Double($0.blocksAnnounced) }
    counter("vision_p2p_dupes_dropped", "Gossip messages that had been seen before.") { Double($0.duplicates) }
    gauge("starling_peers_active", "Active peers.") { Double($0.peering.active) }
    gauge("starling_links_outbound", "Links and dials that this node opened.") { Double($0.peering.outbound) }
    gauge("starling_links_inbound", "Links that peers opened.") { Double($0.peering.inbound) }
    gauge("starling_peers_known", "Remembered peers and addresses.") { Double($0.peering.known) }
    for origin in DialOrigin.allCases {
      counter("starling_dials_\(origin.rawValue)_total", "Dials of \(origin.words).") { Double($0.peering.dials[origin].begun) }
      counter("starling_dials_\(origin.rawValue)_succeeded_total", "Dials of \(origin.words) that ended in an active link.") {
        Double($0.peering.dials[origin].succeeded)
      }
    }
    gauge("starling_bans", "Bans in force.") { Double($0.peering.bans) }
    reasons("starling_links_chosen_total", "Links that came into use, by why they were chosen.") {
      $0.chosen.map { ($0.rawValue, $1) }
    }
    reasons("starling_links_closed_total", "Proven links that this node closed.") { Self.labels($0.closed) }
    reasons("starling_links_lost_total", "Proven links that the remote closed, or that were lost.") { Self.labels($0.lost) }
    reasons("starling_links_refused_total", "Accepted links that ended before the remote had proven who it is.") {
      Self.labels($0.refused)
    }
    reasons("starling_dials_refused_total", "Dials that were not begun.") { Self.labels($0.dialsRefused) }
    reasons("starling_dials_failed_total", "Dials that failed.") { Array($0.dialsFailed) }
    reasons("starling_addresses_refused_total", "Addresses that peers told and this node did not take.") {
      $0.addressesRefused.map { ($0.rawValue, $1) }
    }
    reasons("starling_offences_total", "Offences of peers.") { $0.offences.map { ($0.rawValue, $1) } }
    reasons("starling_bans_total", "Bans.") { [("operator", $0.bansByOperator), ("score", $0.bansByScore)] }
    gauge("starling_chain_height", "Height of the durable chain.") { Double($0.height) }
    gauge("starling_chain_target_height", "The highest height of which a peer has shown a block, or this node's own.") { Double($0.target) }
    gauge("starling_chain_head_age_seconds", "Time since the newest block's own time.") { $0.headAge.seconds }
    counter("starling_chain_blocks_applied_total", "Blocks applied since the start.") { Double($0.blocksApplied) }
    counter("starling_chain_reorganisations_total", "Reorganisations since the start.") { Double($0.reorganisations) }
    counter("starling_transactions_accepted_total", "Transactions accepted since the start.") { Double($0.transactionsAccepted) }
    gauge("starling_mempool_transactions", "Pending transactions.") { Double($0.chain.pendingTransactions) }
    gauge("starling_mempool_bytes", "Bytes of pending transactions.") { Double($0.chain.pendingBytes) }
    counter("starling_gossip_published_total", "Messages that this node published.") { Double($0.published) }
    counter("starling_gossip_rejected_total", "Messages that were refused.") { Double($0.rejected) }
    counter("starling_gossip_received_bytes_total", "Bytes of gossip received.") { Double($0.gossipBytesIn) }
    counter("starling_gossip_sent_bytes_total", "Bytes of gossip sent.") { Double($0.gossipBytesOut) }
    gauge("starling_kademlia_servers", "Kademlia servers that this node knows at first hand.") { Double($0.kademlia.servers) }
    gauge("starling_kademlia_look_ups", "Look-ups under way.") { Double($0.kademlia.lookUps) }
    gauge("starling_kademlia_provided_keys", "Keys whose providers this node remembers.") { Double($0.kademlia.providerKeys) }
    gauge("starling_kademlia_provider_bytes", "Bytes of the providers that this node remembers.") { Double($0.kademlia.providerBytes) }
    registry.observe(
      "starling_streams_refused_total", kind: .counter, help: "Streams, requests and messages of peers that were refused.", label: "reason"
    ) {
      [latest] in
      var refusals = latest.statistics?.streamRefusals ?? [:]
      let byLinks = memory().refusedStreams
      if byLinks > 0 { refusals[.resourceLimit, default: 0] += byLinks }
      return refusals.map { ($0.description, Double($1)) }.sorted { $0.0 < $1.0 }
    }
    registry.observe(
      "starling_http_peers_refused_total", kind: .counter,
      help: "HTTP peers that were refused or lost, and answers of theirs that were of no use.",
      label: "reason"
    ) { [latest] in
      (latest.statistics?.webFaults ?? [:]).map { ($0.rawValue, Double($1)) }.sorted { $0.0 < $1.0 }
    }
    counter(
      "starling_connections_not_accepted_total",
      "Connections that were not accepted because this machine lacked descriptors, memory or time."
    ) {
      Double($0.connectionsNotAccepted)
    }
    gauge("starling_memory_requests_bytes", "Bytes of peers' requests that wait for this node's answers.") { Double($0.requestBytes) }
    registry.observe("starling_memory_links_bytes", help: "Bytes that links keep for peers.") { Double(memory().used) }
    registry.observe("starling_memory_links_limit_bytes", help: "The most bytes that links may keep for peers.") { Double(memory().limit) }
    registry.observe("starling_memory_links_refusals_total", kind: .counter, help: "How often a link or stream found no room.") {
      Double(memory().refusals)
    }
    registry.observe("starling_memory_http_bytes", help: "Bytes of the API's answers that are still to be sent.") {
      Double(http().heldBytes)
    }
    registry.observe(
      "starling_http_requests_refused_total", kind: .counter, help: "Requests that the API refused because of what they cost.",
      label: "reason"
    ) { [("busy", Double(http().full)), ("too-many-requests", Double(http().tooOften))] }
    registry.observe("starling_blocks_refused_total", kind: .counter, help: "Blocks that were not taken.", label: "reason") { [latest] in
      (latest.statistics?.blocksRefused ?? [:]).map { ($0.rawValue, Double($1)) }.sorted { $0.0 < $1.0 }
    }
    counter("starling_own_blocks_replaced_total", "Blocks of this node that a better branch took the place of.") {
      Double($0.ownBlocksReplaced)
    }
    gauge("starling_clock_ahead_seconds", "How far this node's clock is ahead of the median of its peers'; 0 without any.") {
      $0.clock?.ahead.seconds ?? 0
    }
    gauge("starling_clock_peers", "Peers whose clocks are compared with this node's; those of one public address count as one.") {
      Double($0.clock?.clocks ?? 0)
    }
    gauge("starling_producer_last_slot", "The highest slot that this node has sealed; 0 before the first.") {
      Double($0.production?.last?.slot ?? 0)
    }
    gauge("starling_producer_next_slot", "The slot that this node seals next; 0 for a node that makes no blocks.") {
      Double($0.production?.next?.slot ?? 0)
    }
    registry.observe("starling_producer_held", help: "1 for what keeps this producer from making blocks.", label: "reason") { [latest] in
      (latest.statistics?.production?.obstacle).map { [($0.kind, 1)] } ?? []
    }
    gauge("starling_store_failing", "1 while what the node takes in can't be stored.") { $0.chain.storeFault == nil ? 0 : 1 }
    gauge("starling_forked", "1 when peers follow another valid chain and neither side can follow the other any more.") {
      if case .forked = $0.health { 1 } else { 0 }
    }
    registry.observe(
      "starling_log_lines_dropped_total", kind: .counter, help: "Log lines that nobody read in time or that could not be written."
    ) { Double(droppedLines()) }
    gauge("starling_healthy", "1 when the node is healthy.") { $0.health == .healthy ? 1 : 0 }
    registry.observe("process_resident_memory_bytes", help: "Resident memory.") { Double(Platform.residentBytes) }
    registry.observe("process_cpu_seconds_total", kind: .counter, help: "Processor time used.") { Platform.processorTime.seconds }
  }

  private func gauge(_ name: String, _ help: String, _ read: @escaping @Sendable (NodeStatistics) -> Double) {
    add(name, .gauge, help, read)
  }
  private func counter(_ name: String, _ help: String, _ read: @escaping @Sendable (NodeStatistics) -> Double) {
    add(name, .counter, help, read)
  }

  private func reasons(_ name: String, _ help: String, _ read: @escaping @Sendable (ReasonCounts) -> [(String, UInt64)]) {
    registry.observe(name, kind: .counter, help: help, label: "reason") { [latest] in
      guard let reasons = latest.statistics?.reasons else { return [] }
      return read(reasons).sorted { $0.0 < $1.0 }.map { ($0.0, Double($0.1)) }
    }
  }

  private static func labels(_ counts: [Reason.Code: UInt64]) -> [(String, UInt64)] {
    counts.map { ($0 == ReasonCounts.unknownCode ? "unknown" : $0.description, $1) }
  }

  private func add(
    _ name: String, _ kind: MetricsRegistry.Kind, _ help: String, _ read: @escaping @Sendable (NodeStatistics) -> Double
  ) {
    registry.observe(name, kind: kind, help: help) { [latest] in latest.statistics.map(read) ?? 0 }
  }

  func render(_ statistics: NodeStatistics) -> String {
    lock.withLock {
      latest.statistics = statistics
      return registry.render()
    }
  }
}

extension DialOrigin {
  fileprivate var words: String {
    switch self {
    case .configured: "bootstrap peers and those that an operator named"
    case .stored: "peers of the book"
    case .seed: "seeds"
    case .heard: "peers that were heard of"
    }
  }
}
