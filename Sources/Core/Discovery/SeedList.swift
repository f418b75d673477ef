import Identity

/// The configured addresses of first contact, in the order in which they are tried. An empty list is allowed.
public struct SeedList: Hashable, Sendable {
  /// The addresses, without repetitions.
  public let addresses: [PeerAddress]

  /// An entry that cannot be read.
  public struct EntryError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Its place in the list, from 1.
    public let position: Int
    /// The text.
    public let entry: String
    /// Why it cannot be read.
    public let cause: IdentityError

    /// A sentence for the operator.
    public var description: String { "entry \(position) (\"\(entry)\"): \(cause)" }
  }

  /// Makes a list from addresses; the first of two equal ones counts. O(n).
  public init(_ addresses: [PeerAddress]) {
    var seen: Set<PeerAddress> = []
    self.addresses = addresses.filter { seen.insert($0).inserted }
  }

  /// Reads a configured list: multiaddrs (`/ip4/192.0.2.1/tcp/4001`, with or without `/p2p/…`) or `host:port`.
  ///
  /// - Throws: an ``EntryError`` for the first entry that cannot be read.
  public init(entries: [String]) throws(EntryError) {
    var addresses: [PeerAddress] = []
    for (index, entry) in entries.enumerated() {
      do throws(IdentityError) {
        let address = entry.utf8.first == UInt8(ascii: "/") ? try Multiaddr(entry) : try Multiaddr(hostPort: entry)
        addresses.append(PeerAddress(peer: address.peerID, address: address.withoutPeerID))
      } catch {
        throw EntryError(position: index + 1, entry: entry, cause: error)
      }
    }
    self.init(addresses)
  }
}
