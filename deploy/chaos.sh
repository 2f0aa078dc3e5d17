#!/usr/bin/env bash
# Builds what the chaos suite needs and lets faults strike a small cluster that trains and serves: processes killed and stopped, slow and cut
# links, full disks, failed allocations, clock jumps, hung engines. What must hold stands in tests/chaos/chaos_test.py; exit code 1: it did not.
#
#   deploy/chaos.sh [MINUTES=10] [SEED]
#
# MELLOW_BUILD_JOBS   compilers at once (default: all cores)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

deploy/setup.sh
cmake --preset release
cmake --build --preset release -j "${MELLOW_BUILD_JOBS:-$(nproc)}" --target chaos_targets
MELLOW="$PWD/build/release/bin/mellow" MELLOW_SOURCE="$PWD" \
  exec python3 -B tests/chaos/chaos_test.py --minutes "${1:-10}" ${2:+--seed "$2"}
