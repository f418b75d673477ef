import Foundation
import Peering

/// The file of `asn_map`: a line for each network with the number of the autonomous system that announces it.
enum SystemsFile {
  /// Reads a file. A map of the whole Internet has some 30 MB, and takes about 150 MB of memory.
  ///
  /// - Throws: a ``Node/StartError`` that names the file, the line and the setting.
  static func read(_ path: String) throws(Node.StartError) -> AutonomousSystems {
    let bytes: [UInt8]
    do throws(TextFile.Failure) { bytes = try TextFile.read(path, maximumBytes: bytesMaximum) } catch {
      throw Node.StartError(description: "\(error.text(of: path)) (--asn-map)")
    }
    do {
      return try AutonomousSystems(text: String(decoding: bytes, as: UTF8.self))
    } catch {
      throw Node.StartError(description: "\(path):\(error.line): must be a network and the number of its autonomous system (--asn-map)")
    }
  }

  private static let bytesMaximum = 64 << 20
}
