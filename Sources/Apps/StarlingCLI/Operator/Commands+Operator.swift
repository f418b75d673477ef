import Node

// The commands by which operators look after a node's peers.
extension Commands {
  private static let tokenFile = CommandOption("token-file", value: "FILE", help: "The file that holds the admin token.")
  private static let dataDirectory = CommandOption(
    "data-dir", value: "DIR", help: "The node's data folder; its admin.token is read. [starling-data]")
  private static let admin = [api, tokenFile, dataDirectory, json]
  private static let name = CommandArgument("PEER", help: "A PeerID, the beginning of one, or a short form such as 12D3…SUKPH5.")

  private static let adminDetails = """
    This needs the node's admin token: from --token-file, else from STARLING_ADMIN_TOKEN, else from admin.token in the node's data folder.

    Exit codes: 0 done, 1 refused or not reachable.
    """

  static let peers = Command(
    "peers", "List a node's peers, live on a terminal.",
    options: [
      api, CommandOption("once", help: "Print one list and end, also on a terminal."),
      CommandOption("dialling", help: "Print the peers that the node dials instead: what went wrong last, and when it tries again."), json,
    ],
    details: """
      On a terminal the list is drawn again each second until q or Ctrl-C; elsewhere, or with --once, it is printed once.

      Columns, of which a narrow terminal shows the first ones and --json all:
        PEER      the PeerID; on a narrow terminal its beginning and end
        DIR       who dialled: in, the peer; out, this node
        STATE     active: in use
        HEIGHT    the chain's height as the peer last told it
        TOLD      how long ago the peer told its height
        RTT       the round trip of a ping
        SCORE     0 is spotless; at 18 the link is closed, at 45 the peer is banned
        AGE       how long the link has been in its state
        ROLE      must-keep (dialled for ever), seed, stored (dialled with success once) or heard (of); trusted by an operator
        WHY       must-keep, anchor, stored, seed, heard, feeler, look-up or request: the list or wish that the dial came from; accepted: the \
      peer dialled; trusted: it dialled and was let in over a limit
        ADDRESS   where the peer is
        NETGROUP  the network that counts as one neighbour
        AGENT     the software that the peer names

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
        "drop", "Close the link to a peer and stop dialling it.", options: admin,
        arguments: [CommandArgument("PEER", help: "A PeerID, its beginning, or the multiaddr of a must-keep peer that never answered.")],
        details: """
          It stops being a must-keep peer, and the node does not dial it on its own for 15 min. The peer may dial this node again; \
          'starling peer ban' keeps it out.

          """ + adminDetails),
      Command(
        "ban", "Keep a peer or a network out.",
        options: [
          CommandOption("for", value: "TIME", help: "How long, such as 10m, 1h or 7d. [until lifted]"),
          CommandOption("reason", value: "TEXT", help: "Why; told to the peers whose links are closed. [banned by an operator]"),
        ] + admin, arguments: [CommandArgument("PEER|CIDR", help: "A peer, an IP address, or a network such as 203.0.113.0/24.")],
        details: "Links with it are closed. Banning a trusted peer ends the trust.\n\n" + adminDetails),
      Command(
        "unban", "Lift a ban.", options: admin,
        arguments: [CommandArgument("PEER|CIDR", help: "What was banned, as 'starling peer rules' lists it.")], details: adminDetails),
      Command(
        "trust", "Never evict a peer, never close its link for its score, let it in over the limits.", options: admin, arguments: [name],
        details: "Lifts a ban of the peer itself; bans of networks hold for trusted peers too.\n\n" + adminDetails),
      Command("distrust", "Treat a trusted peer like any other again.", options: admin, arguments: [name], details: adminDetails),
      Command(
        "rules", "List bans, trusted peers, and must-keep peers that were added.", options: [api, json],
        details: "Exit codes: 0 listed, 1 not reachable."),
    ])

  static let explain = Command(
    "explain", "Explain what the node decided about a peer or an address: why it was chosen, refused, scored, banned or dropped.",
    options: [api, json],
    arguments: [CommandArgument("PEER", help: "A PeerID, the beginning of one, or an address: a multiaddr or host:port.")],
    details: """
      The beginning of a PeerID is compared with peers that are linked, banned or trusted, or that were dialled or seen lately.

      Exit codes: 0 explained; 1 not known, ambiguous, or the node is not reachable.
      """)

  static let find = Command(
    "find", "Search the network for a peer, or for peers that offer a service.",
    subcommands: [
      Command("peer", "Find out where a peer is.", options: admin, arguments: [name], details: findDetails),
      Command(
        "service", "Find peers that offer a service of the node's chain.", options: admin,
        arguments: [CommandArgument("NAME", help: "blocks, transactions, or another service that nodes of the chain offer.")],
        details: findDetails),
    ])

  private static let findDetails = """
    The node asks other nodes through Kademlia, for at most 4 s. What it tells of peers that it has no link with is hearsay. A search costs \
    many requests, so it needs the admin token, as 'starling peer' does.

    Exit codes: 0 found; 1 not found, refused, or not reachable.
    """

  private static let stopped = CommandOption("stopped", value: "DIR", help: "Read the data folder of a node that is not running instead.")

  static let book = Command(
    "book", "Inspect, export and import the peer book.",
    subcommands: [
      Command(
        "inspect", "Show the book in figures: tables, buckets, anchors, network groups.", options: [api, stopped, json],
        details: "Exit codes: 0 shown, 1 not reachable."),
      Command(
        "export", "Print the book, one JSON object a line.", options: [api, stopped],
        details: "Times are milliseconds since 1970.\n\nExit codes: 0 printed, 1 not reachable."),
      Command(
        "import", "Add addresses, one JSON object a line, as 'export' prints them.", options: admin,
        arguments: [CommandArgument("FILE", help: "The file; - for standard input.")],
        details: "Only \"peer\" and \"address\" are read. What is imported counts as hearsay until the node has connected to it.\n\n"
          + adminDetails),
    ])
}
