import CUV

/// What sockets, listeners, timers and signal watchers have in common: a libuv handle that lives on one loop.
///
/// A handle lives, and keeps its delegate alive, until it is closed or its loop stops; dropping the last reference to it does not
/// close it. Use it on the loop's thread only.
public class LoopHandle: @unchecked Sendable {
  /// The loop on which the handle lives.
  public let loop: EventLoop

  let memory: UnsafeMutableRawPointer
  private(set) var isClosing = false

  /// Allocates memory for libuv's `Handle`.
  init<Handle>(loop: EventLoop, handle: Handle.Type) {
    loop.preconditionInLoop()
    self.loop = loop
    memory = .allocate(byteCount: MemoryLayout<Handle>.size, alignment: MemoryLayout<Handle>.alignment)
    memory.initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<Handle>.size)
  }

  // Runs only after the close callback, or when libuv never took the handle: libuv's side holds a reference in between.
  deinit { memory.deallocate() }

  final func pointer<Handle>(_ type: Handle.Type) -> UnsafeMutablePointer<Handle> { memory.assumingMemoryBound(to: type) }

  final var handle: UnsafeMutablePointer<uv_handle_t> { pointer(uv_handle_t.self) }

  /// Hands a reference to libuv; to be called once after the handle's `uv_..._init` succeeded.
  final func register() {
    uv_handle_set_data(handle, Unmanaged.passRetained(self).toOpaque())
    loop.handleCount += 1
  }

  /// Starts closing the handle; ``didClose()`` follows in a later turn of the loop.
  final func beginClose() {
    loop.preconditionInLoop()
    guard !isClosing else { return }
    isClosing = true
    uv_close(handle) { handle in
      guard let data = handle?.pointee.data else { return }
      let owner = Unmanaged<LoopHandle>.fromOpaque(data).takeRetainedValue()
      owner.loop.handleCount -= 1
      owner.didClose()
    }
  }

  /// The handle is closed; drop delegates and buffers here.
  func didClose() {}

  /// The loop stops: close.
  func loopIsStopping() { beginClose() }
}

extension UnsafeMutableRawPointer {
  /// Borrows the owner that a handle's or a request's data points to, without counting references.
  @inline(__always)
  func borrow<Owner: AnyObject>(_ type: Owner.Type, _ body: (Owner) -> Void) {
    Unmanaged<Owner>.fromOpaque(self)._withUnsafeGuaranteedRef { body($0) }
  }
}
