import Node

/// Every command with its options: parsing, help and the reference page come from this tree.
enum Commands {
  static let root = Command(
    "starling", "Starling \(Node.version): peer-to-peer networking for blockchain nodes.",
    subcommands: [
      node, keygen, genesis, send, status, peers, peer, find, explain, book, health, ping, identify, localnet, torture, SimCommand.command,
      reference,
    ],
    details: """
      'starling COMMAND --help' shows a command's options; 'starling --version' the version.

      A network of five nodes on this machine: starling localnet
      A node of your own: starling keygen, starling genesis, starling node

      Exit codes, the same for every command:
        0   done, or healthy
        1   failed, or the node is not reachable
        2   the node answers and is not healthy
        64  the command line is wrong
        78  the configuration is wrong
      """)

  static let json = CommandOption("json", help: "Print JSON for scripts.")
  static let api = CommandOption("api", value: "URL", help: "The node's HTTP API. [\(NodeAPI.defaultURL)]")

  private static let node = Command(
    "node", "Run a node until SIGINT or SIGTERM.",
    options: [
      CommandOption("json", help: "Print the ready line as JSON."),
      CommandOption("until-stdin-closes", help: "End as with SIGTERM when standard input ends, for a supervisor that may be killed."),
    ] + NodeConfiguration.commandOptions,
    details: """
      Settings come from files, then environment variables STARLING_…, then flags; a later one wins. STARLING_CONFIG names a file too.
      White space around a value is ignored, and an empty variable counts as absent. Variables of Kubernetes' service links \
      (…_SERVICE_HOST, …_PORT=tcp://…) are ignored.
      Prints one line on standard output when the node is ready; the log goes to standard error.
      The node never waits for the reader of the log: lines that find no room are dropped and counted, and the log says how many are missing.
      The first SIGINT or SIGTERM says goodbye to all peers and frees the ports; a second one ends the process at once.
      SIGHUP makes the node read its settings again: the log's level and added peers and seeds take effect, and the log says what needs a restart.
      A SIGHUP or SIGINT that is ignored when the node starts, as under nohup, stays ignored.

      Exit codes: 0 stopped, 1 could not start, 64 wrong command line, 78 wrong configuration.
      """)

  private static let keygen = Command(
    "keygen", "Make a key for a node, a producer or an account.",
    options: [
      CommandOption("out", value: "FILE", help: "Where to write it, mode 0600; never over a file. [node.key]"),
      CommandOption("seed", value: "HEX", help: "The secret itself, 32 bytes: for tests only."), json,
    ], details: "Prints the PeerID and the account address, which is also what a genesis calls an authority.")

  private static let genesis = Command(
    "genesis", "Make the genesis file of a new chain.",
    options: [
      CommandOption("chain-id", value: "NAME", help: "The chain's name."),
      CommandOption("authority", value: "ADDRESS", repeats: true, help: "A producer's address, in turn order."),
      CommandOption("balance", value: "ADDRESS=AMOUNT", repeats: true, help: "What an account owns at the start."),
      CommandOption("block-time", value: "TIME", help: "The time between blocks, such as 500ms or 5s. [5s]"),
      CommandOption("time", value: "now|MS", help: "When the chain begins, in milliseconds since 1970. [now]"),
      CommandOption("minimum-fee", value: "N", help: "The smallest fee of a transaction. [1]"),
      CommandOption("state-byte-fee", value: "N", help: "The fee for each byte by which a transaction makes the state larger. [1]"),
      CommandOption("out", value: "FILE", help: "Where to write it; never over a file. [genesis.json]"), json,
    ],
    details: """
      Example:
        starling keygen --out authority.key
        starling genesis --chain-id demo --authority ADDRESS \\
          --balance ADDRESS=1000000 --out genesis.json
      """)

  private static let send = Command(
    "send", "Sign a transaction and send it to a node.",
    options: [
      CommandOption("key", value: "FILE", help: "The sender's key."),
      CommandOption("to", value: "ADDRESS", help: "Transfer to this account; needs --amount."),
      CommandOption("amount", value: "N", help: "How much to transfer."),
      CommandOption("set", value: "KEY=VALUE", help: "Store a value in the sender's own data."),
      CommandOption("delete", value: "KEY", help: "Remove a key of the sender's own data."),
      CommandOption(
        "fee", value: "N",
        help: "What the producer of the block gets. [the most that the chain asks for, unless that is a hundred times what is usual]"),
      CommandOption("nonce", value: "N", help: "The sender's counter. [the next one, as the node says]"), api,
      CommandOption("wait", help: "Wait until the node has caught up and the transaction is in a block, a minute at most for each."), json,
    ], details: "Give one of --to, --set and --delete. Exit codes: 0 accepted (with --wait: in a block), 1 refused or not reachable.")

