import Foundation
import Starling
import TestKit
import Testing
import Wire

/// What a peer says of itself reaches the terminal of whoever asks.
@Suite("Text of strangers") struct RemoteTextTests {
  static let evil = "nice\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}txt\nPeerID  forged\u{2028}\u{200b}"

  @Test("identify escapes what could steer a terminal, and fakes no line")
  func identify() async throws {
    var configuration = try Host.Configuration(listen: ["/ip4/127.0.0.1/tcp/0"])
    configuration.core.agent = Self.evil
    configuration.core.peering.outboundMinimum = 0
    let host = try await Host(configuration: configuration)
    await host.handle(ProtocolID("/a" + Self.evil)) { _ in }
    try await host.start()
    let address = try #require(await host.addresses.first).description
    let folder = try Folder()
    let text = try await Starling.run(["identify", address], in: folder)
    #expect(text.status == 0, "\(text.errors)")
    let json = try await Starling.run(["identify", address, "--json"], in: folder)
    await host.close()
    for output in [text.output, json.output] {
      #expect(output.unicodeScalars.allSatisfy { $0 == "\n" || $0.isPrintable }, "\(output.debugDescription)")
    }
    #expect(
      text.output.contains(#"Agent             nice\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}txt\u{a}PeerID  forged\u{2028}\u{200b}"#))
    #expect(!text.output.split(separator: "\n").contains { $0.hasPrefix("PeerID  forged") })
    #expect(json.json["agent"] as? String == Self.evil)
  }
}
