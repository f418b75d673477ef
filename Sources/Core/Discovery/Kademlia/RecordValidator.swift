import Identity
import Wire

/// Says which values may stand under a namespace's keys, and which of two is the better one (libp2p/specs `kad-dht`, "Entry validation").
///
/// A key is `/<namespace>/<rest>`; only keys of registered namespaces are stored or believed. Both functions depend on nothing but
/// their arguments.
public protocol RecordValidator: Sendable {
  /// Why the value may not stand under the key, in words; `nil` when it may.
  func fault(key: [UInt8], value: [UInt8]) -> String?

  /// Whether `new` takes the place of `old`; both are valid. Must be a strict order, or holders would never agree.
  func isBetter(_ new: [UInt8], than old: [UInt8], key: [UInt8]) -> Bool
}

/// The namespace `pk`: `/pk/` and the bytes of a PeerID hold the public key that the PeerID is made of.
public struct PublicKeyValidator: RecordValidator {
  private let crypto: any CryptoSuite

  /// Makes the validator.
  public init(crypto: any CryptoSuite) { self.crypto = crypto }

  public func fault(key: [UInt8], value: [UInt8]) -> String? {
    do throws(IdentityError) {
      let peer = try PeerID(bytes: Array(key.dropFirst(4)))
      let publicKey = try PublicKey(encoded: value.rawSpan)
      return PeerID(publicKey, crypto: crypto) == peer ? nil : "the public key is another peer's"
    } catch {
      return error.description
    }
  }

  /// All valid values mean the same key.
  public func isBetter(_ new: [UInt8], than old: [UInt8], key: [UInt8]) -> Bool { false }
}

/// A namespace in which any value may stand; of two, the one that is greater byte for byte counts, so that all holders come to agree.
///
/// Whoever may write there may overwrite: for experiments and private networks, or with a time or number at the value's front.
public struct AnyValueValidator: RecordValidator {
  /// Makes the validator.
  public init() {}

  public func fault(key: [UInt8], value: [UInt8]) -> String? { nil }
  public func isBetter(_ new: [UInt8], than old: [UInt8], key: [UInt8]) -> Bool { old.lexicographicallyPrecedes(new) }
}

/// The validators by namespace.
struct RecordRules: Sendable {
  let validators: [String: any RecordValidator]
  let keyBytesMaximum: Int
  let valueBytesMaximum: Int

  func validator(_ key: [UInt8]) -> (any RecordValidator)? {
    guard key.first == UInt8(ascii: "/"), let end = key.dropFirst().firstIndex(of: UInt8(ascii: "/")),
      let name = String(validating: key[1..<end], as: UTF8.self)
    else { return nil }
    return validators[name]
  }

  /// Why the value may not stand under the key; `nil` when it may.
  func fault(key: [UInt8], value: [UInt8]) -> String? {
    if key.isEmpty || key.count > keyBytesMaximum { return "a key has 1 to \(keyBytesMaximum) bytes, not \(key.count)" }
    if value.count > valueBytesMaximum { return "\(value.count) bytes are more than \(valueBytesMaximum)" }
    guard let validator = validator(key) else { return "the key is in no namespace that is registered here" }
    return validator.fault(key: key, value: value)
  }

  func isBetter(_ new: [UInt8], than old: [UInt8], key: [UInt8]) -> Bool {
    validator(key)?.isBetter(new, than: old, key: key) ?? false
  }
}
