/// A drawing with two axes, as SVG.
///
/// Coordinates are those of the data; the scale maps them to a frame of a fixed size that the page stretches to its width.
struct Chart {
  /// How an axis maps values to the frame.
  struct Axis {
    var range: ClosedRange<Double>
    var isLogarithmic = false
    var ticks: [(value: Double, label: String)]
    var title: String

    /// Where a value stands, from 0 to 1.
    func position(_ value: Double) -> Double {
      let held = min(max(value, range.lowerBound), range.upperBound)
      if isLogarithmic { return Axis.logarithm(held / range.lowerBound) / Axis.logarithm(range.upperBound / range.lowerBound) }
      let span = range.upperBound - range.lowerBound
      return span > 0 ? (held - range.lowerBound) / span : 0
    }

    /// Four to ten round steps from zero.
    static func linear(upTo largest: Double, title: String, label: (Double) -> String) -> Axis {
      let top = max(largest, 1e-9)
      var step = 1.0
      while step * 5 < top { step *= 10 }
      while step * 5 > top * 10 { step /= 10 }
      for part in [0.1, 0.2, 0.5] where step * part * 7 >= top {
        step *= part
        break
      }
      let count = Int((top / step).rounded(.up))
      let ticks = (0...max(1, count)).map { (Double($0) * step, label(Double($0) * step)) }
      return Axis(range: 0...(Double(max(1, count)) * step), ticks: ticks, title: title)
    }

    // The standard library has no logarithm: halvings, then a series.
    static func logarithm(_ value: Double) -> Double {
      guard value > 0 else { return 0 }
      let rest = (value.significand - 1) / (value.significand + 1)
      let square = rest * rest
      var term = rest
      var sum = 0.0
      for power in stride(from: 1.0, through: 25, by: 2) {
        sum += term / power
        term *= square
      }
      return Double(value.exponent) * 0.693147180559945 + 2 * sum
    }
  }

  let x: Axis
  let y: Axis
  private var body = ""
  private var legend: [(style: String, text: String)] = []
  private let label: String

  private static let size = (width: 720.0, height: 300.0)
  private static let frame = (left: 92.0, right: 26.0, top: 12.0, bottom: 46.0)

  /// - Parameter label: what the drawing shows, for those who don't see it.
  init(x: Axis, y: Axis, label: String) {
    self.x = x
    self.y = y
    self.label = label
  }

  private func across(_ value: Double) -> Double {
    Chart.frame.left + x.position(value) * (Chart.size.width - Chart.frame.left - Chart.frame.right)
  }

  private func down(_ value: Double) -> Double {
    Chart.size.height - Chart.frame.bottom - y.position(value) * (Chart.size.height - Chart.frame.top - Chart.frame.bottom)
  }

  /// A line through points in the order of x.
  mutating func line(_ points: [(x: Double, y: Double)], style: String, name: String) {
    guard !points.isEmpty else { return }
    var path = ""
    for (index, point) in points.enumerated() {
      path += "\(index == 0 ? "M" : "L")\(Chart.text(across(point.x))) \(Chart.text(down(point.y)))"
    }
    body += "<path class=\"line \(style)\" d=\"\(path)\"/>\n"
    legend.append((style, name))
  }

  /// The area between two lines over the same x.
  mutating func band(_ points: [(x: Double, low: Double, high: Double)], style: String, name: String) {
    guard !points.isEmpty else { return }
    var path = ""
    for (index, point) in points.enumerated() {
      path += "\(index == 0 ? "M" : "L")\(Chart.text(across(point.x))) \(Chart.text(down(point.high)))"
    }
    for point in points.reversed() { path += "L\(Chart.text(across(point.x))) \(Chart.text(down(point.low)))" }
    body += "<path class=\"band \(style)\" d=\"\(path)Z\"/>\n"
    legend.append((style, name))
  }

  /// A bar that stands on the axis, from one x to another.
  mutating func bar(from: Double, to: Double, height: Double, style: String, title: String) {
    let (left, right) = (across(from), across(to))
    let top = down(height)
    body +=
      "<rect class=\"bar \(style)\" x=\"\(Chart.text(left))\" y=\"\(Chart.text(top))\" width=\"\(Chart.text(max(1, right - left)))\" height=\"\(Chart.text(down(0) - top))\"><title>\(Markup.escape(title))</title></rect>\n"
  }

