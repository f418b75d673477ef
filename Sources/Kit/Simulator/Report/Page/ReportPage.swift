/// A report as one HTML file that needs nothing else: no script, no font, no image from elsewhere.
public struct ReportPage {
  let report: SimulationReport

  /// Makes the page of a report.
  public init(_ report: SimulationReport) { self.report = report }

  /// The whole file.
  public var html: String {
    let title = Markup.escape("\(report.run.scenario) · \(report.run.nodes) nodes · seed \(report.run.seed)")
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <meta name="color-scheme" content="light dark">
      <title>Starling simulation: \(title)</title>
      <style>
      \(ReportPage.style)
      </style>
      </head>
      <body>
      <main>
      <header>
      <h1>\(title)</h1>
      <p>\(Markup.escape(report.run.about))</p>
      \(verdict)
      \(tiles)
      </header>
      \(propagation)
      \(heights)
      \(links)
      \(bandwidth)
      \(map)
      \(refusals)
      \(properties)
      \(parameters)
      </main>
      </body>
      </html>

      """
  }

  // MARK: Head

  private var verdict: String {
    if let violation = report.violation { return "<p class=\"verdict bad\">Broken: \(Markup.escape(violation))</p>" }
    let isWhole = report.verdicts.allSatisfy { $0.outcome == .held }
    return isWhole
      ? "<p class=\"verdict good\">All \(report.verdicts.count) properties held.</p>" : "<p class=\"verdict\">The run was not finished.</p>"
  }

  private var tiles: String {
    func ninetyNine(_ propagation: SimulationReport.Propagation) -> String {
      propagation.reach.first { $0.share == 0.99 }.map { Markup.milliseconds($0.milliseconds.p50) } ?? "–"
    }
    let run = report.run
    var tiles = [
      ("Height", Markup.number(Int(report.chain.highest)), "lowest \(Markup.number(Int(report.chain.lowest)))"),
      ("Blocks to 99 % of nodes", ninetyNine(report.blocks), "median of \(Markup.number(report.blocks.followed)) blocks"),
      (
        "Transactions to 99 %", ninetyNine(report.transactions),
        "median of \(Markup.number(report.transactions.followed)) transactions"
      ),
      ("Sent by a node", Markup.bytes(report.bandwidth.sent.p50) + "/s", "median; most \(Markup.bytes(report.bandwidth.sent.largest))/s"),
      ("Bans", Markup.number(report.refusals.banCount), run.liars > 0 ? "\(Markup.number(run.liars)) nodes lie" : "nobody lies"),
    ]
    if let real = run.realSeconds {
      tiles.append(
        (
          "Speed", Markup.number(run.virtualSeconds / max(real, 1e-3), places: 1) + "×",
          "\(Markup.number(run.virtualSeconds)) s in \(Markup.number(real, places: 1)) s"
        ))
    }
    let items = tiles.map { "<div><dt>\($0.0)</dt><dd>\($0.1)</dd><small>\($0.2)</small></div>" }.joined(separator: "\n")
    return "<dl class=\"tiles\">\n\(items)\n</dl>"
  }

  // MARK: Propagation

  private var propagation: String {
    let kinds = [("Blocks", report.blocks, "first"), ("Transactions", report.transactions, "second")]
    guard kinds.contains(where: { $0.1.milliseconds != nil }) else {
      return Markup.section("Propagation", "<p>Nothing spread while it was measured.</p>\n")
    }
    let longest = kinds.compactMap(\.1.milliseconds?.largest).max() ?? 1_000
    var top = 1_000.0
    while top < longest { top *= 10 }
    var ticks: [(value: Double, label: String)] = []
    var tick = 1.0
    while tick <= top {
      ticks.append((tick, tick >= 1_000 ? "\(Markup.number(tick / 1_000)) s" : "\(Markup.number(tick)) ms"))
      tick *= 10
    }
    let shares = [0, 0.25, 0.5, 0.75, 0.9, 1].map { ($0, Markup.percent($0)) }
    var chart = Chart(
      x: .init(range: 1...top, isLogarithmic: true, ticks: ticks, title: "time since birth"),
      y: .init(range: 0...1, ticks: shares, title: "nodes reached"), label: "How fast blocks and transactions spread")
    chart.mark(x: 1_000, "1 s")
    for (name, propagation, style) in kinds {
      chart.line(propagation.distribution.map { ($0.milliseconds, $0.share) }, style: style, name: name)
    }
    var rows: [[String]] = []
    func row(_ kind: String, _ what: String, _ quantiles: SimulationReport.Quantiles, bar: Double?) {
      let isKept = bar.map { quantiles.p50 < $0 }
      let median = Markup.milliseconds(quantiles.p50)
      let mark = isKept.map { $0 ? " <b class=\"good\">✓</b>" : " <b class=\"bad\">✗</b>" } ?? ""
      rows.append(
        [
          "\(kind), \(what)", Markup.number(Int(quantiles.count)), median + mark, Markup.milliseconds(quantiles.p90),
          Markup.milliseconds(quantiles.p99), Markup.milliseconds(quantiles.largest), bar.map { "< \(Markup.milliseconds($0))" } ?? "",
        ])
    }
    for (name, propagation, _) in kinds {
      for hops in propagation.hops where hops.hops <= 8 {
        row(name, hops.hops == 1 ? "1 hop" : "\(hops.hops) hops", hops.milliseconds, bar: [1: 100, 3: 300][hops.hops])
      }
      for reach in propagation.reach {
        let what = reach.share == 1 ? "all nodes" : "\(Markup.percent(reach.share)) of nodes"
        row(name, what, reach.milliseconds, bar: reach.share == 0.99 ? 1_000 : nil)
      }
    }
    let notes = kinds.map { name, propagation, _ in
      "\(name): \(Markup.number(propagation.followed)) followed, \(Markup.number(propagation.complete)) reached every node that ran at their birth, \(Markup.number(propagation.missing)) deliveries missing at the end."
    }
    return Markup.section(
      "Propagation",
      chart.html
        + Markup.table(["", "count", "median", "90 %", "99 %", "longest", "bar for the median"], rows)
        + "<p class=\"note\">Hops count deliveries by their path from the origin; “of nodes” counts blocks or transactions by when they had reached that share. Born between \(Markup.number(report.run.measuredFrom)) s and \(Markup.number(report.run.measuredUntil)) s; a block from its sealing, a transaction from when its user gave it to a node. \(notes.joined(separator: " "))</p>\n"
    )
  }

  // MARK: Course

  private var time: Chart.Axis {
    .linear(upTo: max(report.moments.last?.seconds ?? 0, report.run.virtualSeconds), title: "seconds") { Markup.number($0) }
  }

  private func shadeFaults(_ chart: inout Chart) {
    guard !report.faults.isEmpty else { return }
    for fault in report.faults {
      chart.shade(from: fault.from, to: fault.until, title: "\(fault.name) from \(Markup.number(fault.from)) s")
    }
    let names = Set(report.faults.map(\.name)).sorted().joined(separator: ", ")
    chart.explain("shade", "faults: \(names)")
  }

  private var heights: String {
    let top = Double(report.moments.map(\.highest).max() ?? 0)
    var chart = Chart(
      x: time, y: .linear(upTo: max(top, 1), title: "height") { Markup.number($0, places: top < 3 ? 1 : 0) }, label: "Heights over time")
    shadeFaults(&chart)
    chart.band(report.moments.map { ($0.seconds, Double($0.lowest), Double($0.highest)) }, style: "pale", name: "lowest to highest")
    chart.line(report.moments.map { ($0.seconds, Double($0.median)) }, style: "first", name: "median")
    let most = report.moments.map(\.up).max() ?? 0
    var nodes = Chart(
      x: time, y: .linear(upTo: Double(max(most, 1)), title: "honest nodes") { Markup.number($0) }, label: "Nodes over time")
    shadeFaults(&nodes)
    nodes.line(report.moments.map { ($0.seconds, Double($0.up)) }, style: "first", name: "running")
    nodes.line(report.moments.map { ($0.seconds, Double($0.isolated)) }, style: "third", name: "running without a peer")
    let chain = report.chain
    let note =
      "\(Markup.number(chain.blocksMade)) blocks made, \(Markup.number(chain.reorganisations)) reorganisations, at most \(Markup.number(chain.deepestReorganisation)) deep; users had \(Markup.number(chain.accepted)) transactions accepted and \(Markup.number(chain.refused)) put off or refused."
    return Markup.section("Heights over time", chart.html + "<p class=\"note\">\(note)</p>\n" + "<h3>Nodes</h3>\n" + nodes.html)
  }

  // MARK: Links

  private var links: String {
    let degrees = report.degrees
    let widest = max(degrees.inbound.count, degrees.outbound.count, 1)
    let most = max(degrees.inbound.max() ?? 0, degrees.outbound.max() ?? 0, 1)
    let step = max(1, (widest + 9) / 10)
    let ticks = stride(from: 0, to: widest, by: step).map { (Double($0) + 0.5, "\($0)") }
    var chart = Chart(
      x: .init(range: 0...Double(widest), ticks: ticks, title: "links of a node"),
      y: .linear(upTo: Double(most), title: "nodes") { Markup.number($0) }, label: "Distribution of links")
    for (index, count) in degrees.inbound.enumerated() where count > 0 {
      chart.bar(
        from: Double(index) + 0.1, to: Double(index) + 0.48, height: Double(count), style: "first",
        title: "\(count) nodes with \(index) inbound links")
    }
    for (index, count) in degrees.outbound.enumerated() where count > 0 {
      chart.bar(
        from: Double(index) + 0.52, to: Double(index) + 0.9, height: Double(count), style: "second",
        title: "\(count) nodes with \(index) outbound links")
    }
    chart.explain("first", "inbound")
    chart.explain("second", "outbound")
    func mean(_ counts: [Int]) -> Double {
      Double(counts.enumerated().reduce(0) { $0 + $1.offset * $1.element }) / Double(max(1, counts.reduce(0, +)))
    }
    let lowest = degrees.all.firstIndex { $0 > 0 } ?? 0
    let note =
      "At the end an honest node has \(Markup.number(mean(degrees.all), places: 1)) links on average, \(Markup.number(mean(degrees.outbound), places: 1)) of them its own; the fewest \(lowest), the most \(max(0, degrees.all.count - 1))."
    return Markup.section("Links of a node", chart.html + "<p class=\"note\">\(note)</p>\n")
  }

  // MARK: Bandwidth

  private var bandwidth: String {
    let bandwidth = report.bandwidth
    let fastest = report.moments.map(\.bytesPerSecond).max() ?? 0
    var course = Chart(
      x: time, y: .linear(upTo: max(fastest, 1), title: "sent by all nodes") { Markup.bytes($0) + "/s" }, label: "Bytes over time")
    shadeFaults(&course)
    course.line(report.moments.map { ($0.seconds, $0.bytesPerSecond) }, style: "first", name: "all nodes")

    let most = Double(bandwidth.sentBuckets.map(\.nodes).max() ?? 1)
    let ticks = bandwidth.sentBuckets.indices.map { (Double($0) + 0.5, Markup.bytes(Double(bandwidth.sentBuckets[$0].bytesPerSecond))) }
    var nodes = Chart(
      x: .init(
        range: 0...Double(max(1, bandwidth.sentBuckets.count)), ticks: ticks, title: "bytes a second that a node sent, from … to twice that"
      ),
      y: .linear(upTo: most, title: "nodes") { Markup.number($0) }, label: "Distribution of bytes sent")
    for (index, bucket) in bandwidth.sentBuckets.enumerated() {
      nodes.bar(
        from: Double(index) + 0.1, to: Double(index) + 0.9, height: Double(bucket.nodes), style: "first", title: "\(bucket.nodes) nodes")
    }
    func row(_ name: String, _ quantiles: SimulationReport.Quantiles) -> [String] {
      [name] + [quantiles.p50, quantiles.p90, quantiles.p99, quantiles.largest].map { Markup.bytes($0) + "/s" }
    }
    let carried = bandwidth.protocols.reduce(0) { $0 + $1.bytes }
    let total = Double(max(1, bandwidth.totalBytes))
    var protocols = bandwidth.protocols.map {
      [
        "<code>\(Markup.escape($0.name))</code>", Markup.number(Int($0.messages)), Markup.bytes(Double($0.bytes)),
        Markup.percent(Double($0.bytes) / total, places: 1),
      ]
    }
    let wrapping = Double(bandwidth.totalBytes) - Double(carried)
    protocols.append(["set-up, and what wraps messages", "", Markup.bytes(wrapping), Markup.percent(wrapping / total, places: 1)])
    let firsts = max(1, bandwidth.gossipMessages - bandwidth.gossipDuplicates)
    let note =
      "Gossip brought \(Markup.number(bandwidth.gossipMessages)) messages, \(Markup.number(bandwidth.gossipDuplicates)) of them known already: \(Markup.number(Double(bandwidth.gossipMessages) / Double(firsts), places: 2)) copies of each at each node."
    return Markup.section(
      "Bandwidth",
      course.html + "<h3>Nodes</h3>\n" + nodes.html
        + Markup.table(
          ["a node, on average over the run", "median", "90 %", "99 %", "most"],
          [row("sent", bandwidth.sent), row("received", bandwidth.received)]) + "<h3>Protocols</h3>\n"
        + Markup.table(["protocol", "messages", "bytes", "of all bytes"], protocols) + "<p class=\"note\">\(note)</p>\n")
  }

  // MARK: Places

  private var map: String {
    let places = report.places
    guard places.count > 1 else { return "" }
    let rows = places.enumerated().map { index, place in
      ["\(Markup.escape(place.name)) (\(Markup.number(place.nodes)))"] + place.links.map { Markup.number($0) }
    }
    return Markup.section(
      "Links between regions",
      WorldMap(places: places).html + Markup.table(["region (nodes)"] + places.map { Markup.escape($0.name) }, rows))
  }

  // MARK: Refusals

  private var refusals: String {
    let refusals = report.refusals
    var body = ""
    let kinds = [
      ("Links that ended", refusals.ended), ("Links refused on arrival", refusals.refused), ("Dials that failed", refusals.dials),
      ("Offences", refusals.offences),
    ]
    for (title, counts) in kinds where !counts.isEmpty {
      body += "<div><h3>\(title)</h3>\n"
      body += Markup.table(["reason", "times"], counts.map { [Markup.escape($0.name), Markup.number($0.count)] }) + "</div>\n"
    }
    body = body.isEmpty ? "<p>Nothing was refused, and no link ended.</p>\n" : "<div class=\"columns\">\(body)</div>\n"
    if refusals.banCount == 0 {
      body += "<p>Nobody was banned.</p>\n"
    } else {
      let shown = refusals.bans.prefix(100)
      body += "<h3>Bans</h3>\n"
      body += Markup.table(
        ["time", "by", "of", "why"],
        shown.map { ["\(Markup.number($0.seconds, places: 1)) s", Markup.escape($0.by), Markup.escape($0.of), Markup.escape($0.reason)] },
        isNumeric: false)
      if refusals.banCount > shown.count {
        body += "<p class=\"note\">The first \(shown.count) of \(Markup.number(refusals.banCount)).</p>\n"
      }
    }
    return Markup.section("Refusals and bans", body)
  }

  // MARK: Properties and parameters

  private var properties: String {
    let rows = report.verdicts.map { verdict in
      let word =
        switch verdict.outcome {
        case .held: "<b class=\"good\">held</b>"
        case .broken: "<b class=\"bad\">broken</b>"
        case .unchecked: "not checked"
        }
      let detail = verdict.detail.map { "<br><small>\(Markup.escape($0))</small>" } ?? ""
      return ["<code>\(Markup.escape(verdict.property))</code>", Markup.escape(verdict.about) + detail, word]
    }
    let table = Markup.table(["property", "what it says", "verdict"], rows, isNumeric: false)
    guard !report.lastSteps.isEmpty else { return Markup.section("Properties", table) }
    let steps = report.lastSteps.map { Markup.escape($0) }.joined(separator: "\n")
    return Markup.section("Properties", table + "<h3>The last steps</h3>\n<pre>\(steps)</pre>\n")
  }

  private var parameters: String {
    let run = report.run
    return Markup.section(
      "Run it again",
      """
      <pre>\(Markup.escape(run.replay))</pre>
      <p class="note">\(Markup.number(Int(run.steps))) steps, \(Markup.number(run.virtualSeconds)) s of virtual time, trace hash <code>\(run.traceHash)</code>. The same version takes the same steps on every machine.</p>
      <h3>Scenario</h3>
      <pre>\(Markup.escape(run.settings))</pre>

      """)
  }
}
