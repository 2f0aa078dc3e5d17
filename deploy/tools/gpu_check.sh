#!/usr/bin/env bash
# Checks Mellow on a CUDA device, in ten minutes at most: builds against the libtorch that is there, holds policy, reward and learner on the
# device against golden numbers and against our kernels on the CPU, trains the small models with a policy on the device and one on the CPU
# together, and measures all three.
#
#   deploy/tools/gpu_check.sh                    on cuda:0; exit code 77 where there is no GPU or no libtorch with CUDA
#   deploy/tools/gpu_check.sh --device cpu       the same checks on libtorch's CPU device: shows that they work where there is no GPU
#
#   --torch DIR     a libtorch with CUDA: the folder `torch` of an installed wheel, with include/ and lib/ (2.6 or newer; the CUDA libraries
#                   beside it). Without it MELLOW_TORCH_ROOT, the torch of `python3`, or what deploy/setup.sh --cuda has fetched
#   --build DIR     build folder [build/gpu-check]; with --no-build its programs are taken as they are
#   --no-build      do not build
#   --out DIR       logs, and results.jsonl with a line of each check [build/gpu-check-results]
#   --minutes N     for everything together [10]
#
# Exit codes: 0 all passed; 1 a check failed or did not end in time; 2 the command line is wrong; 77 there is no GPU.
# shellcheck disable=SC2317  # the checks are functions that a bash of their own calls by name, so that `timeout` can end them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

device=cuda:0 torch_root="${MELLOW_TORCH_ROOT:-}" build=build/gpu-check out=build/gpu-check-results minutes=10 do_build=1
usage() { sed -n '2,/^# Exit codes/{s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; }
while (($#)); do
  case "$1" in
    --device | --torch | --build | --out | --minutes)
      (($# > 1)) || { echo "gpu_check: $1 needs a value" >&2; exit 2; }
      case "$1" in
        --device) device=$2 ;;
        --torch) torch_root=$2 ;;
        --build) build=$2 ;;
        --out) out=$2 ;;
        --minutes) minutes=$2 ;;
      esac
      shift 2 ;;
    --no-build) do_build=0; shift ;;
    -h | --help) usage; exit 0 ;;
    *) echo "gpu_check: unknown argument '$1'; --help lists them" >&2; exit 2 ;;
  esac
done
[[ $minutes =~ ^[1-9][0-9]*$ ]] || { echo "gpu_check: --minutes $minutes: must be a whole number" >&2; exit 2; }

no_gpu() { printf 'gpu_check: %s; nothing was checked. --device cpu runs the checks on the CPU.\n' "$*" >&2; exit 77; }
die() { printf 'gpu_check: %s\n' "$*" >&2; exit 1; }

# The libtorch that is there: the first of these with the library that the device needs.
find_torch() {
  local library=libtorch_cpu.so candidate
  [[ $device == cpu ]] || library=libtorch_cuda.so
  local cache="${MELLOW_CACHE:-$HOME/.cache/mellow}"
  local candidates=("$torch_root")
  if [[ -z $torch_root ]]; then
    candidates=("$(python3 -c 'import importlib.util, os; s = importlib.util.find_spec("torch"); print(os.path.dirname(s.origin) if s else "")' 2>/dev/null || true)"
      "$cache"/deps-*/torch-*/torch)
    # What this project builds with comes first where it has CUDA too, or where there is none to look for.
    if [[ $device == cpu || -n "$(compgen -G "$cache/deps-*/torch-*/DONE-cuda" || true)" ]]; then candidates=("$cache"/deps-*/torch-*/torch); fi
  fi
  for candidate in "${candidates[@]}"; do
    if [[ -n $candidate && -f $candidate/lib/$library ]]; then printf '%s' "$candidate"; return; fi
  done
}

if [[ $device != cpu ]]; then
  [[ $device =~ ^cuda:[0-9]+$ ]] || { echo "gpu_check: --device $device: cpu or cuda:N" >&2; exit 2; }
  command -v nvidia-smi >/dev/null || no_gpu "there is no nvidia-smi, so no GPU"
  nvidia-smi -L 2>/dev/null | grep -q '^GPU' || no_gpu "nvidia-smi shows no GPU"
fi
torch_root=$(find_torch)
if [[ -z $torch_root ]]; then
  [[ $device == cpu ]] && die "no libtorch: run deploy/setup.sh, or give --torch"
  no_gpu "there is no libtorch with CUDA (lib/libtorch_cuda.so): give --torch, or run deploy/setup.sh --cuda"
fi
if command -v nm >/dev/null && ! nm -D --defined-only "$torch_root/lib/libc10.so" | grep -q '__cxx11'; then
  die "$torch_root: built with the old C++ ABI; wheels of torch 2.6 or newer have the new one"
fi

mkdir -p "$out"
out=$(cd "$out" && pwd)
results="$out/results.jsonl"
: >"$results"
readonly end=$((SECONDS + minutes * 60))
failed=0

record() {  # NAME RESULT SECONDS FIGURE
  python3 -c 'import json, sys; n, d, r, s, f = sys.argv[1:]; print(json.dumps({"check": n, "device": d, "result": r, "seconds": int(s), "figure": f}))' \
    "$1" "$device" "$2" "$3" "$4" >>"$results"
}

