# Shared by the scripts of this folder and by ./run and ./test; sourced, never run.
# shellcheck shell=bash

# The checkout's root, wherever the caller stands.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Prints one line on standard error and ends the script.
fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# quietly LABEL COMMAND...: one line with the time that it took; the output only when it fails.
# The last output stays in .build/logs/.
quietly() {
  local label=$1 log started=$SECONDS status=0
  shift
  mkdir -p "$root/.build/logs"
  log=$root/.build/logs/${label//[^A-Za-z0-9]/-}.log
  printf '%-44s' "$label" >&2
  "$@" >"$log" 2>&1 || status=$?
  if [ "$status" -eq 0 ]; then
    printf 'ok  %3d s\n' $((SECONDS - started)) >&2
    return 0
  fi
  printf 'FAILED after %d s\n' $((SECONDS - started)) >&2
  show_failure "$log" >&2
  printf '(all of it: %s)\n' "$log" >&2
  return "$status"
}

# The part of a failed command's output that says why: errors and what failed, else its end.
show_failure() {
  local picked
  picked=$(grep -aE '(error|warning): |✘|^not ok|: Fatal error|recorded an issue|AssertionError' "$1" | awk '!seen[$0]++' | head -n 60) || true
  if [ -n "$picked" ]; then printf '%s\n' "$picked"; else tail -n 60 "$1"; fi
}

require_swift() {
  command -v swift >/dev/null || fail "no swift on PATH: install Swift 6.3 or later (https://www.swift.org/install/linux/)"
}
