import Node

// The commands by which operators look after a node's peers.
extension Commands {
  private static let tokenFile = CommandOption("token-file", value: "FILE", help: "The file of the admin token.")
  private static let dataDirectory = CommandOption(
    "data-dir", value: "DIR", help: "The node's data folder, whose admin.token is read. [starling-data]")
  private static let admin = [api, tokenFile, dataDirectory, json]
  private static let name = CommandArgument("PEER", help: "A PeerID, the beginning of one, or a short form such as 12D3…SUKPH5.")

  private static let adminDetails = """
    A call that changes something needs the node's admin token: of --token-file, of STARLING_ADMIN_TOKEN, or of admin.token in the node's
    data folder. Exit codes: 0 done, 1 refused or not reachable.
    """

  static let peers = Command(
    "peers", "List a node's peers, live on a terminal.",
    options: [
      api, CommandOption("once", help: "Print one list and end, also on a terminal."),
      CommandOption("dialling", help: "Print whom the node dials instead: what went wrong last, and when it tries again."), json,
    ],
    details: """
      On a terminal the list is drawn again each second until q or Ctrl-C; elsewhere, or with --once, it is printed once.

      ROLE   must-keep (dialled for ever), seed, stored (dialled with success once), heard (of); trusted by an operator
      SCORE  0 is spotless; at 18 the link is closed, at 45 the peer is banned
      WHY    must-keep, anchor, stored, seed, heard, feeler, look-up, request: the list or wish that the dial came from;
             accepted: the peer dialled; trusted: it dialled and was let in over a limit

      Exit codes: 0 listed, 1 not reachable.
      """)

  static let peer = Command(
    "peer", "Dial, drop, ban and trust peers.",
    subcommands: [
      Command(
        "add", "Dial a peer now.",
        options: [CommandOption("keep", help: "Dial it again for ever when the link is lost, restarts of the node included.")] + admin,
        arguments: [CommandArgument("MULTIADDR", help: "Where it listens, with or without /p2p/ and a PeerID; or IP:PORT.")],
        details: adminDetails),
      Command(
        "drop", "Close the link to a peer, and want it no more.", options: admin,
        arguments: [CommandArgument("PEER", help: "A PeerID, its beginning, or the multiaddr of a must-keep peer that never answered.")],
        details: """
          It is no must-keep peer any more, and the node does not dial it by itself for 15 min. The peer may come back by itself.

          """ + adminDetails),
      Command(
        "ban", "Keep a peer or a network out.",
        options: [
          CommandOption("for", value: "TIME", help: "How long, such as 10m, 1h or 7d. [until lifted]"),
          CommandOption("reason", value: "TEXT", help: "What for; the peers whose links are closed are told. [banned by an operator]"),
        ] + admin, arguments: [CommandArgument("PEER|CIDR", help: "A peer, an IP address, or a network such as 203.0.113.0/24.")],
        details: "Links with it are closed. A trusted peer that is banned is not trusted any more.\n\n" + adminDetails),
      Command(
        "unban", "Lift a ban.", options: admin,
        arguments: [CommandArgument("PEER|CIDR", help: "As it was banned; 'starling peer rules' lists bans.")], details: adminDetails),
      Command(
        "trust", "Never evict a peer, never close its link for its score, let it in over the limits.", options: admin, arguments: [name],
        details: "A ban of the peer itself is lifted; bans of networks hold for trusted peers too.\n\n" + adminDetails),
      Command("distrust", "Treat a trusted peer as any other again.", options: admin, arguments: [name], details: adminDetails),
      Command(
        "rules", "List what is set: bans, trusted peers, must-keep peers that were added.", options: [api, json],
        details: "Exit codes: 0 listed, 1 not reachable."),
    ])

  static let explain = Command(
    "explain", "Tell a peer's or an address's story: why it was chosen, refused, scored, banned, dropped.", options: [api, json],
    arguments: [CommandArgument("PEER", help: "A PeerID, the beginning of one, or an address: a multiaddr or host:port.")],
    details: """
      The beginning of a name is looked for among the peers at hand: those linked, dialled lately, banned, trusted or in the story of late.
      Exit codes: 0 told, 1 not known, several meant, or not reachable.
      """)

  static let find = Command(
    "find", "Search the network for a peer, or for those who serve something.",
    subcommands: [
      Command("peer", "Find out where a peer is.", options: admin, arguments: [name], details: findDetails),
      Command(
        "service", "Find those who serve something of the node's chain.", options: admin,
        arguments: [CommandArgument("NAME", help: "blocks, transactions, or what else nodes of the chain tell that they serve.")],
        details: findDetails),
    ])

  private static let findDetails = """
    The node asks other nodes by Kademlia, for 4 s at most. Those that it is not linked with are hearsay. A search costs many requests, so it
    needs the admin token, as 'starling peer' does. Exit codes: 0 found, 1 nobody knows, refused or not reachable.
    """

  private static let stopped = CommandOption("stopped", value: "DIR", help: "Read the data folder of a node that does not run instead.")

  static let book = Command(
    "book", "Look into, export and import the peer book.",
    subcommands: [
      Command(
        "inspect", "Show the book in figures: tables, buckets, anchors, network groups.", options: [api, stopped, json],
        details: "Exit codes: 0 shown, 1 not reachable."),
      Command(
        "export", "Print the book, one JSON object a line.", options: [api, stopped],
        details: "Times are milliseconds since 1970. Exit codes: 0 printed, 1 not reachable."),
      Command(
        "import", "Bring addresses in, one JSON object a line, as 'export' prints them.", options: admin,
        arguments: [CommandArgument("FILE", help: "The file; - for standard input.")],
        details: "Only \"peer\" and \"address\" are read: what is imported is hearsay, never taken for tried.\n\n" + adminDetails),
    ])
}
