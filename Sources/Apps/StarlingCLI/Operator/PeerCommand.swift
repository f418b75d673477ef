import Foundation
import HTTPAPI
import Node

/// `starling peer …`
enum PeerCommand {
  static func run(_ call: ParsedCommand) throws -> Int32 {
    if call.path.last == "rules" { return try rules(call) }
    let text = call.arguments[0]
    switch call.path.last {
    case "add":
      let keep = call.isOn("keep")
      let api = try NodeAPI.admin(call)
      return show(call, try api.addPeer(text, keep: keep)) { answer in
        switch answer.result {
        case "linked": "Linked already (\(answer.connection ?? "?"))."
        case "dialling": "Dialling (\(answer.connection ?? "?")); 'starling explain' says how it ends."
        default: "Not dialled yet: \(answer.reason ?? "?")."
        }
      } after: {
        keep ? " It is a must-keep peer from now on, restarts included." : ""
      }
    case "drop":
      return show(call, try NodeAPI.admin(call).dropPeer(text)) { answer in
        let ended = answer.links == 0 ? "There was no link." : "Links and dials ended: \(answer.links ?? 0)."
        let kept =
          answer.wasMustKeep == true
          ? " It is no longer a must-keep peer; if the configuration names it, it is one again after the next start." : ""
        return ended + kept + " The node does not dial it on its own for 15 min; 'starling peer ban' keeps it out."
      }
    case "ban":
      var seconds: Int?
      if call["for"] != nil {
        seconds = Int(try Parse.duration(call, "for", default: .zero, in: .seconds(1)...(.seconds(10 * 365 * 86_400))).seconds)
      }
      let reason = call["reason"]
      if let reason, reason.utf8.count > BanRequest.reasonBytesMaximum {
        throw Failure.usage(call, "--reason: at most \(BanRequest.reasonBytesMaximum) bytes")
      }
      return show(call, try NodeAPI.admin(call).ban(text, seconds: seconds, reason: reason)) { answer in
        let time = seconds.map { "for \(HumanTime.text(UInt64($0)))" } ?? "until it is lifted"
        return "Banned \(time); links and dials ended: \(answer.links ?? 0)."
          + (answer.endedTrust == true ? " It is no longer trusted." : "")
      }
    case "unban": return show(call, try NodeAPI.admin(call).unban(text)) { _ in "The ban is lifted." }
    case "trust":
      return show(call, try NodeAPI.admin(call).trust(text)) { answer in
        "Trusted from now on, restarts included." + (answer.liftedBan == true ? " Its ban is lifted." : "")
      }
    default: return show(call, try NodeAPI.admin(call).distrust(text)) { _ in "It is no longer trusted." }
    }
  }

  private static func show(
    _ call: ParsedCommand, _ answer: OperationResponse, _ sentence: (OperationResponse) -> String, after: () -> String = { "" }
  ) -> Int32 {
    if call.isOn("json") { Output.json(answer) } else { Output.line(sentence(answer) + after()) }
    return ExitStatus.success
  }

  private static func rules(_ call: ParsedCommand) throws -> Int32 {
    let rules = try NodeAPI(call).rules()
    if call.isOn("json") {
      Output.json(rules)
      return ExitStatus.success
    }
    let now = Int64(Date().timeIntervalSince1970 * 1_000)
    for ban in rules.bans {
      let left = ban.until.map { "for another \(HumanTime.text(UInt64(max($0, now) - now) / 1_000))" } ?? "until it is lifted"
      Output.line("Banned   \(ban.subject) \(left), by \(ban.setBy == "operator" ? "an operator" : "its score"): \(ban.reason)")
    }
    for peer in rules.trusted { Output.line("Trusted  \(peer)") }
    for address in rules.mustKeep { Output.line("Kept     \(address)") }
    if rules.bans.isEmpty && rules.trusted.isEmpty && rules.mustKeep.isEmpty {
      Output.line("There are no bans, no trusted peers, and no must-keep peers that were added.")
    }
    return ExitStatus.success
  }
}

/// `starling find …`
enum FindCommand {
  static func run(_ call: ParsedCommand) throws -> Int32 {
    let api = try NodeAPI.admin(call)
    let text = call.arguments[0]
    let findings = call.path.last == "peer" ? try api.findPeer(text) : try api.findService(text)
    if call.isOn("json") {
      Output.json(findings)
    } else {
      for peer in findings.peers {
        Output.line("\(peer.peerID)\(peer.isLinked ? " (linked)" : "")")
        for address in peer.addresses { Output.line("  " + address) }
      }
      if findings.peers.isEmpty { Output.line("No peer that answered knows one.") }
      if !findings.isComplete { Output.line("The search ran out of time; another one may find more.") }
    }
    return findings.peers.isEmpty ? ExitStatus.failure : ExitStatus.success
  }
}

/// `starling explain`
enum ExplainCommand {
  static func run(_ call: ParsedCommand) throws -> Int32 {
    let story = try NodeAPI(call).explain(call.arguments[0])
    if call.isOn("json") {
      Output.json(story)
    } else {
      Output.line(story.peerID ?? story.address ?? "")
      for sentence in story.sentences { Output.line("  " + sentence) }
    }
    return ExitStatus.success
  }
}
