import CUV
import Glibc

/// A signal that a node handles.
public enum Signal: Int32, Sendable, CaseIterable {
  /// Interrupted from the terminal.
  case interrupt = 2
  /// Asked to end.
  case terminate = 15
  /// Terminal gone, or asked to read the configuration again.
  case hangUp = 1
}

/// Takes signals of the process on a loop, in place of their default effect, until it is closed or the loop stops.
public final class SignalWatcher {
  private var handles: [SignalHandle] = []

  /// Watches for `signals`; `onSignal` is called on the loop's thread. Call it on the loop's thread.
  ///
  /// - Throws: ``TransportError`` when the system refuses.
  public init(_ signals: [Signal] = Signal.allCases, on loop: EventLoop, onSignal: @escaping (Signal) -> Void) throws(TransportError) {
    for signal in signals {
      do {
        handles.append(try SignalHandle(signal, on: loop, onSignal: onSignal))
      } catch {
        close()
        throw error
      }
    }
  }

  /// Gives the signals their former effect back.
  public func close() {
    for handle in handles { handle.beginClose() }
    handles = []
  }
}

private final class SignalHandle: LoopHandle, @unchecked Sendable {
  private let signal: Signal
  private var onSignal: ((Signal) -> Void)?

  init(_ signal: Signal, on loop: EventLoop, onSignal: @escaping (Signal) -> Void) throws(TransportError) {
    self.signal = signal
    super.init(loop: loop, handle: uv_signal_t.self)
    let status = uv_signal_init(loop.raw, pointer(uv_signal_t.self))
    guard status == 0 else { throw TransportError(status: status, context: "watch signals") }
    register()
    self.onSignal = onSignal
    let started = uv_signal_start(
      pointer(uv_signal_t.self), { handle, _ in handle?.pointee.data?.borrow(SignalHandle.self) { $0.onSignal?($0.signal) } },
      signal.rawValue)
    guard started == 0 else {
      beginClose()
      throw TransportError(status: started, context: "watch signal \(signal)")
    }
  }

  override func didClose() { onSignal = nil }
}
