extension BinaryInteger {
  /// The number with a noun in the right form: `1 link`, `3 links`; for nouns that take an s.
  public func counted(_ noun: String) -> String { self == 1 ? "1 \(noun)" : "\(self) \(noun)s" }
}
