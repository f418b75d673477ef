// What a program that embeds a host names in its own code, so that `import Starling` suffices.
@_exported import Discovery
@_exported import Gossip
@_exported import HostCore
@_exported import Identity
@_exported import Peering
@_exported import SecureChannel
@_exported import Wire
