extension HTTPServer {
  /// The server's settings and limits.
  public struct Configuration: Sendable {
    /// The IP address to listen on; default 127.0.0.1, so that nothing outside the machine reaches the API unasked.
    public var bindAddress = "127.0.0.1"
    /// The TCP port; default 0, any free one.
    public var port: UInt16 = 0
    /// The longest body, in bytes; default 1 MiB. Memory for bodies is at most this times the connection limit.
    public var maximumBodyBytes = 1 << 20
    /// Connections at once; default 512. Further ones are closed at once.
    public var connectionLimit = 512
    /// Connections at once of one client address; default 128.
    public var connectionsPerAddressLimit = 128
    /// How long a connection may be idle, a slow request included; default 30 s.
    public var idleTimeout: Duration = .seconds(30)
    /// How long a handler may take before the client gets a 504; default 5 s.
    public var handlerTimeout: Duration = .seconds(5)
    /// What a client address may ask for a second; default 2,000. A request counts once, or as its route says
    /// (``Router/on(_:_:access:cost:contentTypes:_:)``), and once more for each 4 KiB of its answer. Beyond that the client gets a 429.
    public var requestsPerSecond = 2_000.0
    /// The same at once; default 8,000.
    public var requestsAtOnce = 8_000.0
    /// Bytes that are kept for long answers which are still to be sent; default 32 MiB. Beyond that clients get a 503. Answers of 64 KiB at most
    /// do not count: the connection limit bounds them.
    public var responseBytesMaximum = 32 << 20
    /// The same of one client address; default 16 MiB.
    public var responseBytesPerAddressMaximum = 16 << 20
    /// What clients asked for and did not read counts as if it were still to be sent, in all and for their address, and is forgiven at so many
    /// bytes a second; default 2 MiB, of which one address has a quarter. Asking and going away therefore gains nobody work of this server, and
    /// takes nobody else's room.
    public var forgivenBytesPerSecond = 2.0 * 1_048_576
    /// How long a client may take to read an answer; default 10 s, and a second more for each 64 KiB. Then its connection is closed.
    public var sendTimeout: Duration = .seconds(10)
    /// How long a client may read nothing of a long answer; default 5 s. Then its connection is closed.
    public var stallTimeout: Duration = .seconds(5)
    /// How long ``HTTPServer/stop()`` waits for answers under way; default 1 s.
    public var stopTimeout: Duration = .seconds(1)
    /// Memory for a connection's header fields, in bytes; default 32 KiB. Longer ones get a 431.
    public var headerBytesMaximum = 32 << 10
    /// Event threads; default 1. Handlers run on them and must not block.
    public var threads = 1
    /// Origins that browsers may call from (`https://explorer.example`); default none. `*` allows every origin.
    public var allowedOrigins: [String] = []
    /// Host names that clients may use besides `localhost` and IP addresses while the server listens on loopback;
    /// default none. It keeps web pages from reaching the API through a name that they point at this machine.
    public var allowedHosts: [String] = []
    /// The bearer token of admin routes; default none, which turns them off.
    public var adminToken: String?
    /// Live streams at once; default 32.
    public var streamLimit = 32
    /// Bytes that a live stream may be behind before it is closed; default 256 KiB.
    public var streamBufferBytes = 256 << 10

    /// Makes the default settings.
    public init() {}
  }
}

/// Why the server could not start.
public struct HTTPServerError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What went wrong, in words for the operator.
  public let message: String
  /// The message behind the word `http`.
  public var description: String { "http: \(message)" }
}
