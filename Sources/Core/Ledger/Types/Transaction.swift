import Identity
import Wire

/// A signed order of one account (`Docs/protocols/chain.md`, section Transaction).
///
/// The encoding is protobuf with every field present in ascending order and numbers in their shortest form; any other
/// form of the same order is refused, so a transaction has one encoding and its id, SHA-256 of the signed encoding,
/// cannot be changed by a relay.
///
///     message Transaction {
///       bytes  chain     = 1;   // genesis hash, 32 bytes: no replay on another chain
///       bytes  sender    = 2;   // Ed25519 public key
///       uint64 nonce     = 3;   // how many transactions the sender has made before
///       uint64 fee       = 4;
///       oneof payload { Transfer transfer = 5; SetData setData = 6; DeleteData deleteData = 7; }
///       bytes  signature = 15;  // over "starling-transaction-1\0" and the fields 1 to 7
///     }
public struct Transaction: Hashable, Sendable {
  /// What the sender wants.
  public enum Payload: Hashable, Sendable {
    /// Moves `amount` to `to`.
    case transfer(to: Address, amount: Amount)
    /// Stores a value under a key of the sender's own data.
    case setData(key: [UInt8], value: [UInt8])
    /// Removes a key of the sender's own data.
    case deleteData(key: [UInt8])

    /// By how many bytes this makes the state larger, as the fee counts them: a new account is 54 bytes (its key in the tree and its value
    /// at its longest), a new datum 32 and its value, a changed one what its value grows by. Nothing is given back for what gets smaller.
    public func newStateBytes(receiverExists: Bool, oldValueBytes: Int?) -> Int {
      switch self {
      case .transfer(_, let amount): receiverExists || amount == 0 ? 0 : Self.entryKeyBytes + Account.encodedBytesMaximum
      case .setData(_, let value): max(0, value.count - (oldValueBytes ?? -Self.entryKeyBytes))
      case .deleteData: 0
      }
    }

    private static let entryKeyBytes = 32
  }

  /// The genesis hash of the chain that this is for.
  public let chain: Hash256
  /// Who pays and signs.
  public let sender: Address
  /// How many transactions the sender has made before; each number is used once, so nothing can be replayed.
  public let nonce: UInt64
  /// What the producer of the block gets.
  public let fee: Amount
  /// What is to be done.
  public let payload: Payload
  /// 64 bytes, Ed25519 (RFC 8032).
  public let signature: [UInt8]

  /// Makes a transaction of its parts. The signature is not checked here.
  public init(chain: Hash256, sender: Address, nonce: UInt64, fee: Amount, payload: Payload, signature: [UInt8]) {
    self.chain = chain
    self.sender = sender
    self.nonce = nonce
    self.fee = fee
    self.payload = payload
    self.signature = signature
  }

  /// Makes and signs a transaction of `key`'s account.
  public init(chain: Hash256, nonce: UInt64, fee: Amount, payload: Payload, key: NodeKey, crypto: any CryptoSuite) {
    guard let sender = Address(key.publicKey) else { preconditionFailure("an account key is Ed25519, not \(key.publicKey.kind)") }
    let unsigned = Transaction(chain: chain, sender: sender, nonce: nonce, fee: fee, payload: payload, signature: [])
    let signature = key.sign(Transaction.signingDomain + unsigned.unsignedEncoding, crypto: crypto)
    self.init(chain: chain, sender: sender, nonce: nonce, fee: fee, payload: payload, signature: signature)
  }

  /// What the sender pays at most: fee and amount; `nil` when 64 bits cannot hold it.
  public var cost: Amount? {
    if case .transfer(_, let amount) = payload { return fee.adding(amount) }
    return fee
  }

  /// The canonical signed encoding.
  public var encoded: [UInt8] {
    var writer = ProtobufWriter(capacity: 192)
    write(to: &writer)
    writer.data(15, signature)
    return writer.bytes
  }

  /// SHA-256 of ``encoded``.
  public func id(crypto: any CryptoSuite) -> Hash256 { crypto.sha256(encoded) }

  /// Reads the canonical encoding.
  /// - Throws: `malformed` for any other bytes, also for another encoding of the same transaction.
  public init(encoded span: RawSpan) throws(LedgerError) {
    do throws(ProtobufError) {
      var reader = ProtobufReader(span)
      let chain = try reader.hash(expected: 1)
      let sender = try reader.address(expected: 2)
      let nonce = try reader.uint64(expected: 3)
      let fee = Amount(try reader.uint64(expected: 4))
      guard case .bytes(let kind) = try reader.nextField(), (5...7).contains(kind) else { throw .badField(5) }
      let payload = try Transaction.payload(kind, reader.span)
      let signature = try reader.bytes(expected: 15, limit: 64)
      guard signature.count == 64 else { throw .badField(15) }
      try reader.expectEnd()
      self.init(chain: chain, sender: sender, nonce: nonce, fee: fee, payload: payload, signature: signature)
    } catch {
      throw .malformed("not a transaction (\(error))")
    }
    guard span.elementsEqual(encoded) else { throw .malformed("not the canonical encoding") }
  }

  /// Whether the signature at the end of a canonical encoding is the sender's. Costs one Ed25519 verification.
  static func hasValidSignature(_ encoded: [UInt8], sender: Address, crypto: any CryptoSuite) -> Bool {
    let unsignedBytes = encoded.count - signatureFieldBytes
    guard unsignedBytes > 0 else { return false }
    var message = signingDomain
    message.reserveCapacity(message.count + unsignedBytes)
    message.append(contentsOf: encoded[..<unsignedBytes])
    let signature = Array(encoded[(encoded.count - 64)...])
    return crypto.verify(signature.rawSpan, of: message.rawSpan, by: sender.publicKey)
  }

  private var unsignedEncoding: [UInt8] {
    var writer = ProtobufWriter(capacity: 128)
    write(to: &writer)
    return writer.bytes
  }

  private func write(to writer: inout ProtobufWriter) {
    writer.hash(1, chain)
    writer.address(2, sender)
    writer.uint64(3, nonce)
    writer.uint64(4, fee.units)
    switch payload {
    case .transfer(let to, let amount):
      writer.message(5) {
        $0.address(1, to)
        $0.uint64(2, amount.units)
      }
    case .setData(let key, let value):
      writer.message(6) {
        $0.data(1, key)
        $0.data(2, value)
      }
    case .deleteData(let key):
      writer.message(7) { $0.data(1, key) }
    }
  }

  private static func payload(_ kind: Int, _ span: RawSpan) throws(ProtobufError) -> Payload {
    var reader = ProtobufReader(span)
    let payload: Payload
    switch kind {
    case 5: payload = .transfer(to: try reader.address(expected: 1), amount: Amount(try reader.uint64(expected: 2)))
    case 6: payload = .setData(key: try reader.bytes(expected: 1, limit: .max), value: try reader.bytes(expected: 2, limit: .max))
    default: payload = .deleteData(key: try reader.bytes(expected: 1, limit: .max))
    }
    try reader.expectEnd()
    return payload
  }

  /// What is signed in front of the fields, so that a signature for anything else cannot be used here.
  static let signingDomain = Array("starling-transaction-1\0".utf8)
  /// Tag, length and 64 bytes.
  private static let signatureFieldBytes = 66
}
