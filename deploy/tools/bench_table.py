#!/usr/bin/env python3
"""Mellow's speed beside that of other libraries, as Markdown.

Reads what `mellow bench generate|reward|ppo|hardware` prints and what a peer's script prints: JSON lines, other lines are left out.
Each FILE is one; each --run COMMAND is run by the shell, one after the other, and its lines are kept in --log as well.

    bench_table.py --log all.jsonl --run "mellow bench hardware --device cpu --threads 2" --run "python peers/generation.py" mellow.jsonl

What a line is, its fields say:
    tokens_per_s, batch         greedy generation; engine: NAME or NAME-SETTING (hf, ct2-int8, openvino-bf16, mellow-int8)
    texts_per_s, batch          reward scoring; engine as above
    step_s, generate_s, ppo_s   one PPO step; peer, and what tells its settings apart (dtype, generate)
    step, seconds or step_s     one of several PPO steps of the small models: the median counts, without the first; peer, or TRL's script
    hardware                    limits of the machine, and its name
Of lines that measured the same thing the fastest counts. Of each peer the best of its settings is shown, with the setting's name;
--all shows every setting. Ratios are Mellow's best setting against the peer's best.
"""
import argparse
import json
import statistics
import subprocess
import sys

OURS = "mellow"


def read_lines(text, source):
    rows = []
    for line in text.splitlines():
        line = line.strip()
        if not line.startswith("{"):
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise SystemExit(f"{source}: not JSON: {line[:80]}: {error}")
        rows.append({key: value for key, value in row.items() if value is not None})
    if not rows:
        raise SystemExit(f"{source}: no JSON lines")
    return rows


def run(command):
    print(f"running: {command}", file=sys.stderr, flush=True)
    done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"exit code {done.returncode}: {command}")
    return done.stdout


