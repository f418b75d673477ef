import Identity
import Ledger
import Testing
import Wire

@testable import NodeCore

@Suite struct StoreFaultTests {
  /// When the store fails, who waits for it alone is told that the transaction is pending; one that is still being verified may be bad, and is not
  /// called so.
  @Test func onlyWhatWasFoundGoodIsCalledPending() throws {
    let bench = try NodeBench()
    bench.settle()
    func submit(_ nonce: UInt64, isGood: Bool) {
      let transaction = Transaction(
        chain: bench.genesis.hash(crypto: bench.crypto), nonce: nonce, fee: 100,
        payload: .transfer(to: bench.genesis.authorities[0], amount: 1),
        key: bench.key, crypto: bench.crypto)
      var bytes = transaction.encoded
      if !isGood { bytes[bytes.count - 1] ^= 1 }
      bench.send(.query(QueryID(rawValue: nonce), .submit(bytes)))
    }
    submit(0, isGood: true)
    bench.doWork()
    let batch = try #require(bench.batch)
    submit(1, isGood: false)
    bench.send(.commitFailed(batch, StoreError("no room")))
    guard case .notDurable(_, isPending: true)? = bench.answers[0] else { throw NodeBench.Missing("\(bench.answers)") }
    #expect(bench.answers[1] == nil, "\(bench.answers)")
    bench.doWork()
    guard case .refused? = bench.answers[1] else { throw NodeBench.Missing("\(bench.answers)") }
  }
}
