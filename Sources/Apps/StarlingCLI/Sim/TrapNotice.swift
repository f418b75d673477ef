import Foundation

/// Says which seed was running when the process traps: a core that breaks one of its own preconditions is found like any other fault.
enum TrapNotice {
  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    precondition(pthread_key_create(&key, nil) == 0, "no thread-specific key is left")
    return key
  }()

  /// Takes over the signals of traps. Once the text is out, the process ends with code 1.
  static func install() {
    _ = key
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in
      // Only what may be called from a signal handler: the text was made before.
      if let text = pthread_getspecific(TrapNotice.key) {
        _ = write(STDERR_FILENO, text, strlen(text.assumingMemoryBound(to: CChar.self)))
      }
      _exit(1)
    }
    for signal in [SIGILL, SIGTRAP, SIGSEGV] { sigaction(signal, &action, nil) }
  }

  /// Runs `body`, during which a trap on this thread prints `text`.
  static func during<Result>(_ text: String, _ body: () -> Result) -> Result {
    let copy = strdup(text)
    pthread_setspecific(key, copy)
    defer {
      pthread_setspecific(key, nil)
      free(copy)
    }
    return body()
  }
}