  /// A stretch of x behind everything that is drawn later.
  mutating func shade(from: Double, to: Double, title: String) {
    let left = across(from)
    body +=
      "<rect class=\"shade\" x=\"\(Chart.text(left))\" y=\"\(Chart.text(Chart.frame.top))\" width=\"\(Chart.text(max(1.5, across(to) - left)))\" height=\"\(Chart.text(down(y.range.lowerBound) - Chart.frame.top))\"><title>\(Markup.escape(title))</title></rect>\n"
  }

  /// An upright line with a word at its head.
  mutating func mark(x value: Double, _ word: String) {
    let place = across(value)
    body +=
      "<line class=\"mark\" x1=\"\(Chart.text(place))\" x2=\"\(Chart.text(place))\" y1=\"\(Chart.text(Chart.frame.top))\" y2=\"\(Chart.text(down(y.range.lowerBound)))\"/><text class=\"note\" x=\"\(Chart.text(place - 4))\" y=\"\(Chart.text(Chart.frame.top + 12))\" text-anchor=\"end\">\(Markup.escape(word))</text>\n"
  }

  /// Names a style in the legend for what was drawn without a name.
  mutating func explain(_ style: String, _ name: String) { legend.append((style, name)) }

  /// The finished drawing.
  var html: String {
    let bottom = Chart.size.height - Chart.frame.bottom
    var svg =
      "<svg viewBox=\"0 0 \(Int(Chart.size.width)) \(Int(Chart.size.height))\" role=\"img\" aria-label=\"\(Markup.escape(label))\">\n"
    for tick in y.ticks {
      let place = Chart.text(down(tick.value))
      svg +=
        "<line class=\"grid\" x1=\"\(Chart.text(Chart.frame.left))\" x2=\"\(Chart.text(Chart.size.width - Chart.frame.right))\" y1=\"\(place)\" y2=\"\(place)\"/><text class=\"tick\" x=\"\(Chart.text(Chart.frame.left - 8))\" y=\"\(Chart.text(down(tick.value) + 4))\" text-anchor=\"end\">\(Markup.escape(tick.label))</text>\n"
    }
    for tick in x.ticks {
      let place = Chart.text(across(tick.value))
      svg +=
        "<line class=\"tickmark\" x1=\"\(place)\" x2=\"\(place)\" y1=\"\(Chart.text(bottom))\" y2=\"\(Chart.text(bottom + 5))\"/><text class=\"tick\" x=\"\(place)\" y=\"\(Chart.text(bottom + 18))\" text-anchor=\"middle\">\(Markup.escape(tick.label))</text>\n"
    }
    svg += body
    svg +=
      "<line class=\"axis\" x1=\"\(Chart.text(Chart.frame.left))\" x2=\"\(Chart.text(Chart.size.width - Chart.frame.right))\" y1=\"\(Chart.text(bottom))\" y2=\"\(Chart.text(bottom))\"/>\n"
    svg +=
      "<text class=\"title\" x=\"\(Chart.text((Chart.frame.left + Chart.size.width - Chart.frame.right) / 2))\" y=\"\(Chart.text(Chart.size.height - 8))\" text-anchor=\"middle\">\(Markup.escape(x.title))</text>\n"
    svg +=
      "<text class=\"title\" transform=\"translate(14 \(Chart.text((bottom + Chart.frame.top) / 2))) rotate(-90)\" text-anchor=\"middle\">\(Markup.escape(y.title))</text>\n</svg>\n"
    guard !legend.isEmpty else { return "<figure>\(svg)</figure>\n" }
    let keys = legend.map { "<span><i class=\"\($0.style)\"></i>\(Markup.escape($0.text))</span>" }.joined(separator: " ")
    return "<figure>\(svg)<figcaption>\(keys)</figcaption></figure>\n"
  }

  /// A coordinate with one place.
  static func text(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths < 0 ? "-" : "")\(abs(tenths) / 10).\(abs(tenths) % 10)"
  }
}
