/// Regions where they stand on the globe, with the links between them.
struct WorldMap {
  let places: [SimulationReport.Place]

  private static let size = (width: 720.0, height: 330.0)

  // Longitude and latitude as they are, from 60° north to 50° south, where the regions are.
  private func point(_ place: SimulationReport.Place) -> (x: Double, y: Double) {
    ((place.longitude + 130) / 300 * WorldMap.size.width, (62 - place.latitude) / 110 * WorldMap.size.height)
  }

  var html: String {
    var svg =
      "<svg viewBox=\"0 0 \(Int(WorldMap.size.width)) \(Int(WorldMap.size.height))\" role=\"img\" aria-label=\"Links between regions\">\n"
    for longitude in stride(from: -120.0, through: 160, by: 20) {
      let x = Chart.text((longitude + 130) / 300 * WorldMap.size.width)
      svg += "<line class=\"grid\" x1=\"\(x)\" x2=\"\(x)\" y1=\"0\" y2=\"\(Int(WorldMap.size.height))\"/>\n"
    }
    for latitude in stride(from: -40.0, through: 60, by: 20) {
      let y = Chart.text((62 - latitude) / 110 * WorldMap.size.height)
      svg +=
        "<line class=\"\(latitude == 0 ? "tickmark" : "grid")\" x1=\"0\" x2=\"\(Int(WorldMap.size.width))\" y1=\"\(y)\" y2=\"\(y)\"/>\n"
    }
    let most = Double(max(1, places.flatMap(\.links).max() ?? 1))
    for (from, place) in places.enumerated() {
      for (to, other) in places.enumerated() where from < to && place.links[to] > 0 {
        let (start, end) = (point(place), point(other))
        // A curve, so that lines over the same stretch stay apart.
        let bend = (start.x + end.x) / 2
        let height = (start.y + end.y) / 2 - abs(end.x - start.x) * 0.12
        let width = Chart.text(max(0.6, 9 * Double(place.links[to]) / most))
        svg +=
          "<path class=\"route\" stroke-width=\"\(width)\" d=\"M\(Chart.text(start.x)) \(Chart.text(start.y))Q\(Chart.text(bend)) \(Chart.text(height)) \(Chart.text(end.x)) \(Chart.text(end.y))\"><title>\(place.name) – \(other.name): \(Markup.number(place.links[to])) links</title></path>\n"
      }
    }
    let largest = Double(max(1, places.map(\.nodes).max() ?? 1))
    for (index, place) in places.enumerated() {
      let at = point(place)
      let radius = 5 + 7 * (Double(place.nodes) / largest).squareRoot()
      svg +=
        "<circle class=\"place\" cx=\"\(Chart.text(at.x))\" cy=\"\(Chart.text(at.y))\" r=\"\(Chart.text(radius))\"><title>\(place.name): \(place.nodes) nodes, \(place.links[index]) links inside</title></circle>\n"
      // Places near each other have their names on different sides.
      let isCrowded =
        at.x > 620
        || places.contains { point($0).x > at.x && point($0).x - at.x < 90 && abs(point($0).y - at.y) < 16 }
      let x = isCrowded ? at.x - radius - 4 : at.x + radius + 4
      svg +=
        "<text class=\"place-name\" x=\"\(Chart.text(x))\" y=\"\(Chart.text(at.y + 4))\" text-anchor=\"\(isCrowded ? "end" : "start")\">\(Markup.escape(place.name))</text>\n"
    }
    return "<figure>\(svg)</svg></figure>\n"
  }
}
