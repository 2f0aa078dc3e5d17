#!/usr/bin/env bash
# Installs and fetches everything that building Mellow needs. Safe to run again: what is there is kept.
#
#   deploy/setup.sh            build and run
#   deploy/setup.sh --cuda     also the CUDA libraries that libtorch opens where there is a GPU (2 GB; the driver is yours)
#   deploy/setup.sh --tools    also clang, clang-format, clang-tidy (lint, fuzzing, the clang preset), and Chromium with
#                              playwright-core (the tests of the rating page), and Prometheus (tests; not started)
#
# libtorch comes from the PyPI wheel of torch (one binary for CPU and CUDA), sentencepiece from its source
# distribution; both by pinned version and sha256 into a cache outside the tree, so that every checkout shares them:
#   MELLOW_CACHE   where to keep them          (default: ~/.cache/mellow)
#   MELLOW_TORCH_ROOT  an own libtorch (2.x, with include/ and lib/) instead of the wheel
set -euo pipefail

readonly CACHE="${MELLOW_CACHE:-$HOME/.cache/mellow}"
readonly DEPS="$CACHE/deps-1"
readonly TORCH=2.15.0 TORCH_SHA=6d8c86f4e33a9f12a58149bd9b0d64351632b8eb44479be8ff85e5389932dd79
readonly CUDART=13.2.75 CUDART_SHA=72bf454902da594e0b833cadeddc8b7100ce1c7cf7ed9023943931be1aa913b7
readonly CUPTI=13.2.75 CUPTI_SHA=f75aca6bef89c625a4076a820302bb06764daa1d21595286f6bee5e237d3a187
# What libtorch_cuda.so of this wheel is linked to, beside the two above.
readonly CUDA_WHEELS=(
  nvidia-cublas==13.4.1.3 a5917cb642cfb07f4a0231ee16aec7e2e0357d8cb8b1b78a0c9c68dba3e6afc7
  nvidia-cuda-nvrtc==13.2.86 8111c5130e967b78222ea2124145f8efe9ce201b752b2579a2513100a53be1c5
  nvidia-cudnn-cu13==9.26.0.51 9c976d539786698c71d6bcdbe2053b7485fae062ff7e1215d2f2ff67b1a2149a
  nvidia-cufft==12.2.0.57 34da27fadf3979b0b042c43823f0530be8408b86df31ee0108e1ca0b621d4ef6
  nvidia-cufile==1.17.1.22 87feaf8c3ad20d3d03a01933181801ff6892bace5c8f0b1e4b48f319d3e62d36
  nvidia-cusolver==12.2.0.11 fab5778f6769947389a1a6abc07e635576825a08c0ffc68c3ae7f1392c794b42
  nvidia-cusparse==12.7.10.12 25907c75e4db1581685f06f61cc6cdecc04611765516a52373e0a18ebd69fa00
  nvidia-cusparselt-cu13==0.8.1 786ce87568c303fadb5afcc7102d454cd3040d75f6f8626f5db460d1871f4dd0
  nvidia-nccl-cu13==2.30.7 cefa7fdb9710efd0f39c5f1be1d61ff6fc9a996c451265bd7fbdcf9455ed4b50
  nvidia-nvjitlink==13.5.37 280d7cb9649704145f074b8dbde500de04ce02d0872e066e20a83c17bcaa93eb
  nvidia-nvshmem-cu13==3.7.2 b9a4f843c62b5dded8ad33fd6d220e007dcd39f06cee549292f5ba14ce4c235c)
readonly SPM=0.2.0 SPM_SHA=a52c19171daaf2e697dc6cbe67684e0fa341b1248966f6aebb541de654d15843

# What the build links (first lines) and what the build itself runs (last line).
readonly PACKAGES=(
  libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler libabsl-dev prometheus-cpp-dev
  libgtest-dev libgmock-dev libbenchmark-dev libspdlog-dev libcli11-dev nlohmann-json3-dev libcpp-httplib-dev libsqlite3-dev libssl-dev
  g++ cmake ninja-build ccache pkg-config python3 python3-pip python3-setuptools unzip ca-certificates)
readonly TOOLS=(clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev shellcheck chromium fonts-dejavu-core prometheus python3-venv)
# Drives Debian's Chromium from Node.js 18 or newer; it has no dependencies and brings no browser.
readonly PLAYWRIGHT=1.60.0 PLAYWRIGHT_SHA=8b1df81ba75e90a41eb5c996350ea7ecc1c915ea643ec55138f91c949c5a25bf

