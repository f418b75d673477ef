import Glibc

/// Closes a locked file and frees its lock by name: a program that another thread is just starting holds a copy of the descriptor for a moment.
func closeUnlocking(_ descriptor: Int32) {
  flock(descriptor, LOCK_UN)
  close(descriptor)
}
