import Metrics
import Testing

@Suite struct MetricsTests {
  @Test func page() {
    let registry = MetricsRegistry()
    let blocks = registry.counter("vision_p2p_announces_received", help: "Block announcements.")
    let peers = registry.gauge("vision_p2p_peers_connected", help: "Links, now.")
    let refused = registry.counters("starling_refused_total", help: "Refused \"peers\"\nby \\ reason.", labels: ["reason", "side"])
    let delay = registry.histogram("starling_block_seconds", help: "Age of a block.", bounds: [0.1, 1])
    registry.observe("starling_height", help: "Height of the head.") { 42 }
    blocks.increment()
    blocks.increment(by: 4)
    peers.set(3)
    peers.add(-0.5)
    refused.with("full", "in").increment(by: 2)
    refused.with("a\"b\\c\nd", "out").increment()
    for value in [0.05, 0.1, 0.5, 7, .nan] { delay.observe(value) }
    delay.observe(.milliseconds(250))
    #expect(
      registry.render() == #"""
        # HELP starling_block_seconds Age of a block.
        # TYPE starling_block_seconds histogram
        starling_block_seconds_bucket{le="0.1"} 2
        starling_block_seconds_bucket{le="1"} 4
        starling_block_seconds_bucket{le="+Inf"} 5
        starling_block_seconds_sum 7.9
        starling_block_seconds_count 5
        # HELP starling_height Height of the head.
        # TYPE starling_height gauge
        starling_height 42
        # HELP starling_refused_total Refused "peers"\nby \\ reason.
        # TYPE starling_refused_total counter
        starling_refused_total{reason="a\"b\\c\nd",side="out"} 1
        starling_refused_total{reason="full",side="in"} 2
        # HELP vision_p2p_announces_received Block announcements.
        # TYPE vision_p2p_announces_received counter
        vision_p2p_announces_received 5
        # HELP vision_p2p_peers_connected Links, now.
        # TYPE vision_p2p_peers_connected gauge
        vision_p2p_peers_connected 2.5

        """#)
    #expect(PageCheck.faults(registry.render()) == [])
  }

  @Test func seriesAreBounded() {
    let registry = MetricsRegistry()
    let family = registry.counters("x_total", help: "X.", labels: ["peer"], seriesMaximum: 3)
    for number in 0..<100 { family.with("p\(number)").increment() }
    family.with("p1").increment()
    let lines = registry.render().split(separator: "\n").filter { !$0.hasPrefix("#") }
    #expect(lines == [#"x_total{peer="other"} 97"#, #"x_total{peer="p0"} 1"#, #"x_total{peer="p1"} 2"#, #"x_total{peer="p2"} 1"#])
    let long = registry.gauges("y", help: "Y.", labels: ["name"])
    long.with(String(repeating: "é", count: 1_000)).set(.infinity)
    #expect(PageCheck.faults(registry.render()) == [])
    #expect(registry.render().contains("} +Inf\n"))
  }

  @Test func countsFromManyThreadsAddUp() async {
    let registry = MetricsRegistry()
    let counter = registry.counter("c_total", help: "C.")
    let gauge = registry.gauge("g", help: "G.")
    let histogram = registry.histogram("h", help: "H.")
    let family = registry.counters("f_total", help: "F.", labels: ["l"])
    await withTaskGroup(of: Void.self) { group in
      for task in 0..<8 {
        group.addTask {
          for _ in 0..<1_000 {
            counter.increment()
            gauge.add(1)
            histogram.observe(0.01)
            family.with("\(task % 2)").increment()
          }
        }
      }
      group.addTask { for _ in 0..<20 { #expect(PageCheck.faults(registry.render()) == []) } }
    }
    #expect(counter.value == 8_000)
    #expect(gauge.value == 8_000)
    #expect(histogram.count == 8_000)
    #expect(family.with("0").value == 4_000)
  }

  @Test func documentation() {
    let registry = MetricsRegistry()
    _ = registry.counters("b_total", help: "A | b.", labels: ["x", "y"])
    _ = registry.gauge("a", help: "A.")
    #expect(
      registry.documentation()
        == "| metric | type | labels | meaning |\n|---|---|---|---|\n| `a` | gauge |  | A. |\n| `b_total` | counter | `x`, `y` | A \\| b. |\n"
    )
  }

  @Test func badNamesTrap() async {
    await #expect(processExitsWith: .failure) { _ = MetricsRegistry().counter("1x", help: "X.") }
    await #expect(processExitsWith: .failure) { _ = MetricsRegistry().counter("a-b", help: "X.") }
    await #expect(processExitsWith: .failure) { _ = MetricsRegistry().counters("a", help: "X.", labels: ["a:b"]) }
    await #expect(processExitsWith: .failure) {
      let registry = MetricsRegistry()
      _ = registry.counter("a", help: "X.")
      _ = registry.gauge("a", help: "X.")
    }
  }
}

/// The rules of the text format 0.0.4 that a scrape would trip over.
enum PageCheck {
  static func faults(_ page: String) -> [String] {
    var faults: [String] = []
    if !page.isEmpty && !page.hasSuffix("\n") { faults.append("no line feed at the end") }
    var types: [String: String] = [:]
    var seen: Set<String> = []
    var finished: Set<String> = []
    var current = ""
    for line in page.split(separator: "\n") {
      if line.hasPrefix("# HELP ") || line.hasPrefix("# TYPE ") {
        let words = line.split(separator: " ", maxSplits: 3)
        let name = String(words[2])
        if words.count < 4 { faults.append("nothing behind the name: \(line)") }
        if name != current {
          if !finished.insert(name).inserted { faults.append("\(name) comes twice") }
          current = name
        }
        if line.hasPrefix("# TYPE ") { types[name] = words.count > 3 ? String(words[3]) : "" }
        continue
      }
      guard let match = line.wholeMatch(of: /([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\["\\n])*",?)+\})? (\S+)/)
      else {
        faults.append("not a sample: \(line)")
        continue
      }
      let name = String(match.1)
      let base =
        types[name] != nil
        ? name : ["_bucket", "_sum", "_count"].first { name.hasSuffix($0) }.map { String(name.dropLast($0.count)) } ?? ""
      if base != current || types[base] == nil { faults.append("\(name) stands outside its family") }
      if !seen.insert(name + (match.2 ?? "")).inserted { faults.append("sample twice: \(line)") }
      if !["NaN", "+Inf", "-Inf"].contains(match.3), Double(match.3) == nil { faults.append("not a number: \(line)") }
    }
    return faults
  }
}
