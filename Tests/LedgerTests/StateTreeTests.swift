import Testing
import Wire

@testable import Ledger

@Suite struct StateTreeTests {
  @Test(arguments: [1, 2, 3] as [UInt64])
  func agreesWithADictionary(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var tree = StateTree()
    var model: [Hash256: [UInt8]] = [:]
    // Few distinct first bytes, so that paths are shared.
    let keys = (0..<60).map { _ in Hash256([UInt8(random.index(below: 3))] + random.bytes(31))! }
    for step in 0..<200 {
      var changes: [StateTree.Change] = []
      for _ in 0..<1 + random.index(below: 12) {
        let key = keys[random.index(below: keys.count)]
        let value = random.index(below: 3) == 0 ? nil : random.bytes(1 + random.index(below: 40))
        changes.append((key, value))
        model[key] = value
      }
      let before = tree
      let oldRoot = before.root
      tree.update(changes, crypto: crypto)
      tree.checkInvariants(crypto: crypto)
      #expect(before.root == oldRoot, "an older version changed")
      #expect(tree.count == model.count, "seed \(seed) step \(step)")
      for key in keys { #expect(tree.get(key) == model[key], "seed \(seed) step \(step)") }
      let rebuilt = StateTree(model.map { (key: $0.key, value: $0.value) }, crypto: crypto)
      #expect(rebuilt.root == tree.root, "seed \(seed) step \(step)")
    }
    #expect(tree.entries().map(\.key) == model.keys.sorted())
    let middle = model.keys.sorted()[model.count / 2]
    #expect(tree.entries(from: middle, limit: 3).map(\.key) == Array(model.keys.sorted()[(model.count / 2)...].prefix(3)))
    tree.update(model.keys.map { ($0, nil) }, crypto: crypto)
    #expect(tree.root == .zero && tree.count == 0)
  }

  @Test func oneAtATimeEqualsTogether() {
    var random = SeededGenerator(seed: 9)
    let entries = (0..<100).map { _ in (key: random.hash(), value: random.bytes(8)) }
    var single = StateTree()
    for entry in entries.reversed() { single.set(entry.key, entry.value, crypto: crypto) }
    #expect(single.root == StateTree(entries, crypto: crypto).root)
    for entry in entries.dropFirst() { single.remove(entry.key, crypto: crypto) }
    #expect(single.root == StateTree([entries[0]], crypto: crypto).root)
    // Absent keys and equal values change nothing.
    single.remove(random.hash(), crypto: crypto)
    single.set(entries[0].key, entries[0].value, crypto: crypto)
    #expect(single.count == 1 && single.get(entries[0].key) == entries[0].value)
  }

  @Test func hashesAsDocumented() {
    let key = Hash256([UInt8](repeating: 0x80, count: 32))!
    let other = Hash256([UInt8](repeating: 0x01, count: 32))!
    let leaf = crypto.sha256([0] + key.bytes + crypto.sha256([5]).bytes)
    let otherLeaf = crypto.sha256([0] + other.bytes + crypto.sha256([6]).bytes)
    #expect(StateTree([(key: key, value: [5])], crypto: crypto).root == leaf)
    #expect(
      StateTree([(key: key, value: [5]), (key: other, value: [6])], crypto: crypto).root
        == crypto.sha256([1] + otherLeaf.bytes + leaf.bytes))
  }

  @Test func proofs() throws {
    var random = SeededGenerator(seed: 4)
    let entries = (0..<200).map { _ in (key: random.hash(), value: random.bytes(5)) }
    let tree = StateTree(entries, crypto: crypto)
    for entry in entries {
      let proof = tree.proof(of: entry.key)
      #expect(try StateProof(encoded: proof.encoded.rawSpan) == proof)
      #expect(proof.proves(entry.key, entry.value, under: tree.root, crypto: crypto))
      #expect(!proof.proves(entry.key, nil, under: tree.root, crypto: crypto))
      #expect(!proof.proves(entry.key, entry.value + [0], under: tree.root, crypto: crypto))
      #expect(!proof.proves(random.hash(), entry.value, under: tree.root, crypto: crypto))
      let absent = random.hash()
      let absence = tree.proof(of: absent)
      #expect(absence.proves(absent, nil, under: tree.root, crypto: crypto))
      #expect(!absence.proves(absent, [1], under: tree.root, crypto: crypto))
      #expect(!absence.proves(entry.key, nil, under: tree.root, crypto: crypto))
      let lie = StateProof(siblings: proof.siblings, otherLeaf: .init(key: entry.key, valueHash: crypto.sha256(entry.value)))
      #expect(!lie.proves(entry.key, nil, under: tree.root, crypto: crypto))
    }
    #expect(StateTree().proof(of: .zero).proves(.zero, nil, under: .zero, crypto: crypto))
  }

  @Test func merkleProofsOfEverySize() {
    var random = SeededGenerator(seed: 5)
    var roots: Set<Hash256> = []
    var leaves: [Hash256] = []
    for count in 0...33 {
      let root = MerkleTree.root(of: leaves, crypto: crypto)
      #expect(roots.insert(root).inserted)
      for index in 0..<count {
        let proof = MerkleTree.proof(of: index, in: leaves, crypto: crypto)!
        #expect(proof.proves(leaves[index], under: root, crypto: crypto))
        #expect(!proof.proves(.zero, under: root, crypto: crypto))
        let moved = MerkleProof(index: (index + 1) % count, count: count, path: proof.path)
        #expect(count == 1 || !moved.proves(leaves[index], under: root, crypto: crypto))
      }
      #expect(MerkleTree.proof(of: count, in: leaves, crypto: crypto) == nil)
      leaves.append(random.hash())
    }
    #expect(MerkleTree.root(of: [leaves[0], leaves[0]], crypto: crypto) != MerkleTree.root(of: [leaves[0]], crypto: crypto))
    #expect(MerkleTree.root(of: [], crypto: crypto).hex == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  }
}
