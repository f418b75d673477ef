import Identity
import Wire

extension Kademlia {
  /// Whether a node holds entries for others, or only asks.
  public enum Mode: String, Hashable, Sendable, CaseIterable {
    /// Asks only; it is in nobody's table. For nodes that others cannot dial or that come and go.
    case client
    /// Asks and answers.
    case server
  }

  /// The settings, usable as they are. Where the specification names a number, the default is that.
  public struct Configuration: Sendable {
    /// Whether this node answers. Default server.
    public var mode = Mode.server
    /// `k`: the most peers in one bucket of the table, in an answer, and how many hold an entry. Default 20.
    public var bucketSize = 20
    /// `α`: the most requests of one look-up that wait for an answer. Default 10, as go-libp2p: a request may include a dial, and of
    /// those many fail; with 3, three dead peers would stop a look-up until their dials time out.
    public var parallelism = 10
    /// How long one request may take, its dial included. Default 10 s.
    public var requestTimeout = Duration.seconds(10)
    /// How long a look-up may take in all; then what was found is its result. Default 60 s.
    public var lookUpTimeout = Duration.seconds(60)
    /// The most candidates that a look-up remembers; the farthest go. Default 256, about 0.3 MB at worst.
    public var candidatesMaximum = 256
    /// The most look-ups that callers may have under way. Default 64.
    public var lookUpsMaximum = 64

    /// The most peers of one netgroup (/16 of IPv4, /32 of IPv6; public addresses only) in one bucket of the table. Default 2.
    public var groupPerBucketMaximum = 2
    /// The same in the whole table. Default 3, as go-libp2p: whoever rents many addresses in one place fills only a corner.
    public var groupMaximum = 3
    /// The most peers of one netgroup that count among the ``bucketSize`` nearest of a look-up. Default 5: names near a key cost nothing, and
    /// a quarter of the places is enough for a hosting company.
    public var lookUpGroupMaximum = 5
    /// How recently a peer must have been heard of to keep its place unasked. Default 5 min.
    public var freshness = Duration.seconds(300)
    /// Failed requests in a row after which a peer leaves the table. Default 2: one may be this node's own bad moment.
    public var failuresMaximum = 2
    /// Time between two refreshes of the table. Default 10 min.
    public var refreshInterval = Duration.seconds(600)

    /// The rules of values by namespace. Default none: then `pk` is added by the host.
    public var validators: [String: any RecordValidator] = [:]
    /// The longest key of a record. Default 256 bytes.
    public var recordKeyBytesMaximum = 256
    /// The longest value. Default 64 KiB.
    public var valueBytesMaximum = 64 << 10
    /// The most records held for others. Default 1,024.
    public var recordsMaximum = 1_024
    /// The most bytes of those; when full, the network that takes most makes room. Default 16 MiB.
    public var recordBytesMaximum = 16 << 20
    /// How long a record is held. Default 48 h.
    public var recordLifetime = Duration.seconds(48 * 3_600)

    /// The longest key of a provider entry, a multihash. Default 80 bytes, as go-libp2p.
    public var providerKeyBytesMaximum = 80
    /// What providers may take in memory, those of all keys together. Default 8 MiB: about 16,000 with three addresses each.
    public var providerBytesMaximum = 8 << 20
    /// The most providers of one key; when there are more, the largest network gives way. Default 256.
    public var providersPerKeyMaximum = 256
    /// The most of those with one public IP address (IPv6: /64). Default 8.
    public var providersPerSiteMaximum = 8
    /// The most of those in one netgroup (/16 of IPv4, /32 of IPv6; public addresses only). Default 32: a hosting company has many honest ones.
    public var providersPerGroupMaximum = 32
    /// How long a provider's word is believed. Default 48 h.
    public var providerLifetime = Duration.seconds(48 * 3_600)
    /// How long the addresses that came with it are passed on. Default 24 h.
    public var providerAddressLifetime = Duration.seconds(24 * 3_600)

    /// The most keys that this node provides, and the most values that it keeps alive. Default 1,024 each.
    public var ownMaximum = 1_024
    /// Time after which own entries are stored anew. Default 22 h: before they end, wherever clocks and servers come and go.
    public var republishInterval = Duration.seconds(22 * 3_600)
    /// The same after an attempt that reached nobody. Default 60 s.
    public var republishRetry = Duration.seconds(60)

    /// Makes the default settings.
    public init() {}
  }
}
