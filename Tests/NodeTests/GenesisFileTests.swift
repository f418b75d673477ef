import Foundation
import Node
import Testing

@Suite struct GenesisFileTests {
  private let key = String(repeating: "ab", count: 32)

  private func faults(_ text: String) -> [String] {
    do throws(ConfigurationError) {
      _ = try GenesisFile.parse(Array(text.utf8), path: "g.json")
      return []
    } catch {
      return error.problems.map(\.description)
    }
  }

  @Test func roundTripAndStableText() throws {
    let genesis = GenesisFile(
      chainID: "test-1", genesisTimeMilliseconds: 5, authorities: [key], balances: ["02": 1, "01": .max - 1], limits: .init(blockBytes: 9))
    #expect(try GenesisFile.parse(Array(genesis.text().utf8), path: "g.json") == genesis)
    #expect(
      genesis.text() == """
        {
          "authorities" : [
            "\(key)"
          ],
          "balances" : {
            "01" : 18446744073709551614,
            "02" : 1
          },
          "block_time_ms" : 5000,
          "chain_id" : "test-1",
          "genesis_time_ms" : 5,
          "limits" : {
            "block_bytes" : 9
          }
        }

        """)
  }

  @Test func limitsReachTheChain() throws {
    let text = #"{"chain_id":"c","genesis_time_ms":1,"authorities":["\#(key)"],"limits":{"minimum_fee":7,"state_byte_fee":0}}"#
    let limits = try GenesisFile.parse(Array(text.utf8), path: "g.json").configuration.limits
    #expect(limits.minimumFee.units == 7 && limits.stateByteFee.units == 0)
  }

  @Test func faults() {
    let base = #""chain_id":"c","genesis_time_ms":1,"authorities":["\#(key)"]"#
    #expect(faults("{\(base)}") == [])
    #expect(faults("{") == ["g.json: the file is not valid JSON"])
    #expect(faults("[]") != [])
    #expect(faults(#"{"genesis_time_ms":1,"authorities":[]}"#) == ["g.json: chain_id: is missing"])
    #expect(faults(#"{"chain_id":"c","genesis_time_ms":"x","authorities":[]}"#) == ["g.json: genesis_time_ms: has the wrong type"])
    #expect(faults(#"{"chain_id":"c","genesis_time_ms":1,"authorities":[]}"#) == ["g.json: authorities: must name at least one key"])
    #expect(faults("{\(base),\"balances\":{\"01\":-1}}") == ["g.json: balances.01: has a bad value"])
    #expect(faults("{\(base),\"balance\":{}}") == ["g.json: balance: unknown key; did you mean balances?"])
    #expect(
      faults("{\(base),\"limits\":{\"blockbytes\":1,\"key_bytes\":0}}")
        == ["g.json: limits.blockbytes: unknown key; did you mean block_bytes?", "g.json: limits.key_bytes: must be at least 1"])
    #expect(faults("{\(base),\"block_time_ms\":1}") == ["g.json: block_time_ms: must be 10 to 3600000"])
    #expect(
      faults("{\(base),\"balances\":{\"0\":1,\"ff\":18446744073709551615,\"FF\":1}}") == [
        "g.json: balances.0: must be an address in hexadecimal digits", "g.json: balances.ff: is there twice",
        "g.json: balances: add up to more than 18446744073709551615",
      ])
    let twice = #"{"chain_id":"c","genesis_time_ms":1,"authorities":["\#(key)","\#(key.uppercased())","00"]}"#
    #expect(faults(twice) == ["g.json: authorities.1: is there twice", "g.json: authorities.2: must be 64 hexadecimal digits"])
  }

  @Test func filesAreNotOverwritten() throws {
    let path = NSTemporaryDirectory() + "starling-genesis-\(UUID().uuidString).json"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let genesis = GenesisFile(chainID: "c", genesisTimeMilliseconds: 1, authorities: [key])
    try genesis.write(path: path)
    #expect(try GenesisFile.read(path: path) == genesis)
    #expect(throws: ConfigurationError.self) { try genesis.write(path: path) }
    #expect(throws: ConfigurationError.self) { try GenesisFile.read(path: path + ".missing") }
    #expect(throws: ConfigurationError.self) {
      try GenesisFile(chainID: "", genesisTimeMilliseconds: 1, authorities: [key]).write(path: path + "2")
    }
  }
}
