import Foundation
import NodeCore
@_exported import TestKit
import Testing

@testable import Node

extension Node {
  func askAndWait(_ query: Query) throws -> Answer {
    let done = DispatchSemaphore(value: 0)
    let box = AnswerBox()
    ask(query) {
      box.answer = $0
      done.signal()
    }
    guard done.wait(timeout: .now() + .seconds(Int(patience.components.seconds))) == .success, let answer = box.answer else {
      throw Missing("no answer to \(query)")
    }
    return answer
  }

  func information() throws -> NodeInfo {
    guard case .info(let info) = try askAndWait(.info) else { throw Missing("no info") }
    return info
  }

  func chainInformation() throws -> ChainInfo {
    guard case .chain(let info) = try askAndWait(.chain) else { throw Missing("no chain info") }
    return info
  }

  private final class AnswerBox: @unchecked Sendable {
    var answer: Answer?
  }
}

struct Missing: Error {
  let what: String
  init(_ what: String) { self.what = what }
}
