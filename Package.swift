// swift-tools-version: 6.2
import PackageDescription

// Core targets are pure: they may use no unsafe construct without saying so.
let core: [SwiftSetting] = [
  .strictMemorySafety(), .enableUpcomingFeature("ExistentialAny"), .enableExperimentalFeature("Lifetimes"),
]
let shell: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"), .enableExperimentalFeature("Lifetimes"),
]

func coreTarget(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, path: "Sources/Core/\(name)", swiftSettings: core)
}
func shellTarget(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, path: "Sources/Shell/\(name)", swiftSettings: shell)
}
func systemLibrary(_ name: String, _ pkgConfig: String?, _ package: String) -> Target {
  .systemLibrary(name: name, path: "Sources/System/\(name)", pkgConfig: pkgConfig, providers: [.apt([package])])
}
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: "\(name)Tests", dependencies: dependencies + ["TestKit"], path: "Tests/\(name)Tests", swiftSettings: shell)
}

let package = Package(
  name: "starling",
  products: [
    .library(name: "Starling", targets: ["Starling"]),
    .executable(name: "starling", targets: ["StarlingCLI"]),
    .executable(name: "interop-peer", targets: ["InteropPeer"]),
    .executable(name: "chat-example", targets: ["ChatExample"]),
  ],
  targets: [
    // Core: pure machines. A core target imports only core targets.
    coreTarget("Wire"),
    coreTarget("Identity", ["Wire"]),
    coreTarget("SecureChannel", ["Wire", "Identity"]),
    coreTarget("Peering", ["Wire", "Identity"]),
    coreTarget("Discovery", ["Wire", "Identity"]),
    coreTarget("Gossip", ["Wire", "Identity"]),
    coreTarget("HostCore", ["Wire", "Identity", "SecureChannel", "Peering", "Discovery", "Gossip"]),
    coreTarget("Ledger", ["Wire", "Identity"]),
    coreTarget("Sync", ["Wire", "Identity"]),
    coreTarget("Healing", ["Wire", "Identity"]),
    coreTarget("NodeCore", ["Wire", "Identity", "SecureChannel", "Peering", "Discovery", "Gossip", "HostCore", "Ledger", "Sync"]),

    // Shell: I/O round the core.
    shellTarget("Crypto", ["Wire", "Identity", "CSodium", "CCrypto", "CSecp256k1"]),
    shellTarget("Threads"),
    shellTarget("EventLoop", ["Wire", "Threads", "CUV"]),
    shellTarget("Store", ["Wire", "Threads", "CLMDB"]),
    shellTarget("Metrics", ["Wire", "Threads"]),
    shellTarget("HTTPAPI", ["Wire", "Identity", "CMicrohttpd"]),
    shellTarget("Dashboard", ["Wire", "EventLoop"]),
    shellTarget("Scout", ["Wire", "Identity", "Threads", "Discovery", "EventLoop", "HTTPAPI", "CResolv", "CMiniUPnP", "CNATPMP"]),
    shellTarget("Swarm", ["Wire", "Threads", "Identity", "SecureChannel", "Peering", "Discovery", "HostCore", "EventLoop", "Crypto"]),
    shellTarget(
      "Starling",
      ["Wire", "Threads", "Identity", "SecureChannel", "HostCore", "Gossip", "Peering", "Discovery", "EventLoop", "Crypto", "Swarm"]),
    shellTarget(
      "Node",
      [
        "Wire", "Identity", "SecureChannel", "HostCore", "Peering", "Gossip", "Ledger", "Sync", "NodeCore", "EventLoop", "Crypto",
        "Store", "Metrics", "HTTPAPI", "Dashboard", "Swarm", "Scout", "Discovery", "Threads", "CTOML", "CFYAML",
      ]),

    // Apps.
    .executableTarget(
      name: "StarlingCLI",
      dependencies: [
        "Wire", "Identity", "Ledger", "NodeCore", "HostCore", "Crypto", "EventLoop", "Threads", "Store", "Node", "Starling", "Dashboard",
        "HTTPAPI", "Simulator",
      ],
      path: "Sources/Apps/StarlingCLI", swiftSettings: shell),
    .executableTarget(name: "InteropPeer", dependencies: ["Starling"], path: "Sources/Apps/InteropPeer", swiftSettings: shell),

    .executableTarget(name: "ChatExample", dependencies: ["Starling"], path: "Examples/Chat", swiftSettings: shell),

    // Measurements: swift run -c release Benchmarks SUBJECT
    .executableTarget(
      name: "Benchmarks",
      dependencies: [
        "Wire", "Identity", "SecureChannel", "Peering", "Discovery", "Gossip", "HostCore", "Ledger", "Sync", "Crypto", "EventLoop",
        "Threads", "Store", "HTTPAPI", "Starling", "Simulator",
      ],
      path: "Benchmarks", swiftSettings: shell),

    // Kit: never imported by the shell or the node.
    .target(
      name: "Simulator",
      dependencies: [
        "Wire", "Identity", "SecureChannel", "Peering", "Discovery", "Gossip", "HostCore", "NodeCore", "Ledger", "Sync", "Store",
      ],
      path: "Sources/Kit/Simulator",
      swiftSettings: core),
    .target(
      name: "Conformance", dependencies: ["Wire", "Identity", "SecureChannel", "Ledger"], path: "Sources/Kit/Conformance",
      swiftSettings: shell),
    .executableTarget(name: "StoreTorture", dependencies: ["Wire", "Store"], path: "Sources/Kit/StoreTorture", swiftSettings: shell),

    // System: one module map for each C library.
    systemLibrary("CMiniUPnP", "miniupnpc", "libminiupnpc-dev"),
    systemLibrary("CNATPMP", nil, "libnatpmp-dev"),
    systemLibrary("CResolv", nil, "libc6-dev"),
    systemLibrary("CUV", "libuv", "libuv1-dev"),
    systemLibrary("CSodium", "libsodium", "libsodium-dev"),
    systemLibrary("CCrypto", "libcrypto", "libssl-dev"),
    systemLibrary("CSecp256k1", "libsecp256k1", "libsecp256k1-dev"),
    systemLibrary("CLMDB", "lmdb", "liblmdb-dev"),
    systemLibrary("CMicrohttpd", "libmicrohttpd", "libmicrohttpd-dev"),
    systemLibrary("CFYAML", "libfyaml", "libfyaml-dev"),
    .target(name: "CTOML", path: "Sources/System/CTOML"),

    // Tests.
    .target(name: "TestKit", dependencies: ["Threads"], path: "Tests/TestKit", swiftSettings: shell),
    tests("TestKit", []),
    tests("Wire", ["Wire"]),
    tests("Identity", ["Wire", "Identity", "Crypto"]),
    tests("SecureChannel", ["Wire", "Identity", "SecureChannel", "Crypto", "Conformance"]),
    tests("Peering", ["Wire", "Identity", "Peering", "Crypto"]),
    tests("Discovery", ["Wire", "Identity", "Discovery", "Crypto"]),
    tests("Gossip", ["Wire", "Identity", "Gossip", "Crypto"]),
    tests("HostCore", ["Wire", "Identity", "Discovery", "HostCore", "Crypto"]),
    tests("Ledger", ["Wire", "Identity", "Ledger", "Crypto", "Store"]),
    tests("Sync", ["Wire", "Identity", "Sync", "Crypto"]),
    tests("Healing", ["Wire", "Identity", "Healing"]),
    tests("NodeCore", ["Wire", "Identity", "SecureChannel", "NodeCore", "Simulator", "Crypto", "Store"]),
    tests("Simulator", ["Wire", "Identity", "SecureChannel", "Peering", "Ledger", "HostCore", "NodeCore", "Simulator", "Store"]),
    .executableTarget(
      name: "SimulationChecks", dependencies: ["Wire", "Identity", "Simulator", "Threads"], path: "Tests/SimulationChecks",
      swiftSettings: shell),
    tests("Crypto", ["Wire", "Identity", "Crypto"]),
    tests("EventLoop", ["Wire", "Threads", "EventLoop"]),
    tests("Store", ["Wire", "Store", "Conformance", "StoreTorture"]),
    tests("HTTPAPI", ["Wire", "HTTPAPI"]),
    tests("Metrics", ["Wire", "Metrics"]),
    tests("Dashboard", ["Wire", "Dashboard"]),
    tests("Starling", ["Threads", "Starling", "EventLoop", "ChatExample"]),
    tests("Node", ["Node", "NodeCore", "Starling", "Swarm", "Threads", "Store", "Ledger", "Identity", "Wire", "Crypto"]),
    tests("CLI", ["StarlingCLI", "HTTPAPI", "Starling", "Wire"]),
    tests("Interop", []),
    tests("Differential", ["Wire", "Identity", "SecureChannel", "Peering", "Discovery", "Gossip", "HostCore", "Ledger", "Sync", "Crypto"]),
    tests("House", []),
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx17
)
