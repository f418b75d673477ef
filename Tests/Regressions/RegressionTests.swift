import Foundation
import Simulator
import Testing

/// Scenarios that once broke a property, each a file that says what was wrong: `starling sim --scenario FILE` runs it too.
@Suite struct RegressionTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Seeds")
  private static let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path))?.sorted() ?? []

  @Test func thereAreSome() { #expect(!Self.names.isEmpty) }

  @Test(arguments: names)
  func holds(name: String) throws {
    let text = try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
    let scenario = try Scenario(text: text)
    #expect(text.hasPrefix("# "), "the first line says what was wrong")
    let seed = try #require(scenario.seed)
    #expect(Simulation(scenario, seed: seed).run() == nil)
  }
}