  private static let status = Command(
    "status", "Show what a node is and how it is doing.", options: [api, json],
    details: "Exit codes: 0 healthy, 1 not reachable, 2 not healthy.")
  private static let health = Command(
    "health", "Say in one word and one sentence how a node is doing.", options: [api, json],
    details: "Exit codes: 0 healthy, 1 not reachable, 2 not healthy.")

  private static let peerAddress = CommandArgument(
    "ADDRESS", help: "Where the peer listens: a multiaddr such as /ip4/127.0.0.1/tcp/9000, or HOST:PORT.")
  private static let timeout = CommandOption("timeout", value: "TIME", help: "How long everything may take. [10s]")
  private static let ping = Command(
    "ping", "Measure round trips to any libp2p peer.",
    options: [CommandOption("count", value: "N", help: "How many pings. [3]"), timeout, json], arguments: [peerAddress])
  private static let identify = Command(
    "identify", "Show what any libp2p peer says of itself.", options: [timeout, json], arguments: [peerAddress])

  private static let keep = CommandOption(
    "keep", value: "DIR", help: "Put keys, data and logs there and leave them; it must be empty or new.")
  private static let seed = CommandOption(
    "seed", value: "N", help: "Chooses keys, victims and transactions; equal seeds choose alike. [random]")
  private static let rate = CommandOption("rate", value: "N", help: "Transactions per second. [20]")

  private static let localnet = Command(
    "localnet", "Run a network of separate processes on this machine: the quickest way to see everything work.",
    options: [
      CommandOption("check", help: "Let the network prove itself, print a summary and end."),
      CommandOption("nodes", value: "N", help: "Nodes at the start, 3 to 20; the first three are authorities. [5]"),
      CommandOption("block-time", value: "TIME", help: "The time between blocks. [1s]"), rate, seed, keep,
      CommandOption("json", help: "With --check: print the summary as JSON; sentences go to standard error."),
    ],
    details: """
      All nodes but the first know only its address. They find each other, produce blocks and take a stream of signed transactions over \
      HTTP. One node is killed with SIGKILL and started again, and one more joins late: both catch up. Stays up until Ctrl-C, which ends \
      all processes and frees their ports.

      --check verifies: one head hash at one height everywhere, every accepted transaction in the chain exactly once on every node, no \
      peer listed twice, at least two peers for each, both latecomers caught up, all ports free at the end.

      Exit codes: 0 stopped, or everything held; 1 something did not.
      """)

  private static let torture = Command(
    "torture", "Kill nodes of a local network with SIGKILL under load, again and again, and verify every store.",
    options: [
      CommandOption("kills", value: "N", help: "How many kills. [20]"),
      CommandOption("nodes", value: "N", help: "Nodes, 3 to 20; the first three are authorities. [4]"),
      CommandOption("block-time", value: "TIME", help: "The time between blocks. [500ms]"),
      CommandOption("rate", value: "N", help: "Transactions per second. [50]"), seed, keep,
      CommandOption("json", help: "Print the summary as JSON; sentences go to standard error."),
    ],
    details: """
      After each kill the store that the node left is opened by this process: it must reach the height that the node had shown, its \
      blocks must be linked down to the first, and every transaction that the node had accepted must be in it. Then the node starts \
      again. In the end the whole network is verified as by 'localnet --check'.

      Exit codes: 0 nothing was lost, 1 something was.
      """)

  private static let reference = Command("reference", "Print this help of all commands as one page of Markdown.")

  /// The page `Docs/cli.md`.
  static func printReference() -> Int32 {
    let parser = CommandLineParser(root)
    var page = "# The program `starling`\n\nWritten by `starling reference > Docs/cli.md`; a test compares them.\n\n"
    page += "```text\n\(parser.help())```\n"
    for path in root.subcommands.flatMap({ paths([$0.name], $0) }) {
      page += "\n## starling \(path.joined(separator: " "))\n\n```text\n\(parser.help(for: path))```\n"
    }
    page += "\n## Configuration of a node\n\n" + NodeConfiguration.documentation()
    Output.text(page)
    return ExitStatus.success
  }

  /// The paths of a command and all below it.
  private static func paths(_ path: [String], _ command: Command) -> [[String]] {
    [path] + command.subcommands.flatMap { paths(path + [$0.name], $0) }
  }
}
