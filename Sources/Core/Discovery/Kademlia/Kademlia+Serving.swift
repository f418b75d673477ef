import Identity
import Wire

extension Kademlia {
  /// Meets a peer's request from what this node holds, at once.
  ///
  /// - Parameters:
  ///   - peer: who asks; proven.
  ///   - remote: where its link comes from; `nil` when it was dialled by a name.
  ///   - request: the message.
  ///   - isConnected: whether a peer is linked.
  ///   - addresses: the addresses of a peer that may be passed on: its own word, or proven by a dial.
  public mutating func serve(
    _ peer: PeerID, at remote: IPAddress?, _ request: RawSpan, now: Instant, isConnected: (PeerID) -> Bool,
    addresses: (PeerID) -> [Multiaddr],
    into outputs: inout [Output]
  ) -> Service {
    guard mode == .server else { return .refuse }
    let message: KademliaMessage
    do throws(ProtobufError) { message = try KademliaMessage(encoded: request) } catch {
      outputs.append(.report(peer, .malformed))
      return .refuse
    }
    switch message.kind {
    case .ping: return .answer(KademliaMessage(.ping).encoded)
    case .findNode: return findNode(peer, message, isConnected, addresses)
    case .getValue:
      guard !message.key.isEmpty, message.key.count <= configuration.recordKeyBytesMaximum else { return .refuse }
      let value = records.value(message.key, now: now)
      return answer(message, to: peer, record: value.map { .init(key: message.key, value: $0) }, isConnected)
    case .putValue: return putValue(peer, Origin(peer, at: remote), message, now, &outputs)
    case .getProviders:
      guard !message.key.isEmpty, message.key.count <= configuration.providerKeyBytesMaximum else { return .refuse }
      let words = providers.providers(message.key, now: now, using: &generator).map { word in
        name(word.peer, word.addresses.isEmpty ? own(word.peer) ?? addresses(word.peer) : word.addresses, isConnected)
      }
      return answer(message, to: peer, providers: words, isConnected)
    case .addProvider: return addProvider(peer, Origin(peer, at: remote), message, now)
    }
  }

  private func own(_ peer: PeerID) -> [Multiaddr]? { peer == localPeer ? addresses : nil }

  private func name(_ peer: PeerID, _ addresses: [Multiaddr], _ isConnected: (PeerID) -> Bool) -> KademliaMessage.Peer {
    .init(id: peer, addresses: addresses, connectedness: peer == localPeer || isConnected(peer) ? .connected : .notConnected)
  }

  /// The servers nearest to the key, without the one who asks.
  private func closer(_ key: [UInt8], for peer: PeerID, _ isConnected: (PeerID) -> Bool) -> [KademliaMessage.Peer] {
    let nearest = table.closest(to: place(key), count: configuration.bucketSize + 1).lazy.filter {
      $0.peer != peer && !$0.addresses.isEmpty
    }
    return nearest.prefix(configuration.bucketSize).map { name($0.peer, $0.addresses, isConnected) }
  }

  private func answer(
    _ request: KademliaMessage, to peer: PeerID, record: KademliaMessage.Record? = nil, providers: [KademliaMessage.Peer] = [],
    _ isConnected: (PeerID) -> Bool
  ) -> Service {
    let closer = closer(request.key, for: peer, isConnected)
    return .answer(KademliaMessage(request.kind, key: request.key, record: record, closerPeers: closer, providers: providers).encoded)
  }

  /// The peer sought is named whether it serves or not, so that a client can be found too (go-libp2p does the same).
  private func findNode(
    _ peer: PeerID, _ message: KademliaMessage, _ isConnected: (PeerID) -> Bool, _ addresses: (PeerID) -> [Multiaddr]
  ) -> Service {
    guard !message.key.isEmpty, message.key.count <= configuration.recordKeyBytesMaximum else { return .refuse }
    var closer = closer(message.key, for: peer, isConnected)
    if let sought = try? PeerID(bytes: message.key), closer.first?.id != sought {
      let places = own(sought) ?? addresses(sought)
      if !places.isEmpty { closer.insert(name(sought, places, isConnected), at: 0) }
    }
    return .answer(KademliaMessage(.findNode, closerPeers: closer).encoded)
  }

  private mutating func putValue(
    _ peer: PeerID, _ origin: Origin, _ message: KademliaMessage, _ now: Instant, _ outputs: inout [Output]
  ) -> Service {
    guard let record = message.record, record.key == message.key, !message.key.isEmpty else {
      outputs.append(.report(peer, .violation("putValue without a record under its key")))
      return .refuse
    }
    if rules.fault(key: record.key, value: record.value) != nil { return .refuse }
    if let held = records.value(record.key, now: now), held != record.value, !rules.isBetter(record.value, than: held, key: record.key) {
      return .refuse
    }
    guard
      records.put(record.key, record.value, distance: place(record.key) ^ table.local, from: origin, now: now, using: &generator)
    else { return .noRoom }
    scheduleExpiry(now)
    // Fields that this version does not know are not echoed: py-libp2p would take its own signed record for a forgery.
    return .answer(KademliaMessage(.putValue, key: message.key, record: record).encoded)
  }

  private mutating func addProvider(_ peer: PeerID, _ origin: Origin, _ message: KademliaMessage, _ now: Instant) -> Service {
    guard !message.key.isEmpty, message.key.count <= configuration.providerKeyBytesMaximum,
      let word = message.providers.first(where: { $0.id == peer }), !word.addresses.isEmpty
    else { return .refuse }
    guard
      providers.add(
        peer, word.addresses, key: message.key, distance: place(message.key) ^ table.local, from: origin, now: now, using: &generator)
    else { return .noRoom }
    scheduleExpiry(now)
    return .silence
  }
}
