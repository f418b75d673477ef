extension Double {
  /// The number without its fraction, for people; one beyond what integers hold as it is.
  public var whole: String { magnitude < 1e18 ? "\(Int64(self))" : "\(self)" }
}

extension BinaryInteger {
  /// The number with a noun in the right form: `1 link`, `3 links`; for nouns that take an s.
  public func counted(_ noun: String) -> String { self == 1 ? "1 \(noun)" : "\(self) \(noun)s" }
}
