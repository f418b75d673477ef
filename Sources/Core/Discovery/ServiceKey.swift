import Identity
import Wire

/// Under which key the providers of a service are found in Kademlia (`Docs/protocols/kademlia.md`, "Services").
public enum ServiceKey {
  /// The name of a service of a network's partition, such as `main/blocks:chain-1`.
  public static func name(network: String, service: String, partition: String) -> String { "\(network)/\(service):\(partition)" }

  /// The key of a name: its SHA-256 as a multihash.
  public static func key(_ name: String, crypto: any CryptoSuite) -> [UInt8] { [0x12, 0x20] + crypto.sha256(Array(name.utf8)).bytes }
}
