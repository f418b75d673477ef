import Foundation
import Node
import Simulator
import Wire

/// Which runs are asked for.
struct SimPlan: Sendable {
  let scenarioWord: String
  let text: String?
  let nodes: Int?
  let seeds: ClosedRange<UInt64>
  let duration: Duration?

  init(_ call: ParsedCommand) throws {
    scenarioWord = call["scenario"] ?? "calm"
    var fileSeed: UInt64?
    if Scenario.names.contains(scenarioWord) {
      text = nil
    } else if FileManager.default.fileExists(atPath: scenarioWord) {
      let text: String
      do throws(TextFile.Failure) { text = String(decoding: try TextFile.read(scenarioWord, maximumBytes: 1 << 20), as: UTF8.self) } catch {
        throw Failure(error.text(of: scenarioWord))
      }
      do throws(ScenarioError) { fileSeed = try Scenario(text: text).seed } catch {
        throw Failure("\(scenarioWord): \(error)", status: ExitStatus.configuration)
      }
      self.text = text
    } else {
      throw Failure.usage(
        call, "there is no scenario \"\(scenarioWord)\", and no file of that name; scenarios: \(Scenario.names.joined(separator: ", "))")
    }
    nodes = try call["nodes"].map { word in
      guard let count = Int(word), (2...100_000).contains(count) else {
        throw Failure.usage(call, "--nodes takes a number from 2 to 100000, not \"\(word)\"")
      }
      return count
    }
    duration = try call["for"].map { word in
      guard let duration = Parse.duration(word), duration > .zero else {
        throw Failure.usage(call, "--for takes a time such as 90s or 10m, not \"\(word)\"")
      }
      return duration
    }
    if let word = call["seeds"] {
      let parts = word.components(separatedBy: "..")
      guard parts.count == 2, let first = UInt64(parts[0]), let last = UInt64(parts[1]), first <= last, last - first < 1_000_000 else {
        throw Failure.usage(call, "--seeds takes a range such as 1..200, not \"\(word)\"")
      }
      seeds = first...last
    } else {
      let word = call["seed"] ?? "\(fileSeed ?? 1)"
      guard let seed = UInt64(word) else { throw Failure.usage(call, "--seed takes a number, not \"\(word)\"") }
      seeds = seed...seed
    }
  }

  func simulation(_ seed: UInt64) -> Simulation {
    var scenario =
      text.flatMap { try? Scenario(text: $0) } ?? Scenario.named(scenarioWord, nodes: nodes, seed: seed) ?? Scenario(name: scenarioWord)
    if text != nil, let nodes { scenario.nodes = nodes }
    return Simulation(scenario, seed: seed, duration: duration)
  }

  /// The command that repeats one run.
  func replay(_ seed: UInt64) -> String {
    var words = ["starling", "sim", "--scenario", scenarioWord]
    if let nodes { words += ["--nodes", "\(nodes)"] }
    words += ["--seed", "\(seed)"]
    if let duration { words += ["--for", "\(Int(duration.seconds.rounded()))s"] }
    return words.joined(separator: " ")
  }
}