def markdown(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def family(engine):
    """Whose setting it is: "ct2" of "ct2-int8"; a version belongs to the name, as in "trl-0.11.3"."""
    return engine.split("-")[0]


def setting(engine):
    return engine if "-" in engine else f"{engine}-float32"


def number(value):
    return f"{value:.3g}" if value < 10 else f"{value:.1f}"


def best_of(rows, key, larger):
    """By engine: the best line of each."""
    best = {}
    for row in rows:
        old = best.get(row["engine"])
        if old is None or (row[key] > old[key]) == larger:
            best[row["engine"]] = row
    return best


def shown(best, key, larger, everything):
    """(engine, value, ratio of our best to it), ours last; without `everything` the best of each family."""
    ranked = sorted(best.values(), key=lambda row: row[key], reverse=larger)
    ours = next((row[key] for row in ranked if family(row["engine"]) == OURS), None)
    result, seen = [], set()
    for row in ranked:
        if not everything and family(row["engine"]) in seen:
            continue
        seen.add(family(row["engine"]))
        ratio = None if ours is None or family(row["engine"]) == OURS else (ours / row[key] if larger else row[key] / ours)
        result.append((row["engine"], row, ratio))
    return sorted(result, key=lambda entry: family(entry[0]) == OURS)


def ratio_text(ratio):
    return "" if ratio is None else f"{ratio:.2f}"


def throughput(rows, key, unit, title, everything):
    out = []
    for batch in sorted({row["batch"] for row in rows}):
        entries = shown(best_of([r for r in rows if r["batch"] == batch], key, True), key, True, everything)
        out += [[str(batch), setting(engine), f"{number(row[key])} {unit}", ratio_text(ratio)] for engine, row, ratio in entries]
    return markdown([f"{title}, batch", "engine", "speed", "Mellow / engine"], out)


def step_engine(row):
    """Names a PPO step's settings as an engine's."""
    return "-".join([row["peer"], *(row[key] for key in ("dtype", "generate") if key in row)])


def steps_table(rows, everything):
    best = best_of([{**row, "engine": step_engine(row)} for row in rows], "step_s", False)
    phases = [phase for phase in ("generate_s", "reward_s", "reference_s", "ppo_s") if any(phase in row for row in best.values())]
    out = [[engine, *(f"{row[p]:.1f} s" if p in row else "" for p in phases), f"{row['step_s']:.1f} s", ratio_text(ratio)]
           for engine, row, ratio in shown(best, "step_s", False, everything)]
    return markdown(["one PPO step", *({"ppo_s": "update"}.get(p, p.removesuffix("_s")) for p in phases), "step", "engine / Mellow"], out)


def small_steps_table(rows):
    groups = {}
    for row in rows:
        groups.setdefault(row.get("peer", "trl"), []).append(row)
    medians = {}
    for engine, steps in groups.items():
        steps = [s for s in steps if s["step"] > 1] or steps
        seconds = [s.get("seconds", s.get("step_s")) for s in steps]
        update = [s["ppo_s"] for s in steps if "ppo_s" in s]
        medians[engine] = {"engine": engine, "s": statistics.median(seconds), "update": statistics.median(update) if update else None}
    out = [[engine, "" if row["update"] is None else f"{row['update']:.2f} s", f"{row['s']:.2f} s", ratio_text(ratio)]
           for engine, row, ratio in shown(medians, "s", False, True)]
    return markdown(["PPO step of the small models (median)", "update", "step", "engine / Mellow"], out)


def hardware_table(rows):
    out = []
    for engine, row in best_of([r for r in rows if r["hardware"] == "gemm"], "gflops", True).items():
        out.append([f"products of matrices, {engine}, {row['device']}", f"{row['gflops']:.0f} GFLOP/s"])
    memory = [r["read_gb_per_s"] for r in rows if r["hardware"] == "memory"]
    if memory:
        out.append(["memory, read", f"{max(memory):.1f} GB/s"])
    return markdown(["limit of the machine", ""], out)


def machine_line(rows, name):
    machines = [r for r in rows if r["hardware"] == "machine"]
    if name is None and machines:
        name = ", ".join(sorted({f"{m['cpu']} ({m['instructions']}), kernels {m['kernels']}, {m['threads']} threads, {m['device']}" for m in machines}))
    return f"Machine: {name}." if name else None


def table(rows, everything=False, machine=None):
    """The whole page; `rows`: the lines of all measurements."""
    hardware = [r for r in rows if "hardware" in r]
    parts = [machine_line(hardware, machine)]
    generate = [r for r in rows if "tokens_per_s" in r]
    reward = [r for r in rows if "texts_per_s" in r]
    small = [r for r in rows if "step" in r and ("seconds" in r or "step_s" in r)]
    steps = [r for r in rows if "step_s" in r and "step" not in r]
    if generate:
        parts.append(throughput(generate, "tokens_per_s", "tokens/s", "greedy generation", everything))
    if reward:
        parts.append(throughput(reward, "texts_per_s", "texts/s", "reward scoring", everything))
    if steps:
        parts.append(steps_table(steps, everything))
    if small:
        parts.append(small_steps_table(small))
    if hardware:
        parts.append(hardware_table(hardware))
    return "\n\n".join(part for part in parts if part) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE")
    parser.add_argument("--run", action="append", default=[], metavar="COMMAND", help="run it and read what it prints; may be repeated")
    parser.add_argument("--log", metavar="FILE", help="add the lines of every --run to this file")
    parser.add_argument("--machine", help="name of the machine [as `mellow bench hardware` says]")
    parser.add_argument("--all", action="store_true", help="every setting of every peer, not the best alone")
    arguments = parser.parse_args()
    if not arguments.files and not arguments.run:
        parser.error("nothing to read: give a FILE or --run")
    rows = []
    for path in arguments.files:
        with open(path, encoding="utf-8") as file:
            rows += read_lines(file.read(), path)
    for command in arguments.run:
        lines = read_lines(run(command), command)
        rows += lines
        if arguments.log:
            with open(arguments.log, "a", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)
    print(table(rows, arguments.all, arguments.machine), end="")


if __name__ == "__main__":
    main()
