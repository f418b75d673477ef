import Wire

/// A place where nodes stand.
///
/// Round-trip times are the averages that IBM publishes for its cloud's regions, 27 July to 25 August 2024
/// (<https://github.com/ibm-cloud-docs/vpc>, `_include-segments/network-latency.md`), the two directions averaged. Inside a region
/// the round trip is taken as 2 ms, about what the same page gives between zones.
public enum Region: Int, Hashable, Sendable, CaseIterable {
  case dallas, toronto, washington, frankfurt, london, tokyo, sydney, saoPaulo, madrid, osaka

  /// The name for people.
  public var name: String {
    switch self {
    case .dallas: "Dallas"
    case .toronto: "Toronto"
    case .washington: "Washington"
    case .frankfurt: "Frankfurt"
    case .london: "London"
    case .tokyo: "Tokyo"
    case .sydney: "Sydney"
    case .saoPaulo: "São Paulo"
    case .madrid: "Madrid"
    case .osaka: "Osaka"
    }
  }

  /// Position on a map, longitude and latitude in degrees.
  public var position: (longitude: Double, latitude: Double) {
    switch self {
    case .dallas: (-96.8, 32.8)
    case .toronto: (-79.4, 43.7)
    case .washington: (-77.0, 38.9)
    case .frankfurt: (8.7, 50.1)
    case .london: (-0.1, 51.5)
    case .tokyo: (139.7, 35.7)
    case .sydney: (151.2, -33.9)
    case .saoPaulo: (-46.6, -23.6)
    case .madrid: (-3.7, 40.4)
    case .osaka: (135.5, 34.7)
    }
  }

  /// The average round trip to another region.
  public func roundTrip(to other: Region) -> Duration {
    .milliseconds(Int64(Region.milliseconds[rawValue * Region.count + other.rawValue]))
  }

  func halfRoundTripNanoseconds(to other: Region) -> Int64 {
    Int64(Region.milliseconds[rawValue * Region.count + other.rawValue]) * 500_000
  }

  private static let count = Region.allCases.count

  // Rows and columns in the order of the cases.
  private static let milliseconds: [Int16] = [
    2, 34, 31, 123, 113, 143, 186, 145, 120, 150,
    34, 2, 19, 93, 82, 162, 214, 128, 107, 168,
    31, 19, 2, 91, 75, 165, 214, 118, 87, 172,
    123, 93, 91, 2, 13, 233, 250, 197, 29, 232,
    113, 82, 75, 13, 2, 244, 261, 188, 27, 244,
    143, 162, 165, 233, 244, 2, 115, 284, 257, 9,
    186, 214, 214, 250, 261, 115, 2, 328, 275, 122,
    145, 128, 118, 197, 188, 284, 328, 2, 208, 292,
    120, 107, 87, 29, 27, 257, 275, 208, 2, 257,
    150, 168, 172, 232, 244, 9, 122, 292, 257, 2,
  ]
}
