import Foundation

// Simulations that take too long in a debug build, each with what has to hold. Scripts/simulate runs the release build.
let arguments = CommandLine.arguments.dropFirst()
let all = nearness + standing + [eclipse]
let chosen = arguments.isEmpty ? all : all.filter { check in arguments.contains { check.name.contains($0) } }
exit(!chosen.isEmpty && perform(chosen) ? 0 : 1)
