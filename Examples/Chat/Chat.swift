import Dispatch
import Glibc
import Starling

/// A chat without a server: everybody who reaches anybody hears everybody.
///
///     chat-example                                  prints its address
///     chat-example /ip4/127.0.0.1/tcp/4001/p2p/12D…  joins somebody
@main
struct Chat {
  static let room: Topic = "starling/chat"

  static func main() async throws {
    let host = try await Host(configuration: .init(listen: ["/ip4/127.0.0.1/tcp/0"]))
    // Signed by default, so that nobody can speak in another's name.
    let messages = try await host.subscribe(room)
    let listener = Task {
      for await message in messages {
        say("\(message.author?.short ?? "?"): \(String(decoding: message.data, as: UTF8.self))")
      }
    }
    let observer = Task { [events = host.events] in
      for await event in events {
        switch event {
        case .listening(let addresses): for address in addresses { say("listening at \(address.withPeerID(host.peerID))") }
        case .mesh(.peerSubscribed(let peer, room)): say("\(peer.short) has joined")
        case .peerDisconnected(let peer, let reason): say("\(peer.short) has left: \(reason)")
        default: break
        }
      }
    }

    try await host.start()
    for address in CommandLine.arguments.dropFirst() {
      do { try await host.connect(address) } catch { say("not connected: \(error)") }
    }
    for await line in typed() where !line.isEmpty {
      do { try await host.publish(room, Array(line.utf8)) } catch { say("not said: \(error)") }
    }
    await host.close()
    listener.cancel()
    observer.cancel()
  }

  /// What is typed, a line at a time; a thread of its own waits for the keyboard.
  static func typed() -> AsyncStream<String> {
    AsyncStream(bufferingPolicy: .unbounded) { continuation in
      DispatchQueue(label: "keyboard").async {
        while let line = readLine() { continuation.yield(line) }
        continuation.finish()
      }
    }
  }

  /// Writes past the buffers of `print`, which a pipe would keep, and which the thread at the keyboard may have locked.
  static func say(_ text: String) { Array("\(text)\n".utf8).withUnsafeBytes { _ = write(1, $0.baseAddress, $0.count) } }
}
