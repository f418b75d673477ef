import Wire

extension Connection {
  /// The limits of one connection. `.init()` gives defaults that suit a node with hundreds of links.
  public struct Configuration: Sendable {
    /// The longest that negotiation, Noise and muxer selection may take together. Default 10 s.
    public var handshakeTimeout: Duration = .seconds(10)

    /// The longest that an inbound stream may take to name a protocol, and an outbound one to be answered. Default 10 s;
    /// the stream is reset when it is over.
    public var streamNegotiationTimeout: Duration = .seconds(10)

    /// Whether a dialer sends the first Noise message behind its proposal instead of waiting for the answer.
    /// Saves one round trip and changes nothing for a remote that speaks Noise. Default `true`.
    public var sendsHandshakeEarly = true

    /// Whether the muxer is agreed inside the Noise handshake (the `stream_muxers` extension). Saves one round trip; without it,
    /// or when the remote does not offer it, the muxer is negotiated by multistream-select inside Noise. Default `true`.
    public var negotiatesMuxerEarly = true

    /// The largest Noise handshake message that is taken. Also the bound of what a remote may make this side keep before it
    /// has proven its key. Default 16 KiB; the largest honest one (RSA 8,192 bits) has about 2.5 KiB.
    public var handshakeMessageMaximum = 16 << 10

    /// Streams that the remote may have open at a time; one more is reset. Default 256.
    public var inboundStreamsMaximum = 256

    /// Streams that this side may have open or waiting at a time; one more fails with ``ChannelError/limit(_:)``. Default 1,024.
    public var outboundStreamsMaximum = 1024

    /// How many streams of vital protocols (``ProtocolTable/Entry/isVital``) may be open beyond ``inboundStreamsMaximum``, and beyond
    /// ``outboundStreamsMaximum``, so that the rest cannot keep them out. Default 8.
    public var vitalStreamsReserve = 8

    /// Streams that this side opened and the remote has not yet acknowledged; further ones wait for their turn. Default 256,
    /// the number that other implementations take.
    public var unacknowledgedStreamsMaximum = 256

    /// The most that a stream's receive window grows to. A window starts with 256 KiB (fixed by Yamux) and doubles while a reader
    /// empties it within four round trips. Default 16 MiB, which carries 2.1 Gbit/s over 63 ms.
    public var windowMaximum = 16 << 20

    /// What the remote may make this side keep in all: streams, bytes that wait to be sent or read, unfinished messages, and what windows
    /// have grown beyond 256 KiB. A window that would take more than half of it stops growing; the stream that has no room is reset.
    /// Default 128 MiB.
    public var memoryMaximum = 128 << 20

    /// The same of one stream. Default 48 MiB: a window, a message and a queue of 16 MiB each.
    public var memoryPerStreamMaximum = 48 << 20

    /// Bytes of unfinished messages over all framed streams; the stream that exceeds it is reset. Default 32 MiB.
    public var reassemblyMaximum = 32 << 20

    /// Bytes queued for sending over all streams; the stream whose message does not fit is reset and fails with
    /// ``ChannelError/limit(_:)``. Default 16 MiB.
    public var sendBufferMaximum = 16 << 20

    /// Queued bytes of one stream above which its writer should pause. Default 1 MiB.
    public var highWatermark = 1 << 20

    /// Queued bytes of one stream below which a writer that paused is told to go on (``Connection/Output/writable(_:)``).
    /// Default 256 KiB.
    public var lowWatermark = 256 << 10

    /// What one stream may send before the next one has its turn, while several have something to send. Default 16 KiB.
    public var fairShare = 16 << 10

    /// Bytes of answers to pings and of resets that wait to be sent; a remote that makes more without reading them is
    /// disconnected. Default 64 KiB.
    public var controlMaximum = 64 << 10

    /// The time after which the round trip is measured again, when a window is being updated. Default 10 s.
    public var roundTripInterval: Duration = .seconds(10)

    /// The key of a private network; both ends must have it. Default `nil`: none. With it each byte is encrypted once more, about 1 ms
    /// a MiB.
    public var networkKey: NetworkKey?

    /// The defaults.
    public init() {}
  }
}