step() { printf '[setup] %s\n' "$*"; }
die() { printf '[setup] error: %s\n' "$*" >&2; exit 1; }

install_packages() {
  command -v dpkg-query >/dev/null || die "this script installs Debian packages (Debian 12); elsewhere install: ${PACKAGES[*]}"
  local missing=() p
  for p in "$@"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  if ((${#missing[@]} == 0)); then step "Debian packages: all $# present"; return; fi
  step "Debian packages: installing ${#missing[@]} (${missing[*]})"
  local sudo=()
  if ((EUID != 0)); then command -v sudo >/dev/null || die "need root or sudo to install: ${missing[*]}"; sudo=(sudo); fi
  local log; log=$(mktemp)
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >"$log" 2>&1 || true
  # Debian starts and enables a daemon as it is installed. We want its program only; one that you have already stays as it is.
  local policy=/usr/sbin/policy-rc.d guard=:
  if [[ " ${missing[*]} " == *" prometheus "* && ! -e $policy ]]; then
    guard="${sudo[*]} rm -f $policy"
    # shellcheck disable=SC2064  # what it is now, also when this script is interrupted: left behind, no package could start a service again
    trap "$guard" EXIT
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" install -m 755 /dev/stdin "$policy"
  fi
  local rc=0
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$log" 2>&1 || rc=$?
  $guard
  ((rc == 0)) || { tail -n 5 "$log" >&2; die "apt-get could not install ${missing[*]} (log: $log); is the Debian mirror reachable?"; }
  if [[ " ${missing[*]} " == *" prometheus "* ]]; then "${sudo[@]}" update-rc.d prometheus disable >>"$log" 2>&1; fi
  rm -f "$log"
}

# fetch DIR REQUIREMENT SHA256 [pip options]: one file from PyPI, verified by its hash.
fetch() {
  local dir=$1 requirement=$2 sha=$3 list; shift 3
  list=$(mktemp); printf '%s --hash=sha256:%s\n' "$requirement" "$sha" >"$list"
  python3 -m pip download -q --no-deps --require-hashes -d "$dir" -r "$list" "$@" ||
    die "could not fetch $requirement with sha256 $sha from the Python package index"
  rm -f "$list"
}

get_torch() {
  if [[ -n "${MELLOW_TORCH_ROOT:-}" ]]; then
    [[ -f "$MELLOW_TORCH_ROOT/lib/libtorch_cpu.so" ]] || die "MELLOW_TORCH_ROOT=$MELLOW_TORCH_ROOT has no lib/libtorch_cpu.so"
    step "libtorch: yours at $MELLOW_TORCH_ROOT"; return
  fi
  if [[ -f "$DEPS/torch-$TORCH/DONE" ]]; then step "libtorch $TORCH: present"; return; fi
  step "libtorch $TORCH: fetching (540 MB)"
  local tmp; tmp=$(mktemp -d "$DEPS/.torch.XXXXXX")
  local wheel=(--only-binary=:all: --python-version 3.12 --implementation cp --abi cp312 --platform manylinux_2_28_x86_64)
  fetch "$tmp" "torch==$TORCH" "$TORCH_SHA" "${wheel[@]}"
  # libtorch_cpu.so is linked to these two also where there is no GPU.
  fetch "$tmp" "nvidia-cuda-runtime==$CUDART" "$CUDART_SHA" --only-binary=:all:
  fetch "$tmp" "nvidia-cuda-cupti==$CUPTI" "$CUPTI_SHA" --only-binary=:all:
  step "libtorch $TORCH: unpacking"
  # The libraries find each other relative to their own folder: keep the layout of the wheels.
  (cd "$tmp" && for w in *.whl; do unzip -q -o "$w" 'torch/include/*' 'torch/lib/*' 'nvidia/*' 2>/dev/null || [[ $? -eq 11 ]]; done; rm -f -- *.whl)
  touch "$tmp/DONE"
  rm -rf "$DEPS/torch-$TORCH" && mv "$tmp" "$DEPS/torch-$TORCH"
}

get_cuda() {
  [[ -z "${MELLOW_TORCH_ROOT:-}" ]] || { step "CUDA libraries: those beside your libtorch"; return; }
  local root="$DEPS/torch-$TORCH" i
  if [[ -f "$root/DONE-cuda" ]]; then step "CUDA libraries: present"; return; fi
  step "CUDA libraries: fetching (2 GB)"
  local tmp; tmp=$(mktemp -d "$DEPS/.cuda.XXXXXX")
  for ((i = 0; i < ${#CUDA_WHEELS[@]}; i += 2)); do
    fetch "$tmp" "${CUDA_WHEELS[i]}" "${CUDA_WHEELS[i + 1]}" --only-binary=:all:
    (cd "$tmp" && unzip -q -o -- *.whl 'nvidia/*/lib/*' -d "$root" && rm -f -- *.whl)
  done
  rm -rf "$tmp"
  touch "$root/DONE-cuda"
}

get_sentencepiece() {
  if [[ -f "$DEPS/sentencepiece-$SPM/DONE" ]]; then step "sentencepiece $SPM: present"; return; fi
  step "sentencepiece $SPM: fetching and building"
  local tmp; tmp=$(mktemp -d "$DEPS/.spm.XXXXXX")
  fetch "$tmp" "sentencepiece==$SPM" "$SPM_SHA" --no-binary=:all:
  tar -xzf "$tmp/sentencepiece-$SPM.tar.gz" -C "$tmp"
  # Its bundled protobuf-lite clashes with gRPC's libprotobuf in one process: build it against the system's.
  local src="$tmp/sentencepiece-$SPM/sentencepiece"
  [[ -f "$src/CMakeLists.txt" ]] || src="$tmp/sentencepiece-$SPM"
  cmake -S "$src" -B "$tmp/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_POSITION_INDEPENDENT_CODE=ON \
    -DSPM_PROTOBUF_PROVIDER=package -DSPM_ENABLE_SHARED=OFF -DSPM_ENABLE_TCMALLOC=OFF \
    -DCMAKE_INSTALL_PREFIX="$tmp/install" >"$tmp/log" 2>&1 &&
    ninja -C "$tmp/build" install >>"$tmp/log" 2>&1 || { tail -n 20 "$tmp/log" >&2; die "sentencepiece did not build (log above)"; }
  touch "$tmp/install/DONE"
  rm -rf "$DEPS/sentencepiece-$SPM" && mv "$tmp/install" "$DEPS/sentencepiece-$SPM" && rm -rf "$tmp"
}

get_playwright() {
  if [[ -f "$DEPS/playwright-core-$PLAYWRIGHT/DONE" ]]; then step "playwright-core $PLAYWRIGHT: present"; return; fi
  step "playwright-core $PLAYWRIGHT: fetching"
  local tmp; tmp=$(mktemp -d "$DEPS/.playwright.XXXXXX")
  (cd "$tmp" && npm pack --silent --ignore-scripts "playwright-core@$PLAYWRIGHT" >/dev/null) || die "could not fetch playwright-core $PLAYWRIGHT from the npm registry"
  sha256sum --check --status <<<"$PLAYWRIGHT_SHA  $tmp/playwright-core-$PLAYWRIGHT.tgz" || die "playwright-core $PLAYWRIGHT has another sha256 than $PLAYWRIGHT_SHA"
  tar -xzf "$tmp/playwright-core-$PLAYWRIGHT.tgz" -C "$tmp"
  touch "$tmp/package/DONE"
  rm -rf "$DEPS/playwright-core-$PLAYWRIGHT" && mv "$tmp/package" "$DEPS/playwright-core-$PLAYWRIGHT" && rm -rf "$tmp"
}

main() {
  local tools=0 cuda=0 packages=("${PACKAGES[@]}")
  case "${1:-}" in
    "") ;;
    --cuda) cuda=1 ;;
    --tools)
      tools=1
      packages+=("${TOOLS[@]}")
      # Another Node.js than Debian's may bring its own npm, which Debian's npm cannot stand beside.
      command -v node >/dev/null || packages+=(nodejs)
      command -v npm >/dev/null || packages+=(npm) ;;
    *) die "unknown argument '$1' (only --cuda or --tools)" ;;
  esac
  [[ "$(uname -m)" == x86_64 ]] || die "x86-64 only for now (this machine: $(uname -m))"
  install_packages "${packages[@]}"
  mkdir -p "$DEPS"
  # Two set-ups at once (two checkouts) must not unpack into each other.
  exec 9>"$DEPS/.lock"; flock 9
  get_torch
  if ((cuda)); then get_cuda; fi
  get_sentencepiece
  if ((tools)); then get_playwright; fi
  step "ready: $DEPS"
}
main "$@"
