#!/usr/bin/env python3
"""Who may include whom, and other rules of CONTRIBUTING.md that a compiler does not check.

usage: check_rules.py [ROOT]     prints every breach as file:line: what, and ends with 1 when there is one.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve()

# common/<area> may include itself and these areas.
COMMON = {
    "base": set(),
    "leases": {"base"},
    "json": {"base"},
    "sync": {"base"},
    "obs": {"base", "json", "sync"},
    "stats": {"base"},
    "tls": {"base", "sync", "obs"},
    "rpc": {"base", "sync", "obs", "tls"},
    "text": {"base", "json", "sync"},
    "nn": {"base", "json", "sync"},
    "adapters": {"base", "json", "nn"},
    "train": {"base", "json", "nn"},
    "rl": {"base", "json", "sync", "nn", "adapters", "stats", "train"},
    "data": {"base", "json", "sync", "text"},
    "sft": {"base", "json", "sync", "nn", "adapters", "data", "train"},
    "eval": {"base", "json", "nn", "stats", "text"},
    "sqlite": {"base"},
    "http": {"base", "sync", "tls"},
    "review": {"base", "json", "sync", "data", "eval", "sqlite", "stats"},
    "report": {"base", "json", "text", "eval", "review", "stats"},
}
# The rooms of these folders, lowest first: a room may include itself and those before it. "." is the folder itself.
ROOMS = {
    "services/orchestrator": ("base", "ledger", "nodes", "rollouts", "run", "clients"),
    "services/learner": ("base", "workers", "ppo", "sft", "rpc"),
    "services/cli": ("terminal", "files", "cluster", "train", "models", "probe", "evaluate", "data"),
    "common/eval": ("text",),
    "common/text": ("unicode", "pipeline", "files"),
    "common/nn": ("weights", ".", "kernels", "generation", "cpu", "torch"),
}
# What chooses among the backends stands above them, in the same folder as what they have in common.
ABOVE_ROOMS = {"common/nn/device.cc", "common/nn/load.cc"}
# The protos that a service may use besides common's and its own: those of the peers it calls.
PEERS = {
    "wire": {"learner", "orchestrator", "policy"},
    "policy": {"orchestrator"},
    "reward": {"orchestrator"},
    "learner": {"orchestrator"},
    "orchestrator": {"policy", "reward", "learner"},
    "cli": {"policy", "reward", "learner", "orchestrator", "evaluation"},
}
# The wall clock is set back and forth while processes run: only what people or browsers read, and certificates, may follow it.
WALL_CLOCK = {
    "common/obs/log.cc",
    "common/review/study_store.h",
    "common/review/study_store.cc",
    "common/sync/clock_watch.cc",
    "common/tls/certificates.h",
    "common/tls/certificates.cc",
    "services/cli/evaluate/review_command.cc",
    "services/orchestrator/run/champion_keeper.cc",
    "services/orchestrator/base/promotion.h",
    "services/orchestrator/run/run_driver.cc",
    "services/orchestrator/run/run_manager.cc",
    "services/orchestrator/run/sft_driver.cc",
    "services/review/review_service.h",
    "services/review/review_service.cc",
}
INCLUDE = re.compile(r'^\s*#include\s+[<"]([^>"]+)[>"]')
breaches = []


def breach(path, line, text):
    breaches.append(f"{path.relative_to(ROOT)}:{line}: {text}")


def check_include(path, line, target):
    parts = path.relative_to(ROOT).parts
    top, area = parts[0], parts[1]
    name = path.name
    other = target.split("/")
    if top == "tests":
        return
    if other[0] == "tests":
        breach(path, line, f"{target}: nothing but tests includes tests")
    if top == "common":
        if other[0] == "common" and other[1] != area and other[1] not in COMMON.get(area, set()):
            breach(path, line, f"{target}: common/{area} may include {sorted(COMMON.get(area, set()))}")
        if other[0] == "services":
            breach(path, line, f"{target}: common never includes services")
        if other[0] == "mellow":
            breach(path, line, f"{target}: common never includes a mellow proto")
    if top == "services":
        if other[0] == "services" and other[1] not in (area, "wire"):
            breach(path, line, f"{target}: services/{area} may include itself and services/wire")
        if other[0] == "mellow" and other[1] not in PEERS.get(area, set()) | {area, "common"}:
            breach(path, line, f"{target}: services/{area} may use the protos of {sorted(PEERS.get(area, set()) | {area, 'common'})}")
        if other[0] == "mellow" and area not in ("wire", "cli") and not re.search(r"(_(service|calls|client)|proto_convert)\.(h|cc)$", name):
            breach(path, line, f"{target}: messages stop at *_service.*, *_calls.*, *_client.* and *proto_convert.*")
    rooms = ROOMS.get(f"{top}/{area}", ())
    room = parts[2] if len(parts) > 3 else "."
    if room in rooms and other[:2] == [top, area] and "/".join(parts) not in ABOVE_ROOMS:
        allowed = rooms[: rooms.index(room) + 1]
        if (other[2] if len(other) > 3 else ".") not in allowed:
            breach(path, line, f"{target}: {top}/{area}/{room} may include {', '.join(allowed)}")
    if other[0] in ("torch", "ATen", "c10"):
        inside = top == "common" and (parts[1:3] == ("nn", "torch") or area in ("train", "rl", "sft"))
        if not inside:
            breach(path, line, f"{target}: libtorch only in common/nn/torch, common/train, common/rl and common/sft")
        elif path.suffix == ".h" and parts[1:3] != ("nn", "torch") and "internal" not in name and area not in ("train", "rl", "sft"):
            breach(path, line, f"{target}: no libtorch in public headers")
    if other[0] in ("grpc", "grpcpp"):
        allowed = (top == "common" and area == "rpc") or re.search(r"_(service|clients?|calls)\.(h|cc)$", name) or area == "wire"
        if not allowed:
            breach(path, line, f"{target}: gRPC only in common/rpc, services/wire, *_service.*, *_calls.*, *_client.* and *_clients.*")
    if other[0] == "sqlite3.h" and not (top == "common" and area == "sqlite"):
        breach(path, line, f"{target}: SQLite only in common/sqlite")
    if other[0] == "nlohmann" and (top, area, path.suffix) != ("common", "json", ".cc"):
        breach(path, line, f"{target}: nlohmann's JSON only in the sources of common/json")
    if other[0] == "httplib.h" and not (top == "common" and area == "http"):
        breach(path, line, f"{target}: cpp-httplib only in common/http")
    if other[0] == "openssl" and not (top == "common" and (area == "tls" or name == "sha256.cc")):
        breach(path, line, f"{target}: OpenSSL only in common/tls and sha256.cc")
    if other[0] == "prometheus" and not (top == "common" and area == "obs"):
        breach(path, line, f"{target}: prometheus-cpp only in common/obs")


def names_wall_clock(line):
    code = line.split("//")[0]
    return re.search(r"\babsl::(Now|GetCurrentTime\w+|Time|Infinite(Future|Past))\b|\bsystem_clock\b|\bgettimeofday\b|\bCLOCK_REALTIME\b|\btime\((nullptr|NULL|0)\)", code)


def guard_of(path):
    return "MELLOW_" + re.sub(r"[^A-Za-z0-9]", "_", str(path.relative_to(ROOT))).upper() + "_"


def check_file(path):
    text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if match := INCLUDE.match(line):
            check_include(path, number, match.group(1))
        if path.relative_to(ROOT).parts[0] == "tests" and re.search(r"\bsleep_for\b|\bSleepFor\b|\busleep\(|\bsleep_until\b", line):
            breach(path, number, "tests do not sleep: wait for a condition")
        if names_wall_clock(line) and str(path.relative_to(ROOT)) not in WALL_CLOCK and path.relative_to(ROOT).parts[0] != "tests":
            breach(path, number, "the wall clock is for what people read: measure and wait by SteadyTime")
        if re.search(r"\bfor \(.*: .*\)\.(members|elements)\(\)|\bValue& \w+ = .*\)\[", line):
            breach(path, number, "a value that a call returns would be gone behind this line, or in the loop: give it a name first")
        if re.search(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b", line):
            breach(path, number, "unfinished work belongs in an issue")
    if path.suffix == ".h" and f"#define {guard_of(path)}" not in text:
        breach(path, 1, f"include guard must be {guard_of(path)}")
    if path.name == "main.cc" and len(text.splitlines()) > 90:
        breach(path, 1, "main.cc is wiring only")


def main():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    names = listed.stdout.split() if listed.returncode == 0 else [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file()]
    files = [ROOT / n for n in names if n.startswith(("common/", "services/", "tests/")) and n.endswith((".h", ".cc")) and (ROOT / n).is_file()]
    if not files:
        sys.exit(f"no sources below {ROOT}")
    for path in files:
        check_file(path)
    print("\n".join(breaches) or f"{len(files)} files keep the rules")
    return 1 if breaches else 0


if __name__ == "__main__":
    sys.exit(main())
