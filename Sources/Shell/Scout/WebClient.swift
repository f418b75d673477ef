import Discovery
import Foundation
import HTTPAPI

/// Asks HTTP peers. Blocks; for worker threads.
enum WebClient {
  static func answer(_ address: WebAddress, _ question: WebFinder.Question, timeout: Duration) -> WebFinder.Answer {
    do throws(HTTPClientError) {
      let client = try HTTPClient(address.description, timeout: timeout, bytesMaximum: bytesMaximum)
      let answer = try client.request("GET", "/\(question.rawValue)")
      guard answer.status == 200 else { return .failure(WebFault(.status, "status \(answer.status)")) }
      let data = Data(answer.body)
      switch question {
      case .status:
        // S1 asks for nothing but the 200; what else a Starling node says is welcome.
        let status = try? JSONDecoder().decode(Status.self, from: data)
        return .status(peer: status?.peerID, addresses: Array((status?.addresses ?? []).prefix(entriesMaximum)))
      case .peers:
        guard let list = try? JSONDecoder().decode(List.self, from: data) else {
          return .failure(WebFault(.unreadable, "a list that cannot be read"))
        }
        // Active ones first: a bounded reader then sees the better part.
        return .peers(Array(((list.activePeers ?? []) + (list.peers ?? [])).compactMap(\.text).prefix(entriesMaximum)))
      }
    } catch {
      let code: WebFault.Code =
        switch error.code {
        case .timedOut: .silent
        case .badAnswer: .unreadable
        default: .unreachable
        }
      return .failure(WebFault(code, error.description))
    }
  }

  private struct Status: Decodable {
    var peerID: String?
    var addresses: [String]?

    enum CodingKeys: String, CodingKey {
      case peerID = "peer_id"
      case addresses
    }
  }

  /// S1: `{"peers":[URL…],"active_peers":[URL…]}`, S2: `{"peers":[TEXT…]}`, S4: `{"peers":[{"address":TEXT…}…]}`.
  private struct List: Decodable {
    var peers: [Entry]?
    var activePeers: [Entry]?

    enum CodingKeys: String, CodingKey {
      case peers
      case activePeers = "active_peers"
    }
  }

  private struct Entry: Decodable {
    let text: String?

    private struct Object: Decodable {
      var address: String?
    }

    init(from decoder: any Decoder) throws {
      if let text = try? decoder.singleValueContainer().decode(String.self) {
        self.text = text
      } else {
        text = (try? Object(from: decoder))?.address
      }
    }
  }

  /// The most that an answer may have: more than any list of peers needs.
  private static let bytesMaximum = 1 << 20
  private static let entriesMaximum = 1_024
}
