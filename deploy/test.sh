#!/usr/bin/env bash
# Sets up, builds everything and runs every test; ends with ctest's own closing lines.
#
#   deploy/test.sh              all tests; first each fuzz target for some seconds and a few tests with sanitizers
#   deploy/test.sh -L unit      further arguments go to ctest, and nothing else runs
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly JOBS="${MELLOW_BUILD_JOBS:-$(nproc)}"

if (($# == 0)); then
  deploy/setup.sh --tools
  cmake --preset clang
  cmake --build --preset clang -j "$JOBS" --target fuzz_targets address_tests
  ctest --test-dir build/clang --output-on-failure -j2 -L 'fuzz|address'
  cmake --preset tsan
  cmake --build --preset tsan -j "$JOBS" --target thread_tests
  ctest --test-dir build/tsan --output-on-failure -j2 -L thread
else
  deploy/setup.sh
fi
cmake --preset release
cmake --build --preset release -j "$JOBS"
exec ctest --test-dir build/release --output-on-failure -j2 "$@"
