import Identity
import Wire

/// What a listener says to a dialler that it takes no link of now, in place of the negotiation: the header of multistream-select, and a line that
/// names the reason, such as `/starling/turned-away/1/too-many-peers`.
///
/// It costs no handshake. Another stack takes the line for an answer that was not asked for, and shows it with its error at best. Nothing proves
/// it: whoever can write to the connection may say it. So it only tells people why, and changes nothing that this side does.
public struct TurnAway: Sendable {
  private let networkKey: NetworkKey?
  private let crypto: any CryptoSuite

  /// - Parameter networkKey: the key of a private network, whose strangers read nothing of it.
  public init(networkKey: NetworkKey?, crypto: any CryptoSuite) {
    self.networkKey = networkKey
    self.crypto = crypto
  }

  /// All that goes over a connection that ends with it.
  ///
  /// - Parameter reason: a stable name of lower-case letters, digits and `-`, at most 40.
  public func bytes(_ reason: String) -> [UInt8] {
    var bytes: [UInt8] = []
    let stream = networkKey.map { PrivateStream($0, crypto: crypto) }
    if let stream { bytes += stream.takeNonce() }
    let begin = bytes.count
    Multistream.append(Multistream.header, to: &bytes)
    Multistream.append(TurnAway.line(reason), to: &bytes)
    stream?.seal(&bytes, from: begin)
    return bytes
  }

  /// How a dial ends that the other end has closed without a word.
  static func silence(isPrivate: Bool) -> ChannelError {
    .turnedAway(
      "it may be full, busy, closed to this address, \(isPrivate ? "no libp2p peer, or not of this private network" : "or no libp2p peer")")
  }

  /// The same outside private networks.
  public static let silence = silence(isPrivate: false)

  /// How a dial ends to which the other end has said this.
  public static func error(_ reason: String) -> ChannelError {
    .turnedAway("\(reason), as the other end says, which nothing proves", reason: reason)
  }

  private static let prefix = "/starling/turned-away/1/"

  static func line(_ reason: String) -> String { prefix + reason }

  /// The reason that a line names; `nil` when it is another line, or a name that could not be shown as it is.
  static func reason(in line: String) -> String? {
    guard line.hasPrefix(prefix) else { return nil }
    let name = line.utf8.dropFirst(prefix.utf8.count)
    let isName = (1...40).contains(name.count) && name.allSatisfy { 0x61...0x7a ~= $0 || 0x30...0x39 ~= $0 || $0 == 0x2d }
    return isName ? String(Substring(name)) : nil
  }
}
