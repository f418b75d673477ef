import Wire

// What the remote makes this side keep: reserved before it is kept, or refused.
extension Connection {
  /// Reserves bytes for a stream, within its own bound and its connection's. What little a vital stream needs to say that the link lives it
  /// gets although others have taken everything else.
  func reserve(_ bytes: Int, _ stream: ChannelStream, _ priority: MemoryScope.Priority = .need) -> Bool {
    let isVital = stream.isVital && stream.reserved + bytes <= ChannelStream.vitalBytes
    let priority = isVital && priority == .need ? .life : priority
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

  /// What has come on a stream is of no interest any more; what is to be sent still is.
  func forgetInput(_ stream: ChannelStream) {
    statisticsStore.reassemblyBytes -= stream.message.count
    release(stream.message.count + stream.receiveCharge, stream)
    stream.message = []
    stream.receiveCharge = 0
  }

  /// Counts the bytes that belong to no stream: input that is not whole and answers that were not sent. Each is bounded by itself; here they
  /// count in the system's bound too, and a link for which there is no room ends. What other links have taken ends no link.
  func settleBuffers(into outputs: inout [Output]) {
    let wanted = carry.count + inner.count + clearOutput.count + control.count
    if wanted == bufferCharge { return }
    if wanted < bufferCharge {
      memory.release(bufferCharge - wanted)
    } else if !memory.reserve(wanted - bufferCharge, .life) {
      return fail(.limit("memory for links"), into: &outputs)
    }
    bufferCharge = wanted
  }
}
