import EventLoop
import Foundation
import Wire

/// The first state of a chain as a JSON file.
///
/// It knows nothing of the ledger; the node maps it.
public struct GenesisFile: Codable, Hashable, Sendable {
  /// What blocks and transactions may be; absent values take the ledger's defaults.
  public struct Limits: Codable, Hashable, Sendable {
    /// The longest block in bytes.
    public var blockBytes: Int?
    /// Transactions in a block.
    public var blockTransactions: Int?
    /// The longest transaction in bytes.
    public var transactionBytes: Int?
    /// The longest key of a data change in bytes.
    public var keyBytes: Int?
    /// The longest value of a data change in bytes.
    public var valueBytes: Int?
    /// The smallest fee of a transaction.
    public var minimumFee: UInt64?
    /// The fee for each byte by which a transaction makes the state larger.
    public var stateByteFee: UInt64?

    /// Makes limits.
    public init(
      blockBytes: Int? = nil, blockTransactions: Int? = nil, transactionBytes: Int? = nil, keyBytes: Int? = nil, valueBytes: Int? = nil,
      minimumFee: UInt64? = nil, stateByteFee: UInt64? = nil
    ) {
      self.blockBytes = blockBytes
      self.blockTransactions = blockTransactions
      self.transactionBytes = transactionBytes
      self.keyBytes = keyBytes
      self.valueBytes = valueBytes
      self.minimumFee = minimumFee
      self.stateByteFee = stateByteFee
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
      case blockBytes = "block_bytes"
      case blockTransactions = "block_transactions"
      case transactionBytes = "transaction_bytes"
      case keyBytes = "key_bytes"
      case valueBytes = "value_bytes"
      case minimumFee = "minimum_fee"
      case stateByteFee = "state_byte_fee"
    }
  }

  /// The chain's name.
  public var chainID: String
  /// The first block's time, in milliseconds since 1970.
  public var genesisTimeMilliseconds: Int64
  /// The time between blocks; default 5,000 ms.
  public var blockTimeMilliseconds: Int64
  /// The authorities' Ed25519 keys in hex, in turn order.
  public var authorities: [String]
  /// Amounts by address in hex.
  public var balances: [String: UInt64]
  /// The limits.
  public var limits: Limits

  /// Makes a genesis.
  public init(
    chainID: String, genesisTimeMilliseconds: Int64, blockTimeMilliseconds: Int64 = 5_000, authorities: [String],
    balances: [String: UInt64] = [:], limits: Limits = .init()
  ) {
    self.chainID = chainID
    self.genesisTimeMilliseconds = genesisTimeMilliseconds
    self.blockTimeMilliseconds = blockTimeMilliseconds
    self.authorities = authorities
    self.balances = balances
    self.limits = limits
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case authorities, balances, limits
    case chainID = "chain_id"
    case genesisTimeMilliseconds = "genesis_time_ms"
    case blockTimeMilliseconds = "block_time_ms"
  }

