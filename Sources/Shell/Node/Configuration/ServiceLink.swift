/// The variables by which Kubernetes tells each container of the services in its namespace. A service named `starling` or `starling-…` makes some
/// whose names begin like this program's settings.
///
/// Told apart by what Kubernetes writes and no setting has: names that end in `_SERVICE_HOST` or `_SERVICE_PORT` (or go on behind that with a
/// port's name), and names with `_PORT` whose value is a URL such as `tcp://10.0.0.1:9000`, or that go on with a number and a protocol.
enum ServiceLink {
  static func isOne(_ name: String, _ value: String) -> Bool {
    if name.hasSuffix("_SERVICE_HOST") || name.hasSuffix("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") { return true }
    if name.hasSuffix("_PORT"), protocols.contains(where: { value.trimmed.hasPrefix("\($0.lowercased())://") }) { return true }
    let words = name.split(separator: "_")
    return words.indices.contains { index in
      words[index] == "PORT" && index + 2 < words.count && UInt16(words[index + 1]) != nil && protocols.contains(String(words[index + 2]))
        && (index + 3 == words.count || index + 4 == words.count && ["PROTO", "PORT", "ADDR"].contains(words[index + 3]))
    }
  }

  private static let protocols = ["TCP", "UDP", "SCTP"]
}