# check NAME COMMAND...: runs it in what is left of the time; its last line of output is the figure.
check() {
  local name=$1 began=$SECONDS rc=0 result=passed left=$((end - SECONDS)); shift
  if ((left <= 0)); then
    printf '%-16s no time left\n' "$name"
    record "$name" "no time left" 0 ""
    failed=1
    return
  fi
  timeout --kill-after=10 "$left" "$@" >"$out/$name.log" 2>&1 || rc=$?
  case $rc in
    0) ;;
    124 | 137) result="not ended in time" ;;
    *) result="failed ($rc)" ;;
  esac
  ((rc == 0)) || failed=1
  record "$name" "$result" $((SECONDS - began)) "$(tail -n 1 "$out/$name.log")"
  printf '%-16s %-18s %4d s\n' "$name" "$result" $((SECONDS - began))
}

build_all() {
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DMELLOW_TORCH_ROOT="$torch_root" -DMELLOW_TORCH_RUNTIME="$torch_root/lib" >/dev/null
  cmake --build "$build" -j "${MELLOW_BUILD_JOBS:-$(nproc)}" \
    --target nn_parity_test trainer_parity_test mellow mellow_policy_server mellow_reward_server mellow_learner_server mellow_orchestrator_server
}

# A policy, the learner and the reward on the device, and a second policy on the CPU: both have to sample.
mixed_run() {
  local dir="$out/cluster" mellow="$build/bin/mellow" address extra
  rm -rf "$dir"
  "$mellow" up --dir "$dir" --device "$device" --policies 1 --threads 2
  # shellcheck disable=SC2064  # the folder as it is now
  trap "'$mellow' down --dir '$dir' >/dev/null 2>&1" EXIT
  address=$(python3 -c 'import json, sys; print(next(s["address"] for s in json.load(open(sys.argv[1]))["services"] if s["role"] == "orchestrator"))' "$dir/cluster.json")
  "$build/bin/mellow_policy_server" --model deploy/models/mini-summarizer --node-id policy-on-cpu --device cpu --threads 1 --orchestrator "$address" \
    >"$out/policy-on-cpu.log" 2>&1 &
  extra=$!
  "$mellow" train deploy/runs/mini.json --dir "$dir" --set steps=4 --set shard_prompts=2 --json
  "$mellow" status --dir "$dir" --json >"$out/status.json"
  kill "$extra"
  wait "$extra" || true
  python3 - "$out/status.json" <<'PYTHON'
import json, sys
nodes = {n["node_id"]: n for n in json.load(open(sys.argv[1]))["nodes"]}
for name in ("policy-0", "policy-on-cpu"):
    if nodes[name]["state"] != "READY":
        sys.exit(f"{name} is {nodes[name]['state']}: {nodes[name]['reason']}")
print(", ".join(f"{name} ({nodes[name]['device']}): {nodes[name]['leases_done']} shards" for name in ("policy-0", "policy-on-cpu")))
PYTHON
}

parity() {  # PROGRAM FILTER; the figure is how many tests passed
  MELLOW_TEST_DEVICE="$device" "$build/tests/$1" --gtest_brief=1 --gtest_filter="$2"
}

bench() { "$build/bin/mellow" bench "$@" --device "$device" --threads 2; }

export -f build_all mixed_run parity bench
export build torch_root device out

printf 'device %s, libtorch at %s, results in %s\n' "$device" "$torch_root" "$results"
if [[ $device != cpu ]]; then nvidia-smi -L; fi
if ((do_build)); then check build bash -euo pipefail -c build_all; fi
readonly models=deploy/models data=deploy/runs/mini/train.jsonl
check parity-policy bash -euo pipefail -c "parity nn_parity_test '*TorchT5*'"
check parity-reward bash -euo pipefail -c "parity nn_parity_test '*TorchRoberta*'"
check parity-learner bash -euo pipefail -c "parity trainer_parity_test '*TrainableT5ParityTest.ValuesAndGradients*:*TrainableT5ParityTest.Smoothed*:*PpoParity*'"
check mixed-run bash -euo pipefail -c mixed_run
check bench-generate bash -euo pipefail -c "bench generate $models/mini-summarizer --data $data --any-length --batch 16 --new 64"
check bench-reward bash -euo pipefail -c "bench reward $models/mini-toxicity --data $data --any-length --texts 256"
check bench-ppo bash -euo pipefail -c "bench ppo $models/mini-summarizer --reward-model $models/mini-toxicity --data $data --any-length --batch 64 \
  --mini-batch 16 --epochs 2 --lora-r 16 --min-new 64 --max-new 64 --until-eos --response-only --steps 3"
check bench-hardware bash -euo pipefail -c "bench hardware"

printf '\n'
python3 - "$results" <<'PYTHON'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
print("| check | device | result | seconds | figure |\n|---|---|---|---|---|")
for row in rows:
    print(f"| {row['check']} | {row['device']} | {row['result']} | {row['seconds']} | {row['figure']} |")
PYTHON
exit "$failed"
