import Crypto
import Foundation
import Identity
import SecureChannel
import Wire

/// What one link costs: throughput, handshakes, streams and memory, with both ends on one core and no socket.
func benchmarkChannel() {
  let bench = ChannelBench()
  for size in [64 << 10, 16 << 10, 1 << 10, 100] { bench.throughput(message: size, framing: .raw) }
  for size in [64 << 10, 1 << 10, 100] { bench.throughput(message: size, framing: .lengthPrefixed(maximumBytes: 10 << 20)) }
  bench.handshakes()
  bench.streams()
  bench.memory()
}

private struct ChannelBench {
  let crypto = SystemCrypto.shared
  let dialer: NoiseStaticKey
  let listener: NoiseStaticKey
  let listenerPeer: PeerID
  let raw: ProtocolID = "/bench/raw/1"
  let framed: ProtocolID = "/bench/framed/1"
  let table: ProtocolTable

  init() {
    let keys = [1, 2].map { NodeKey(seed: [UInt8](repeating: $0, count: 32), crypto: SystemCrypto.shared) }
    dialer = NoiseStaticKey(keys[0], crypto: crypto)
    listener = NoiseStaticKey(keys[1], crypto: crypto)
    listenerPeer = keys[1].peerID
    table = ProtocolTable([raw: .init(framing: .raw), framed: .init(framing: .lengthPrefixed(maximumBytes: 10 << 20))])
  }

  /// Two connections and the buffer between them, used as a shell does: one buffer, read in place.
  final class Link {
    let dialer: Connection
    let listener: Connection
    var buffer: [UInt8] = []
    var outputs: [Connection.Output] = []
    var now: Instant { Instant(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds)) }

    init(_ bench: ChannelBench) {
      let now = Instant(nanoseconds: Int64(DispatchTime.now().uptimeNanoseconds))
      dialer = Connection(
        role: .dialer(expecting: bench.listenerPeer), staticKey: bench.dialer, crypto: bench.crypto, protocols: bench.table, now: now)
      listener = Connection(role: .listener, staticKey: bench.listener, crypto: bench.crypto, protocols: bench.table, now: now)
    }

    /// Moves what one end has to the other; `outputs` then holds what the receiver reported.
    func move(_ from: Connection, _ to: Connection) -> Bool {
      var bytes: [UInt8] = []
      var reports: [Connection.Output] = []
      swap(&bytes, &buffer)
      swap(&reports, &outputs)
      bytes.removeAll(keepingCapacity: true)
      reports.removeAll(keepingCapacity: true)
      let now = now
      let hasMoved = from.produce(into: &bytes, maximumBytes: 128 << 10, now: now, outputs: &reports)
      if hasMoved { bytes.withUnsafeMutableBytes { to.receive($0, now: now, into: &reports) } }
      swap(&bytes, &buffer)
      swap(&reports, &outputs)
      return hasMoved
    }

    func settle() {
      while move(dialer, listener) || move(listener, dialer) {}
    }
  }

  func throughput(message size: Int, framing: Framing) {
    let isRaw = framing == .raw
    let total = size >= 1024 ? 1 << 30 : 128 << 20
    var rates: [Double] = []
    for _ in 0..<3 {
      let link = Link(self)
      link.settle()
      let id = StreamID.outbound(1)
      var ignored: [Connection.Output] = []
      link.dialer.openStream(id, protocols: [isRaw ? raw : framed], framing: framing, now: link.now, into: &ignored)
      let message = [UInt8](repeating: 7, count: size)
      var sent = 0
      var received = 0
      let start = processNanoseconds()
      while received < total {
        while sent < total && link.dialer.queuedBytes(on: id) < 512 << 10 {
          link.dialer.send(message, on: id, into: &ignored)
          sent += size
        }
        _ = link.move(link.dialer, link.listener)
        for output in link.outputs {
          switch output {
          case .data(let id, let bytes):
            received += bytes.count
            link.listener.consumed(bytes.count, on: id)
          case .message(_, let bytes): received += bytes.count
          default: break
          }
        }
        _ = link.move(link.listener, link.dialer)
      }
      let seconds = Double(processNanoseconds() - start) / 1e9
      rates.append(Double(received) / seconds / 1e6)
    }
    rates.sort()
    report(
      "\(isRaw ? "raw" : "framed") messages of \(size) B",
      "\(Int(rates[1])) MB/s, \(Int(rates[1] * 1e6 / Double(size))) messages/s (both ends)", (rates[2] - rates[0]) / rates[1] * 100)
  }

  func handshakes() {
    let time = nanosecondsPerCall {
      let link = Link(self)
      link.settle()
      if !link.listener.isEstablished { fatalError("the handshake failed") }
    }
    report("handshakes", "\(Int(1e9 / time.median))/s (both ends), \(Int(time.median / 1000)) µs", time.spreadPercent)
  }

  func streams() {
    let link = Link(self)
    link.settle()
    var number: UInt32 = 0
    let message = [UInt8](repeating: 7, count: 32)
    var ignored: [Connection.Output] = []
    let time = nanosecondsPerCall {
      number += 1
      let id = StreamID.outbound(number)
      link.dialer.openStream(id, protocols: [framed], now: link.now, into: &ignored)
      link.dialer.send(message, on: id, into: &ignored)
      link.dialer.finish(id)
      _ = link.move(link.dialer, link.listener)
      for case .message(let id, let bytes) in link.outputs {
        link.listener.send(bytes, on: id, into: &ignored)
        link.listener.finish(id)
      }
      link.settle()
      if link.dialer.statistics.streams != 0 { fatalError("the stream is still there") }
    }
    report("streams opened, echoed, closed", "\(Int(1e9 / time.median))/s (both ends)", time.spreadPercent)
  }

  /// Resident bytes of idle ends, over many of them.
  func memory() {
    let count = 2000
    var links: [Link] = []
    links.reserveCapacity(count)
    // What the allocator keeps for the first connections must not be counted.
    for _ in 0..<10 { Link(self).settle() }
    let empty = residentBytes()
    for _ in 0..<count {
      let link = Link(self)
      link.settle()
      link.buffer = []
      link.outputs = []
      links.append(link)
    }
    let idle = residentBytes()
    for link in links {
      var ignored: [Connection.Output] = []
      for number in 1...4 {
        link.dialer.openStream(.outbound(UInt32(number)), protocols: [framed], now: link.now, into: &ignored)
      }
      link.settle()
      link.buffer = []
      link.outputs = []
    }
    let used = residentBytes()
    report("memory of an idle connection", "\((idle - empty) / count / 2) B", 0)
    report("memory of each of its streams", "\((used - idle) / count / 8) B", 0)
    consume(links)
  }

  private func residentBytes() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return pages * Int(getpagesize())
  }

  private func processNanoseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }
}
