#!/usr/bin/env bash
# Sets up, builds everything and runs every test; ends with ctest's own closing lines.
#
#   deploy/test.sh              all tests; first each fuzz target for some seconds (built by clang with sanitizers)
#   deploy/test.sh -L unit      further arguments go to ctest, and nothing is fuzzed
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly JOBS="${MELLOW_BUILD_JOBS:-$(nproc)}"

if (($# == 0)); then
  deploy/setup.sh --tools
  cmake --preset clang
  cmake --build --preset clang -j "$JOBS" --target fuzz_targets
  ctest --test-dir build/clang --output-on-failure -j2 -L fuzz
else
  deploy/setup.sh
fi
cmake --preset release
cmake --build --preset release -j "$JOBS"
exec ctest --test-dir build/release --output-on-failure -j2 "$@"
