import Dispatch
import EventLoop
import Glibc
import Testing
import Wire

@Suite(.ownThread)
struct PlatformTests {
  @Test(arguments: [
    ("127.0.0.1", [127, 0, 0, 1], "127.0.0.1:80"),
    ("203.0.113.255", [203, 0, 113, 255], "203.0.113.255:80"),
    ("::1", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "[::1]:80"),
    ("2001:db8::a:b", [0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 11], "[2001:db8::a:b]:80"),
  ])
  func addressText(_ ip: String, _ bytes: [UInt8], _ text: String) throws {
    let address = try #require(SocketAddress(ip, port: 80))
    #expect(address.ipBytes == bytes)
    #expect(address.ip == ip)
    #expect(address.description == text)
    #expect(SocketAddress(ipBytes: bytes, port: 80) == address)
  }

  @Test(arguments: ["", "localhost", "1.2.3", "1.2.3.256", "::g", "127.0.0.1:80", " 127.0.0.1", "1:2:3:4:5:6:7:8:9"])
  func notAnAddress(_ text: String) {
    #expect(SocketAddress(text, port: 1) == nil)
    #expect(SocketAddress(ipBytes: Array(text.utf8.prefix(3)), port: 1) == nil)
  }

  @Test func addressKinds() throws {
    func kinds(_ ip: String) throws -> [Bool] {
      let address = try #require(SocketAddress(ip, port: 0))
      return [address.isLoopback, address.isUnspecified, address.isLinkLocal]
    }
    #expect(try kinds("127.9.9.9") == [true, false, false])
    #expect(try kinds("::1") == [true, false, false])
    #expect(try kinds("0.0.0.0") == [false, true, false])
    #expect(try kinds("::") == [false, true, false])
    #expect(try kinds("169.254.3.4") == [false, false, true])
    #expect(try kinds("fe80::1") == [false, false, true])
    #expect(try kinds("8.8.8.8") == [false, false, false])
  }

  @Test func interfacesIncludeTheLoopback() throws {
    #expect(try interfaces().contains { $0.isInternal && $0.address.ip == "127.0.0.1" })
  }

  @Test func resolvesNamesOnTheLoop() throws {
    try withLoops(1) { loops in
      let loop = loops[0]
      let answers = Recorder<Resolver.Answer>()
      loop.execute {
        let resolver = Resolver(on: loop)
        resolver.resolve("127.0.0.1", port: 4001) { answers.add($0) }
      }
      #expect(answers.wait(for: 1) == [.success([SocketAddress("127.0.0.1", port: 4001)].compactMap { $0 })])
      loop.execute { Resolver(on: loop).resolve("localhost", port: 1) { answers.add($0) } }
      let localhost = try #require(answers.wait(for: 2).last).get()
      #expect(!localhost.isEmpty && localhost.allSatisfy { $0.isLoopback && $0.port == 1 })
      loop.execute { Resolver(on: loop).resolve("not a name", port: 1) { answers.add($0) } }
      #expect(throws: TransportError.self) { try #require(answers.wait(for: 3).last).get() }
    }
  }

  @Test func lookupsAreBounded() throws {
    try withLoops(1) { loops in
      let loop = loops[0]
      let codes = Recorder<TransportError.Code?>()
      loop.execute {
        var configuration = Resolver.Configuration()
        configuration.lookupMaximum = 1
        let resolver = Resolver(on: loop, configuration: configuration)
        for _ in 0..<2 {
          resolver.resolve("127.0.0.1", port: 1) {
            if case .failure(let error) = $0 { codes.add(error.code) } else { codes.add(nil) }
          }
        }
        #expect(codes.values.isEmpty)
      }
      let all = codes.wait(for: 2)
      #expect(all.count == 2 && all.contains(nil) && all.contains(.limitReached))
    }
  }

  @Test func everyLookupIsAnsweredWhenTheLoopStops() throws {
    let loop = EventLoop(name: "lookups")
    try loop.start()
    let answers = Recorder<Resolver.Answer>()
    let count = 20
    try loop.runAndWait {
      let resolver = Resolver(on: loop)
      for _ in 0..<count { resolver.resolve("localhost", port: 1) { answers.add($0) } }
    }
    loop.stop()
    #expect(answers.values.count == count)
  }

  @Test func workersRunJobsAndRefuseTooMany() throws {
    let pool = try WorkerPool(name: "work", threads: 2, capacity: 3)
    let gate = DispatchSemaphore(value: 0)
    let started = Recorder<Int>()
    let done = Recorder<Int>()
    for number in 0..<2 {
      #expect(
        pool.submit {
          started.add(number)
          gate.wait()
          done.add(number)
        })
    }
    #expect(started.wait(for: 2).sorted() == [0, 1])
    for number in 2..<5 { #expect(pool.submit { done.add(number) }) }
    #expect(pool.waitingCount == 3)
    #expect(!pool.submit { done.add(99) })
    gate.signal()
    gate.signal()
    pool.stop()
    #expect(done.values.sorted() == [0, 1, 2, 3, 4])
    #expect(!pool.submit {})
    pool.stop()
  }

  @Test func privateFilesAreReplacedAsAWhole() throws {
    let folder = "/tmp/starling-private-\(getpid())-\(Platform.now.nanoseconds)"
    #expect(mkdir(folder, 0o700) == 0)
    defer { rmdir(folder) }
    let path = folder + "/key"
    let long = [UInt8](repeating: 5, count: 200_000)
    try PrivateFile.write(long, to: path)
    #expect(try PrivateFile.read(path, maximumBytes: long.count) == long)
    #expect(throws: TransportError.self) { try PrivateFile.read(path, maximumBytes: long.count - 1) }
    try PrivateFile.write([1, 2], to: path)
    #expect(try PrivateFile.read(path, maximumBytes: 10) == [1, 2])
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    unlink(path)
    #expect(throws: TransportError.self) { try PrivateFile.read(path, maximumBytes: 10) }
    #expect(throws: TransportError.self) { try PrivateFile.write([1], to: folder + "/none/key") }
    // No temporary file is left behind.
    #expect(rmdir(folder) == 0)
  }

  @Test func platformFigures() {
    #expect(Platform.residentBytes > 1 << 20)
    #expect(Platform.processorCount >= 1)
    #expect(Platform.wallTime > WallTime(milliseconds: 1_700_000_000_000))
    #expect(Platform.raiseDescriptorLimit() >= 256)
    #expect(Platform.randomBytes(32) != Platform.randomBytes(32))
    #expect(Platform.randomBytes(0).isEmpty)
    #expect((Platform.threadCount ?? 0) >= 1 && (Platform.openDescriptorCount ?? 0) >= 3)
  }
}
