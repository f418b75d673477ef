/// A bounded memory of message ids, in two generations: each rotation forgets the older one.
///
/// Rotating at fixed times keeps an id for one to two periods; a full young generation rotates early, so that at most
/// `capacity` ids are held and the newest half of them always stays.
struct IDWindow {
  private var young: Set<MessageID> = []
  private var old: Set<MessageID> = []
  private let generation: Int

  init(capacity: Int) { generation = max(1, capacity / 2) }

  /// Whether nothing is remembered.
  var isEmpty: Bool { young.isEmpty && old.isEmpty }

  /// The ids remembered; one that is in both generations counts twice.
  var count: Int { young.count + old.count }

  /// Whether the id is remembered.
  func contains(_ id: MessageID) -> Bool { young.contains(id) || (!old.isEmpty && old.contains(id)) }

  /// Remembers an id.
  mutating func insert(_ id: MessageID) {
    if young.count >= generation { rotate() }
    young.insert(id)
  }

  /// Forgets the older generation.
  mutating func rotate() {
    swap(&young, &old)
    young.removeAll(keepingCapacity: true)
  }

  /// Whether both generations keep to the bound.
  var isWithinBounds: Bool { young.count <= generation && old.count <= generation }
}
