extension PublishError: CustomStringConvertible {
  /// What happened, in words.
  public var description: String {
    switch self {
    case .tooLarge(let bytes, let maximum): "a message of \(bytes) bytes, over the limit of \(maximum)"
    case .noKey: "the topic needs signatures, and there is no key to sign with"
    case .duplicate(let id): "a message with the ID \(id) was seen already"
    }
  }
}

extension SubscribeError: CustomStringConvertible {
  /// What happened, in words.
  public var description: String {
    switch self {
    case .tooManyTopics(let bytes, let maximum):
      "too many topics: the list would have \(bytes) bytes, and peers take \(maximum); unsubscribe from some or use shorter names"
    }
  }
}
