import Foundation
import HTTPAPI
import Testing

@Suite struct ResponsesTests {
  private func text(_ value: some Encodable) -> String { String(decoding: HTTPResponse.json(value).body, as: UTF8.self) }

  @Test func keysAreSnakeCaseAndSorted() {
    let peer = PeersResponse.Peer(
      peerID: "12D3", address: "/ip4/1.2.3.4/tcp/9000", direction: "outbound", state: "active", height: 3, rttMilliseconds: 1.5,
      connectedSeconds: 9, score: 0, agent: "a", lastSeen: 1_704_556_800)
    #expect(
      text(PeersResponse(peers: [peer]))
        == #"{"peer_count":1,"peers":[{"address":"/ip4/1.2.3.4/tcp/9000","agent":"a","connected_seconds":9,"#
        + #""direction":"outbound","height":3,"last_seen":1704556800,"peer_id":"12D3","rtt_ms":1.5,"score":0,"state":"active"}]}"#)
    let info = NodeInfoResponse(
      version: "1", peerID: "12D3", network: "n", chainID: "c", nodeType: "full", addresses: [], height: 1, head: "00", peers: 2,
      mempool: 3,
      uptimeSeconds: 4, health: "healthy")
    #expect(
      text(info) == #"{"addresses":[],"chain_id":"c","head":"00","health":"healthy","height":1,"mempool":3,"network":"n","#
        + #""node_type":"full","peer_id":"12D3","peers":2,"uptime_seconds":4,"version":"1"}"#)
    #expect(text(HealthResponse(status: .isolated, reason: "no peers")) == #"{"reason":"no peers","status":"isolated"}"#)
    #expect(text(SubmittedResponse(transactionHash: "ab")) == #"{"status":"submitted","transaction_hash":"ab"}"#)
    #expect(
      text(AccountResponse(address: "ab", balance: .max, nonce: 1, nextNonce: 3))
        == #"{"address":"ab","balance":18446744073709551615,"balance_text":"18446744073709551615","next_nonce":3,"nonce":1}"#)
    let chain = ChainInfoResponse(
      height: 1, head: "h", genesisHash: "g", stateRoot: "s", authorities: ["a"], blockTimeMilliseconds: 5_000, minimumFee: 1,
      stateByteFee: 2)
    #expect(
      text(chain)
        == #"{"authorities":["a"],"block_time_ms":5000,"genesis_hash":"g","head":"h","height":1,"minimum_fee":1,"minimum_fee_text":"1","state_byte_fee":2,"state_byte_fee_text":"2","state_root":"s"}"#
    )
    let transaction = TransactionResponse(
      hash: "t", status: .pending, sender: "s", nonce: 1, fee: 2, payload: .init(kind: "transfer", to: "r", amount: 3))
    let block = BlockResponse(
      hash: "b", height: 1, parent: "p", time: 5, transactionRoot: "tr", stateRoot: "sr", producer: "pr", seal: "se",
      transactions: [transaction])
    #expect(
      text(block) == #"{"hash":"b","height":1,"parent":"p","producer":"pr","seal":"se","state_root":"sr","time":5,"transaction_root":"tr","#
        + #""transactions":[{"fee":2,"fee_text":"2","hash":"t","nonce":1,"payload":{"amount":3,"amount_text":"3","kind":"transfer","to":"r"},"sender":"s","status":"pending"}]}"#
    )
  }

  @Test func roundTrip() throws {
    let info = ChainInfoResponse(
      height: 1, head: "h", genesisHash: "g", stateRoot: "s", authorities: [], blockTimeMilliseconds: 1, minimumFee: 1,
      stateByteFee: 1)
    let body = HTTPResponse.success(info).body
    #expect(try JSONDecoder().decode(SuccessEnvelope<ChainInfoResponse>.self, from: Data(body)).data == info)
  }

  @Test func unencodableValueIsAnError() {
    #expect(HTTPResponse.success(Double.nan).status == 500)
  }
}
