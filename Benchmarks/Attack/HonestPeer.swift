import EventLoop
import HostCore
import Identity
import Ledger
import SecureChannel
import Wire

/// An honest peer that pings every 5 ms, one ping at a time, as the protocol has it, and hears of new blocks. It comes back when its link is lost.
final class HonestPeer: @unchecked Sendable {
  private let loop: EventLoop
  private let remote: SocketAddress
  private let source: String
  private let chain: ChainFacts?
  private var peer: BarePeer?
  private var introduction: StreamID?
  private var isIntroduced = false
  private var hasSubscribed = false
  private var stream: StreamID?
  private var sent: Instant?
  private var pings: [Int] = []
  private var delays: [Int] = []
  private var timer: LoopTimer?
  private var retry = Instant.zero

  var isAlive: Bool { peer?.isEstablished == true && peer?.isOver == false }

  /// Starts; on the loop's thread.
  init(_ loop: EventLoop, _ remote: SocketAddress, from source: String, chain: ChainFacts?) {
    self.chain = chain
    self.loop = loop
    self.remote = remote
    self.source = source
    connect()
    timer = LoopTimer(on: loop) { [weak self] now in self?.tick(now) }
    timer?.arm(after: .milliseconds(5))
  }

  /// The round trips of pings in microseconds, and how many milliseconds after their time blocks came; since the last call.
  func take() -> (pings: [Int], delays: [Int]) {
    defer { (pings, delays) = ([], []) }
    return (pings, delays)
  }

  private func connect() {
    retry = loop.now + .seconds(1)
    (stream, sent, introduction) = (nil, nil, nil)
    isIntroduced = chain == nil
    hasSubscribed = chain == nil
    guard let descriptor = BarePeer.connect(to: remote, from: source) else { return }
    peer = BarePeer(descriptor, to: remote, on: loop, speaksGossip: chain != nil)
    peer?.onOutput = { [weak self] _, output in
      guard let self, case .message(let stream, let bytes) = output else { return }
      if stream == introduction { isIntroduced = true }
      if !stream.isOutbound { return heard(bytes) }
      guard stream == self.stream, let sent else { return }
      pings.append(Int((loop.now - sent).nanoseconds / 1_000))
      self.sent = nil
    }
  }

  private func tick(_ now: Instant) {
    timer?.arm(after: .milliseconds(5))
    guard let peer, !peer.isOver else { return now >= retry ? connect() : () }
    guard peer.isEstablished else { return }
    if !isIntroduced, introduction == nil { introduction = chain?.introduce(peer) }
    if isIntroduced, !hasSubscribed {
      hasSubscribed = true
      _ = GossipSender().open(to: peer)
    }
    if isIntroduced, sent == nil {
      let stream = stream ?? peer.open(HostProtocols.ping, .fixed(bytes: 32))
      self.stream = stream
      sent = now
      peer.send([UInt8](repeating: 7, count: 32), on: stream)
    }
    peer.flush()
  }

  /// An RPC of gossip, perhaps with a block.
  private func heard(_ bytes: [UInt8]) {
    var rpc = ProtobufReader(bytes.rawSpan)
    while let field = try? rpc.nextField() {
      guard field == .bytes(2) else { continue }
      var message = ProtobufReader(rpc.span)
      while let field = try? message.nextField() {
        guard field == .bytes(2), let header = try? Block.header(of: message.span) else { continue }
        delays.append(Int((Platform.wallTime - header.time).milliseconds))
      }
    }
  }
}
