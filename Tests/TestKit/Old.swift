import Testing

// Spellings that tests written elsewhere still use. The limits count for nothing.

@available(*, noasync)
public func waitUntil(
  _ what: @autoclosure () throws -> String, seconds: Double, sourceLocation: SourceLocation = #_sourceLocation,
  _ condition: () throws -> Bool
) throws {
  try waitUntil(what(), sourceLocation: sourceLocation, condition)
}

public func eventually(
  _ what: @autoclosure () async throws -> String, within limit: Duration, sourceLocation: SourceLocation = #_sourceLocation,
  _ condition: () async throws -> Bool
) async throws {
  try await eventually(await what(), sourceLocation: sourceLocation, condition)
}

public func within<Value: Sendable>(
  _ limit: Duration, sourceLocation: SourceLocation = #_sourceLocation, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await within(sourceLocation: sourceLocation, body)
}
