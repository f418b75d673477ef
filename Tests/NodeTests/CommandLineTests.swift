import Node
import Testing

@Suite struct CommandLineTests {
  private let parser = CommandLineParser(
    Command(
      "starling", "A node.",
      subcommands: [
        Command("run", "Run a node.", options: NodeConfiguration.commandOptions),
        Command(
          "peers", "Peers.",
          subcommands: [
            Command("list", "List them.", options: [CommandOption("json", help: "As JSON.")]),
            Command(
              "ban", "Ban some.", options: [CommandOption("for", value: "SECONDS", help: "How long.")],
              arguments: [
                CommandArgument("PEER", help: "Who."), CommandArgument("MORE", required: false, repeats: true, help: "Who else."),
              ]),
          ]),
      ]))

  private func fault(_ words: String...) -> String {
    do throws(UsageError) {
      _ = try parser.parse(words)
      return ""
    } catch {
      #expect(error.exitCode == 64)
      return error.description
    }
  }

  @Test func commandsOptionsArguments() throws {
    let ban = try parser.parse(["peers", "ban", "a", "--for", "-5", "b", "--", "--c"])
    #expect(ban.path == ["peers", "ban"])
    #expect(ban.arguments == ["a", "b", "--c"])
    #expect(ban["for"] == "-5")
    let list = try parser.parse(["peers", "list", "--json"])
    #expect(list.isOn("json"))
    #expect(try !parser.parse(["peers", "list", "--json=false"]).isOn("json"))
    let run = try parser.parse(["run", "--peer", "a:1", "--peer=b:2", "--no-http", "--http-port=0", "--network", "x", "--admin-token="])
    #expect(run.all("peer") == ["a:1", "b:2"])
    let configuration = try NodeConfiguration.load(flags: run.options)
    #expect(configuration.peers == ["a:1", "b:2"])
    #expect(!configuration.httpEnabled)
    #expect((configuration.httpPort, configuration.network) == (0, "x"))
  }

  @Test func faults() {
    #expect(fault() == "starling: a command is missing: one of run, peers\nTry 'starling --help'.")
    #expect(fault("rum") == "starling: unknown command 'rum'; did you mean run?\nTry 'starling --help'.")
    #expect(fault("--x").hasPrefix("starling: options come after the command"))
    #expect(fault("peers", "list", "--jsn").hasPrefix("starling peers list: unknown option '--jsn'; did you mean --json?"))
    #expect(fault("peers", "list", "-j").hasPrefix("starling peers list: unknown option '-j'"))
    #expect(fault("peers", "list", "x").hasPrefix("starling peers list: unexpected argument 'x'"))
    #expect(fault("peers", "ban").hasPrefix("starling peers ban: PEER is missing"))
    #expect(fault("peers", "ban", "a", "--for").hasPrefix("starling peers ban: --for needs a value: SECONDS"))
    #expect(fault("run", "--network", "--http").hasPrefix("starling run: --network needs a value: NAME"))
    #expect(fault("run", "--network", "a", "--network", "b").hasPrefix("starling run: --network is given twice"))
    #expect(fault("run", "--http", "--no-http").hasPrefix("starling run: --http is given twice"))
    #expect(fault("run", "--no-network").hasPrefix("starling run: unknown option '--no-network'"))
    #expect(fault("run", "--=").hasPrefix("starling run: unknown option '--'"))
    #expect(fault("help", "no").hasPrefix("starling: there is no command 'no'"))
  }

  @Test func longLinesBreakBetweenWords() {
    #expect("one two three".wrapped(to: 13) == ["one two three"])
    #expect("one two three".wrapped(to: 8) == ["one two", "three"])
    #expect("  one two three".wrapped(to: 9) == ["  one two", "  three"])
    // A second column keeps its place.
    #expect("a   one two three".wrapped(to: 11) == ["a   one two", "    three"])
    #expect("a             one two".wrapped(to: 18) == ["a one two"])
    // A word that is too long is not broken: it may be an address to copy.
    #expect("see 0123456789 now".wrapped(to: 6) == ["see", "0123456789", "now"])
    #expect("".wrapped(to: 1) == [""])
    #expect("     ".wrapped(to: 2) == [""])
  }

  @Test func help() throws {
    for words in [["--help"], ["-h"], ["help"]] { #expect(try parser.parse(words).wantsHelp) }
    #expect(try parser.parse(["help", "peers", "ban"]).path == ["peers", "ban"])
    #expect(try parser.parse(["peers", "ban", "--help"]).wantsHelp)
    #expect(
      parser.help(for: ["peers", "ban"])
        == """
        Ban some.

        Usage: starling peers ban PEER [MORE…] [OPTIONS]

        Arguments:
          PEER  Who.
          MORE  Who else.

        Options:
          --for SECONDS  How long.
          --help         Show this help.

        """)
    let page = parser.help(for: ["run"])
    for key in NodeConfiguration.keys { #expect(page.contains("--\(key.flag)")) }
    #expect(page.contains("Links at most. [50]"))
    #expect(page.contains("--node-type authority|full"))
    #expect(parser.help(for: ["nothing"]) == parser.help())
    // Every terminal shows it without breaking words.
    #expect(page.split(separator: "\n").allSatisfy { $0.count <= 80 })
  }
}
