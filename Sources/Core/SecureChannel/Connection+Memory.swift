import Wire

// What the remote makes this side keep: reserved before it is kept, or refused.
extension Connection {
  /// Reserves bytes for a stream, within its own bound and its connection's.
  func reserve(_ bytes: Int, _ stream: ChannelStream, _ priority: MemoryScope.Priority = .need) -> Bool {
    guard stream.reserved + bytes <= configuration.memoryPerStreamMaximum, memory.reserve(bytes, priority) else { return false }
    stream.reserved += bytes
    return true
  }

  /// Gives back what was reserved for a stream; nothing is left of one that is gone.
  func release(_ bytes: Int, _ stream: ChannelStream) {
    guard !stream.isGone else { return }
    stream.reserved -= bytes
    memory.release(bytes)
  }

  /// Brings the charge of a stream's way in to what it is to be; `false` when there is no room for more.
  func chargeReceiving(_ stream: ChannelStream, _ priority: MemoryScope.Priority) -> Bool {
    let change = stream.wantedReceiveCharge - stream.receiveCharge
    if change > 0 {
      guard reserve(change, stream, priority) else { return false }
    } else {
      release(-change, stream)
    }
    stream.receiveCharge += change
    return true
  }

  /// Counts the bytes that belong to no stream: input that is not whole and answers that were not sent. Each is bounded by itself; here they
  /// count in the system's bound too, and a link for which there is no room ends.
  func settleBuffers(into outputs: inout [Output]) {
    let wanted = carry.count + inner.count + clearOutput.count + control.count
    if wanted == bufferCharge { return }
    if wanted < bufferCharge {
      memory.release(bufferCharge - wanted)
    } else if !memory.reserve(wanted - bufferCharge) {
      return fail(.limit("memory for links"), into: &outputs)
    }
    bufferCharge = wanted
  }
}
