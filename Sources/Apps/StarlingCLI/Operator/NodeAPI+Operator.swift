import Foundation
import HTTPAPI
import Node

extension NodeAPI {
  /// The node that a command's `--api` names, with the admin token: of `--token-file`, of the environment, or of the data folder.
  static func admin(_ call: ParsedCommand) throws -> NodeAPI {
    let token: String
    if let file = call["token-file"] {
      token = try AdminToken.read(file)
    } else if let given = ProcessInfo.processInfo.environment["STARLING_ADMIN_TOKEN"]?.trimmed,
      !given.isEmpty
    {
      token = given
    } else {
      var configuration = NodeConfiguration()
      if let folder = call["data-dir"] { configuration.dataDirectory = folder }
      do throws(KeyFile.Failure) { token = try AdminToken.read(configuration.adminTokenFile) } catch {
        throw Failure("\(error)\nName the node's data folder with --data-dir, or the file with --token-file.")
      }
    }
    do throws(HTTPClientError) { return try NodeAPI(call["api"] ?? defaultURL, token: token) } catch {
      throw Failure.usage(call, "\(error.code == .badToken ? "the admin token" : "--api"): \(error)")
    }
  }

  func explain(_ peer: String) throws(HTTPClientError) -> StoryResponse { try client.get("\(Self.peers)/\(Self.escaped(peer))/explain") }
  func findPeer(_ peer: String) throws(HTTPClientError) -> FindingsResponse {
    try client.get(Self.prefix + "/node/find/peers/\(Self.escaped(peer))")
  }
  func findService(_ name: String) throws(HTTPClientError) -> FindingsResponse {
    try client.get(Self.prefix + "/node/find/services/\(Self.escaped(name))")
  }
  func dials() throws(HTTPClientError) -> DialsResponse { try client.get(Self.prefix + "/node/dials") }
  func rules() throws(HTTPClientError) -> RulesResponse { try client.get(Self.prefix + "/node/rules") }
  func book() throws(HTTPClientError) -> BookResponse { try client.get(Self.prefix + "/node/book") }
  func bookEntries(from start: Int, limit: Int) throws(HTTPClientError) -> BookEntriesResponse {
    try client.get(Self.prefix + "/node/book/entries?from=\(start)&limit=\(limit)")
  }

  func addPeer(_ address: String, keep: Bool) throws(HTTPClientError) -> OperationResponse {
    try client.post(Self.peers, AddPeerRequest(address: address, keep: keep))
  }
  func dropPeer(_ peer: String) throws(HTTPClientError) -> OperationResponse { try client.delete("\(Self.peers)/\(Self.escaped(peer))") }
  func ban(_ subject: String, seconds: Int?, reason: String?) throws(HTTPClientError) -> OperationResponse {
    try client.post(Self.prefix + "/node/bans", BanRequest(subject: subject, seconds: seconds, reason: reason))
  }
  func unban(_ subject: String) throws(HTTPClientError) -> OperationResponse {
    try client.delete(Self.prefix + "/node/bans/\(Self.escaped(subject))")
  }
  func trust(_ peer: String) throws(HTTPClientError) -> OperationResponse {
    try client.post(Self.prefix + "/node/trusted", TrustRequest(peer: peer))
  }
  func distrust(_ peer: String) throws(HTTPClientError) -> OperationResponse {
    try client.delete(Self.prefix + "/node/trusted/\(Self.escaped(peer))")
  }
  func importBook(_ entries: [ImportRequest.Entry]) throws(HTTPClientError) -> OperationResponse {
    try client.post(Self.prefix + "/node/book", ImportRequest(entries: entries))
  }

  private static var peers: String { prefix + "/node/peers" }

  /// A text as one segment of a path.
  private static func escaped(_ text: String) -> String {
    text.addingPercentEncoding(withAllowedCharacters: .alphanumerics.intersection(.init(charactersIn: "\0"..."\u{7f}"))) ?? ""
  }
}
