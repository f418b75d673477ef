import CUV

/// Why an operation of the event loop failed: the system's error code, its text, and what was being done.
public struct TransportError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A failure code, as libuv numbers them (the negated `errno`, or libuv's own).
  public struct Code: Hashable, Sendable, RawRepresentable, CustomStringConvertible {
    /// The number; negative.
    public let rawValue: Int32

    /// Makes a code from its number.
    public init(rawValue: Int32) { self.rawValue = rawValue }

    fileprivate init(_ code: uv_errno_t) { rawValue = code.rawValue }

    /// Nobody listens at the address.
    public static let connectionRefused = Code(UV_ECONNREFUSED)
    /// The remote reset the connection.
    public static let connectionReset = Code(UV_ECONNRESET)
    /// The remote had closed the connection when more was written to it.
    public static let brokenPipe = Code(UV_EPIPE)
    /// The time limit passed.
    public static let timedOut = Code(UV_ETIMEDOUT)
    /// Another socket has the address.
    public static let addressInUse = Code(UV_EADDRINUSE)
    /// The host has no such address.
    public static let addressNotAvailable = Code(UV_EADDRNOTAVAIL)
    /// The process may not do this, for example bind a low port.
    public static let accessDenied = Code(UV_EACCES)
    /// No route leads to the host.
    public static let hostUnreachable = Code(UV_EHOSTUNREACH)
    /// No route leads to the network.
    public static let networkUnreachable = Code(UV_ENETUNREACH)
    /// There is a file of that name already.
    public static let alreadyExists = Code(UV_EEXIST)
    /// The process has no file descriptor left.
    public static let tooManyDescriptors = Code(UV_EMFILE)
    /// The loop stopped, or the caller gave up.
    public static let canceled = Code(UV_ECANCELED)
    /// A configured limit was reached, such as unsent bytes or look-ups under way.
    public static let limitReached = Code(UV_ENOBUFS)
    /// The text or the address is not valid.
    public static let invalidArgument = Code(UV_EINVAL)
    /// The name has no address.
    public static let unknownName = Code(UV_EAI_NONAME)
    /// The socket isn't connected.
    public static let notConnected = Code(UV_ENOTCONN)

    /// The code's symbol, such as `ECONNREFUSED`.
    public var description: String {
      uv_err_name(rawValue).map { String(cString: $0) } ?? "E\(-Int(rawValue))"
    }
  }

  /// What failed.
  public let code: Code

  /// What was being done, such as `connect 127.0.0.1:4001`.
  public let context: String

  /// Makes an error.
  public init(_ code: Code, context: String = "") {
    self.code = code
    self.context = context
  }

  init(status: Int32, context: String) { self.init(Code(rawValue: status), context: context) }

  /// The system's text, such as "connection refused".
  public var message: String { uv_strerror(code.rawValue).map { String(cString: $0) } ?? "unknown error" }

  /// What was being done, the code's symbol and its text.
  public var description: String { context.isEmpty ? "\(code): \(message)" : "\(context): \(code): \(message)" }
}
