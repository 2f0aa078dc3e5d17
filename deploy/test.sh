#!/usr/bin/env bash
# Sets up, builds everything and runs every test; ends with ctest's own closing lines.
#
#   deploy/test.sh              all tests
#   deploy/test.sh -L unit      further arguments go to ctest
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly JOBS="${MELLOW_BUILD_JOBS:-$(nproc)}"

deploy/setup.sh
cmake --preset release
cmake --build --preset release -j "$JOBS"
exec ctest --test-dir build/release --output-on-failure -j2 "$@"
