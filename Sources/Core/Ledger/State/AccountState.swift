import Identity
import Wire

/// What an account owns.
public struct Account: Hashable, Sendable {
  /// What it can spend.
  public var balance: Amount
  /// How many transactions it has made.
  public var nonce: UInt64

  /// Makes an account; an unused one by default.
  public init(balance: Amount = 0, nonce: UInt64 = 0) {
    self.balance = balance
    self.nonce = nonce
  }

  /// The value in the state tree: protobuf, 1 the balance, 2 the nonce. `nil` for an unused account, which has no entry.
  var encoded: [UInt8]? {
    if balance == 0 && nonce == 0 { return nil }
    var writer = ProtobufWriter(capacity: 22)
    writer.uint64(1, balance.units)
    writer.uint64(2, nonce)
    return writer.bytes
  }

  /// Two tags and two numbers at their longest.
  static let encodedBytesMaximum = 22

  init(encoded bytes: [UInt8]) {
    self.init()
    var reader = ProtobufReader(bytes.rawSpan)
    // These bytes were written by this node and are covered by the state root, which is checked when the chain is opened.
    while let field = try? reader.nextField() {
      if field == .number(1) { balance = Amount(reader.uint64) } else { nonce = reader.uint64 }
    }
  }
}

/// The reference ledger's state: accounts and their data in one ``StateTree``.
///
/// An account's key in the tree is SHA-256 of "account\0" and the address; a datum's is SHA-256 of "data\0", the address and the key.
/// Hashing keeps anybody from choosing addresses that make the tree deep.
public struct AccountState: Sendable {
  /// The entries.
  public internal(set) var tree: StateTree

  /// Makes a state of a tree.
  public init(tree: StateTree = StateTree()) { self.tree = tree }

  /// The state's root.
  public var root: Hash256 { tree.root }

  /// An account; an unused one when nothing is stored. O(log n).
  public func account(_ address: Address, crypto: any CryptoSuite) -> Account {
    tree.get(AccountState.key(of: address, crypto: crypto)).map(Account.init(encoded:)) ?? Account()
  }

  /// The value under an account's data key. O(log n).
  public func data(_ key: [UInt8], of address: Address, crypto: any CryptoSuite) -> [UInt8]? {
    tree.get(AccountState.key(ofData: key, address, crypto: crypto))
  }

  /// Proof of an account's entry, or of its absence, for ``StateProof/proves(_:_:under:crypto:)`` with ``key(of:crypto:)``. O(log n).
  public func proof(of address: Address, crypto: any CryptoSuite) -> StateProof {
    tree.proof(of: AccountState.key(of: address, crypto: crypto))
  }

  /// Where an account stands in the tree.
  public static func key(of address: Address, crypto: any CryptoSuite) -> Hash256 {
    var bytes = accountDomain
    address.append(to: &bytes)
    return crypto.sha256(bytes)
  }

  /// Where a datum stands in the tree.
  public static func key(ofData key: [UInt8], _ address: Address, crypto: any CryptoSuite) -> Hash256 {
    var bytes = dataDomain
    address.append(to: &bytes)
    bytes.append(contentsOf: key)
    return crypto.sha256(bytes)
  }

  private static let accountDomain = Array("account\0".utf8)
  private static let dataDomain = Array("data\0".utf8)
}
