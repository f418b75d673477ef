extension NodeConfiguration {
  /// Every key, in the order of help and documentation.
  public static let keys: [ConfigurationKey] = [
    .text("data_dir", \.dataDirectory, "DIR", "The node's own folder.", aliases: ["data_directory"], check: Checks.path),
    .text("node_key", \.nodeKeyFile, "FILE", "The node's key (default: node.key in the data folder)."),
    .text("network", \.network, "NAME", "The network's name; nodes of other networks are refused.", check: Checks.networkName),
    .text("genesis", \.genesisFile, "FILE", "The genesis file (default: genesis.json in the data folder)."),
    .choice("node_type", \.nodeType, "Whether the node produces blocks."),
    .text("producer_key", \.producerKeyFile, "FILE", "An authority's key."),

    .list("listen", \.listen, "MULTIADDR", "Where to listen for peers.", check: Checks.local),
    .legacyPort("p2p_port", "The port to listen on; the same as a listen entry with this TCP port."),
    .legacyBind("p2p_bind_addr", "The address to listen on, together with p2p_port."),
    .list(
      "bootstrap_peers", \.bootstrapPeers, "ADDRESS", "Peers to dial first, and to keep dialling for ever.", flag: "bootstrap",
      check: Checks.peer),
    .list("seed_peers", \.seedPeers, "ADDRESS", "Peers to dial when no stored peer connects.", flag: "seed", check: Checks.peer),
    .list(
      "dns_seeds", \.dnsSeeds, "NAME", "DNS names that list seeds: host, host:port or /dnsaddr/host.", flag: "dns-seed",
      check: Checks.dnsSeed),
    .text(
      "dns_server", \.dnsServer, "IP[:PORT]", "The name server to ask, IPv4 (default: those of the system).", check: Checks.nameServer),
    .boolean("mdns", \.mdns, "Find peers on the local network by multicast DNS, and be found."),
    .list(
      "mdns_interfaces", \.mdnsInterfaces, "INTERFACE", "Interfaces for multicast DNS (default: all but the loopback).",
      flag: "mdns-interface"),
    .list(
      "http_peers", \.httpPeers, "URL", "Peers that speak HTTP; each is checked and asked for more.", flag: "http-peer",
      check: Checks.webAddress),
    .duration(
      "http_peer_interval", \.httpPeerInterval, maximumSeconds: 86_400, "How often HTTP peers are checked, and ports probed."),
    .boolean("port_probe", \.portProbe, "Probe ports 5000 to 5011 of this machine for peers that speak HTTP."),
    .boolean("port_mapping", \.portMapping, "Ask the gateway to map the port to this node (NAT-PMP, UPnP)."),
    .text("gateway", \.gateway, "IP", "The gateway's IPv4 address (default: the system's default gateway).", check: Checks.gateway),
    .boolean("dial_back", \.dialBack, "Tell public addresses to others only when peers have dialled them back."),
    .integer(
      "dial_back_peers", \.dialBackPeers, 1...16,
      "How many peers, each of another network, must reach an address before others are told of it."),
    .integer("observed_peers", \.observedPeers, 1...64, "How many peers, each of another network, must agree on this node's address."),
    .list("announce", \.announce, "MULTIADDR", "Addresses to tell others without a check.", check: Checks.remote),
    .list("peers", \.peers, "ADDRESS", "Peers to dial at once.", flag: "peer", check: Checks.peer),
    .integer("max_peers", \.maxPeers, 1...10_000, "Links at most."),
    .integer("min_outbound", \.minOutbound, 0...10_000, "Outbound links that the node seeks.", aliases: ["min_outbound_connections"]),
    .integer("max_outbound", \.maxOutbound, 0...10_000, "Outbound links at most.", aliases: ["max_outbound_connections"]),
    .integer("max_per_ip", \.maxPerIP, 1...10_000, "Links at most with one IP address, or one /64 of public IPv6."),
    .integer(
      "requests_per_second", \.requestsPerSecond, 1...1_000_000,
      "Requests a second that a peer may send, and that this node sends it; twice as many in a burst."),
    .integer("link_memory_mib", \.linkMemoryMiB, 16...1_048_576, "Memory in MiB for what all links keep for peers."),
    .text(
      "asn_map", \.asnMapFile, "FILE",
      "A file of lines such as 192.0.2.0/24 AS64500: all addresses of an autonomous system count as one network, instead of each /16."),
    .boolean("allow_private", \.allowPrivate, "Use addresses of private networks."),
    .boolean("allow_loopback", \.allowLoopback, "Use loopback addresses, and exempt them from max_per_ip."),
    .choice("identity", \.identity, "What tells peers apart: their keys, or their IP addresses."),
    .integer("default_port", \.defaultPort, 1...65_535, "With identity ip: where a peer is taken to listen until it says otherwise."),
    .text("swarm_key", \.swarmKeyFile, "FILE", "The key file of a private network, as go-libp2p and IPFS have it (swarm.key)."),
    .list(
      "allowed_peers", \.allowedPeers, "PEERID", "Peers of a private network; others are refused.", flag: "allowed-peer",
      check: Checks.peerID),
    .list(
      "allowed_networks", \.allowedNetworks, "CIDR", "Networks whose peers are admitted to a private network.", flag: "allowed-network",
      check: Checks.network),
    .boolean("kademlia", \.kademlia, "Find peers and services through Kademlia, and help others find them."),
    .choice(
      "kademlia_mode", \.kademliaMode,
      "Whether to answer look-ups; auto: while a public address is confirmed or announced, or private addresses are used."),
    .duration(
      "connection_timeout", \.connectionTimeout, maximumSeconds: 300,
      "How long a TCP connection may take to open; the handshake has 10 s more.", aliases: ["connection_timeout_seconds"]),
    .duration(
      "reconnection_interval", \.reconnectionInterval, maximumSeconds: 86_400,
      "The longest wait before a configured peer is dialled again; for a node without any link also before seeds and stored peers are.",
      aliases: ["reconnection_interval_seconds"]),
    .integer(
      "max_failed_dials", \.maxFailedDials, 1...200,
      "Failed dials in a row after which a stored peer is no longer stored. Refusals and this node's own outages do not count."),
    .duration(
      "passive_wait", \.passiveWait, maximumSeconds: 3_600,
      "How long to wait for a peer to dial this node, when it is its turn because its PeerID (or IP) is lower."),
    .duration(
      "keep_alive", \.keepAliveInterval, maximumSeconds: 3_600, "The time between pings on a link.", aliases: ["keep_alive_seconds"]),
    .integer("keep_alive_missed", \.keepAliveMissed, 1...100, "Missed pongs in a row after which a link is closed."),

    .boolean("http", \.httpEnabled, "Serve the HTTP API."),
    .text("http_bind", \.httpBind, "IP", "The HTTP API's address.", check: Checks.address),
    .integer("http_port", \.httpPort, 0...65_535, "The HTTP API's port; 0 for any."),
    .list(
      "http_allowed_origins", \.httpAllowedOrigins, "ORIGIN", "Origins that browsers may call the API from.", flag: "http-allow-origin"),
    .integer(
      "http_requests_per_second", \.httpRequestsPerSecond, 1...1_000_000,
      "Requests a second that one client address may make, four times as many in a burst; each 4 KiB of an answer counts as one more."),
    .list(
      "http_allowed_hosts", \.httpAllowedHosts, "HOST", "Host names under which the API answers, besides localhost.",
      flag: "http-allow-host"),
    .text(
      "admin_token", \.adminToken, "TOKEN",
      "The bearer token for admin calls (default: the one in admin.token in the data folder, made at the first start).",
      secret: true, check: Checks.token),

    .choice("log_level", \.logLevel, "The least severe level that is logged."),
    .choice("log_format", \.logFormat, "The form of log lines."),
    .integer("store_map_gib", \.storeMapGiB, 1...16_384, "The largest size of the store, in GiB of address space."),
  ]

  /// The options of a command that takes the whole configuration, `--config` included.
  public static var commandOptions: [CommandOption] {
    let defaults = NodeConfiguration()
    let config = CommandOption("config", value: "FILE", repeats: true, help: "A configuration file, TOML or YAML; a later one wins.")
    return [config]
      + keys.map { key in
        var repeats = false
        if case .list = key.kind { repeats = true }
        let shown = key.show(defaults)
        return CommandOption(
          key.flag, value: key.placeholder, repeats: repeats, help: key.help + (shown.isEmpty || key.isSecret ? "" : " [\(shown)]"))
      }
  }

  /// A Markdown table of every key, for the generated documentation.
  public static func documentation() -> String {
    let defaults = NodeConfiguration()
    var page = "| key | flag | environment | value | default | meaning |\n|---|---|---|---|---|---|\n"
    for key in keys {
      let value = key.expected.replacing("|", with: "\\|")
      let shown = key.show(defaults)
      var help = key.help
      if !key.aliases.isEmpty { help += " Also spelled " + key.aliases.map { "`\($0)`" }.joined(separator: ", ") + "." }
      page += "| `\(key.name)` | `--\(key.flag)` | `\(key.environment)` | \(value) | \(shown.isEmpty ? "" : "`\(shown)`") | \(help) |\n"
    }
    return page
  }
}