  private struct Address: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  /// Reads the keys; balances and limits may be absent.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    chainID = try container.decode(String.self, forKey: .chainID)
    genesisTimeMilliseconds = try container.decode(Int64.self, forKey: .genesisTimeMilliseconds)
    blockTimeMilliseconds = try container.decodeIfPresent(Int64.self, forKey: .blockTimeMilliseconds) ?? 5_000
    authorities = try container.decode([String].self, forKey: .authorities)
    balances = [:]
    if container.contains(.balances) {
      let amounts = try container.nestedContainer(keyedBy: Address.self, forKey: .balances)
      for address in amounts.allKeys {
        // The decoder's own error for a number out of range names no key.
        guard let amount = try? amounts.decode(UInt64.self, forKey: address) else {
          throw DecodingError.dataCorruptedError(forKey: address, in: amounts, debugDescription: "not an amount")
        }
        balances[address.stringValue] = amount
      }
    }
    limits = try container.decodeIfPresent(Limits.self, forKey: .limits) ?? Limits()
  }

  /// Reads and checks a file.
  ///
  /// - Throws: a ``ConfigurationError`` that names the file and each wrong key.
  public static func read(path: String) throws(ConfigurationError) -> GenesisFile {
    let bytes: [UInt8]
    do throws(TextFile.Failure) { bytes = try TextFile.read(path, maximumBytes: bytesMaximum) } catch {
      throw ConfigurationError(.file(path: path, line: error.line, column: 0), "", "the genesis file: \(error)")
    }
    return try decoded(bytes, path)
  }

  /// A million balances have some 90 MB.
  private static let bytesMaximum = 256 << 20

  /// Parses and checks a file's bytes; the path is for messages.
  public static func parse(_ bytes: [UInt8], path: String) throws(ConfigurationError) -> GenesisFile {
    let text: [UInt8]
    do throws(TextFile.Failure) { text = try TextFile.text(bytes) } catch {
      throw ConfigurationError(.file(path: path, line: error.line, column: 0), "", error.description)
    }
    return try decoded(text, path)
  }

  private static func decoded(_ text: [UInt8], _ path: String) throws(ConfigurationError) -> GenesisFile {
    let place = ConfigurationSource.file(path: path, line: 0, column: 0)
    let data = Data(text)
    let genesis: GenesisFile
    do {
      genesis = try JSONDecoder().decode(GenesisFile.self, from: data)
    } catch let error as DecodingError {
      func name(_ path: [any CodingKey]) -> String { path.map { $0.intValue.map { "\($0)" } ?? $0.stringValue }.joined(separator: ".") }
      switch error {
      case .keyNotFound(let key, let context): throw ConfigurationError(place, name(context.codingPath + [key]), "is missing")
      case .typeMismatch(_, let context): throw ConfigurationError(place, name(context.codingPath), "has the wrong type")
      case .valueNotFound(_, let context): throw ConfigurationError(place, name(context.codingPath), "must not be null")
      case .dataCorrupted(let context):
        let key = name(context.codingPath)
        guard key.isEmpty else { throw ConfigurationError(place, key, "has a bad value") }
        let isJSON = (try? JSONDecoder().decode(ConfigurationValue.self, from: data)) != nil
        throw ConfigurationError(place, "", isJSON ? "a number is out of range" : "the file is not valid JSON")
      @unknown default: throw ConfigurationError(place, "", "the file is not a genesis")
      }
    } catch {
      throw ConfigurationError(place, "", "the file is not a genesis")
    }
    var problems: [ConfigurationError.Problem] = []
    // Two nodes that read an unknown key differently would be on different chains.
    if case .table(let table) = (try? JSONDecoder().decode(ConfigurationValue.self, from: data)) ?? .null {
      problems += unknownKeys(table, CodingKeys.allCases.map(\.rawValue), "", place)
      if case .table(let limits) = table["limits"] {
        problems += unknownKeys(limits, Limits.CodingKeys.allCases.map(\.rawValue), "limits.", place)
      }
    }
    problems += genesis.problems.map { .init(source: place, key: $0.key, message: $0.message) }
    if !problems.isEmpty { throw ConfigurationError(problems) }
    return genesis
  }

  /// What is wrong, by key; empty for a good genesis. O(n log n).
  public var problems: [(key: String, message: String)] {
    var problems: [(key: String, message: String)] = []
    if let fault = Checks.networkName(chainID) { problems.append(("chain_id", fault)) }
    if genesisTimeMilliseconds < 0 { problems.append(("genesis_time_ms", "must not be negative")) }
    if !(10...3_600_000).contains(blockTimeMilliseconds) { problems.append(("block_time_ms", "must be 10 to 3600000")) }
    if authorities.isEmpty { problems.append(("authorities", "must name at least one key")) }
    var seen: Set<String> = []
    for (index, key) in authorities.enumerated() {
      if Base16.decode(key)?.count != 32 { problems.append(("authorities.\(index)", "must be 64 hexadecimal digits")) }
      if !seen.insert(key.lowercased()).inserted { problems.append(("authorities.\(index)", "is there twice")) }
    }
    var accounts: Set<String> = []
    var total: UInt64 = 0
    for (address, amount) in balances.sorted(by: { $0.key < $1.key }) {
      if Base16.decode(address)?.isEmpty ?? true {
        problems.append(("balances.\(address.prefix(80))", "must be an address in hexadecimal digits"))
      }
      if !accounts.insert(address.lowercased()).inserted { problems.append(("balances.\(address.prefix(80))", "is there twice")) }
      let (sum, overflow) = total.addingReportingOverflow(amount)
      if overflow {
        problems.append(("balances", "add up to more than 18446744073709551615"))
        break
      }
      total = sum
    }
    let values = [
      ("block_bytes", limits.blockBytes), ("block_transactions", limits.blockTransactions), ("transaction_bytes", limits.transactionBytes),
      ("key_bytes", limits.keyBytes), ("value_bytes", limits.valueBytes),
    ]
    for case (let key, let value?) in values where value < 1 { problems.append(("limits.\(key)", "must be at least 1")) }
    return problems
  }

  /// The file's text: sorted keys, two spaces, a line feed at the end. Equal genesis give equal bytes.
  public func text() -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    return String(decoding: (try? encoder.encode(self)) ?? Data(), as: UTF8.self) + "\n"
  }

  /// Writes the file, whole or not at all; never over an existing one.
  ///
  /// - Throws: a ``ConfigurationError`` that names the file.
  public func write(path: String) throws(ConfigurationError) {
    let place = ConfigurationSource.file(path: path, line: 0, column: 0)
    if let first = problems.first { throw ConfigurationError(place, first.key, first.message) }
    do throws(TransportError) { try PrivateFile.create(Array(text().utf8), at: path, mode: 0o644) } catch {
      throw ConfigurationError(
        place, "", error.code == .alreadyExists ? "the file exists already" : "the file cannot be written: \(error.message)")
    }
  }

  private static func unknownKeys(
    _ table: [String: ConfigurationValue], _ known: [String], _ prefix: String, _ place: ConfigurationSource
  ) -> [ConfigurationError.Problem] {
    table.keys.sorted().filter { !known.contains($0) }.map { key in
      let near = suggestion(for: key, among: known).map { "; did you mean \($0)?" } ?? ""
      return .init(source: place, key: prefix + key, message: "unknown key" + near)
    }
  }
}
