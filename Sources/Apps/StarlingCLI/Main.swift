import Foundation

@main
struct Main {
  static func main() {
    // A file that has reached its largest size (ulimit -f) is an error of the write, as a full disk is.
    signal(SIGXFSZ, SIG_IGN)
    exit(Program.run(Array(CommandLine.arguments.dropFirst())))
  }
}
