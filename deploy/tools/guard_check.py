#!/usr/bin/env python3
"""What a run's guard is good for, and how often it is wrong, on the small models that ship.

usage: guard_check.py [--bin build/release/bin] [--dir FOLDER] [--steps 100] [--seeds 20] [--judge FOLDER] [--threads 0]

1. PPO on a reward that repetition fools (make_hackable_classifier.py), without a KL penalty: without a guard, with one that stops the run,
   and with one that goes on. After each, what the newest adapter writes is held against the base model: ROUGE-L, repetition, and the
   toxicity that the untouched classifier sees, which is the judge of the runs. Then `mellow evaluate --steps-of` looks for the best step,
   with that judge, and `mellow promote` makes it the champion if its gates hold.
2. The ordinary run of deploy/runs/mini.json with a guard, once for each seed: a run that is taken back is a false alarm. Its judge is --judge,
   a classifier made independently (`train_small_models.py --only judge` makes one, with PyTorch); without it that of before, which is like the
   reward but for one trait. The largest judge_gap of each seed is told too.

Ends with 1 when the unguarded run keeps its quality or a guarded one loses it (then it shows nothing), when the best step of a guarded run is
not found or not promoted, or when a tenth of the seeds trips.
Standard library only; everything is written below --dir. About half an hour on two cores.
"""
import argparse
import contextlib
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

import make_hackable_classifier

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "deploy/models/mini-toxicity"
RUN = ROOT / "deploy/runs/mini.json"
HACK = ["ppo.init_kl_coef=0", "ppo.adap_kl_ctrl=false"]
# What half of the words of the base model's summaries are worth: less is no summary anymore.
QUALITY = 0.5
# guard.window's default: the first window is what rises are measured from, so its own gap is 0.
WINDOW = 5
# That many steps of a run are looked at for the best: its intervals get wider with each.
LOOKED_AT = 12


class Cluster:
    def __init__(self, arguments, name, reward, judge):
        self.program = pathlib.Path(arguments.bin).resolve() / "mellow"
        self.folder = pathlib.Path(arguments.dir) / name
        self.flags = ["--reward-model", reward, "--judge-model", judge, "--threads", arguments.threads]

    def mellow(self, *words, may_fail=False):
        result = subprocess.run([str(word) for word in (self.program, *words, "--dir", self.folder)], capture_output=True, text=True)
        if result.returncode != 0 and not may_fail:
            sys.exit(f"mellow {' '.join(map(str, words))}: {result.stderr.strip()}")
        return result.stdout

    def __enter__(self):
        self.mellow("up", *self.flags)
        return self

    def __exit__(self, *_):
        self.mellow("down")

    def train(self, name, *sets):
        """Trains, and returns the run as `mellow runs` has it then, with the largest gap of a window in `gap`; a guard may have stopped it."""
        assignments = [word for each in (f"name={name}", *sets) for word in ("--set", each)]
        lines = [json.loads(line) for line in self.mellow("train", RUN, "--json", *assignments, may_fail=True).splitlines()]
        run = json.loads(self.mellow("runs", "--json"))[0]
        if run["name"] != name or run["state"] not in ("DONE", "STOPPED"):
            sys.exit(f"{name}: {run['state']}: {run['error']}")
        return {**run, "gap": max((line["judge_gap"] for line in lines if line.get("step", 0) > WINDOW and "judge_gap" in line), default=math.nan)}

    def evaluation_file(self, judge, prompts):
        spec = json.loads((ROOT / "deploy/runs/mini-eval.json").read_text(encoding="utf-8"))
        spec["data"] = {"path": str(ROOT / "deploy/runs/mini/heldout.jsonl"), "limit": prompts}
        spec["judges"] = [{"name": "independent", "model": str(judge)}]
        file = self.folder / f"guard-eval-{prompts}.json"
        file.write_text(json.dumps(spec), encoding="utf-8")
        return file

    def evaluate(self, judge):
        """The newest adapter against the base model: {measure: (base, newest)}."""
        out = self.folder / "guard-eval"
        self.mellow("evaluate", self.evaluation_file(judge, 100), "--out", out)
        return measures_of(out / "evaluation.json")

    def find_best(self, run, judge):
        """The best step of the run, "RUN@STEP" or None, what was measured of it, and the evaluation, for promote()."""
        every = max(1, math.ceil(run["step"] / LOOKED_AT))
        out = self.folder / "guard-steps"
        said = json.loads(self.mellow("evaluate", self.evaluation_file(judge, 300), "--steps-of", run["run_id"], "--every", every, "--json",
                                      "--out", out, may_fail=True))
        path = out / "evaluation.json"
        return said["best"], measures_of(path, said["best"]) if said["best"] else {}, path

    def promote(self, adapter, evaluation):
        """Whether the gates let it be the champion; and what `promote` said of each."""
        said = json.loads(self.mellow("promote", adapter, "--evaluation", evaluation, "--json", may_fail=True))
        return said["champion"] is not None, said["gates"]


def measures_of(evaluation, arm=None):
    """{measure: (base, arm)}; of the first arm that is compared with the base model unless one is named."""
    comparisons = json.loads(evaluation.read_text(encoding="utf-8"))["comparisons"]
    differences = next(c["differences"] for c in comparisons if arm in (None, c["arm"]))

    def measure(name, judge=None):
        return next((d["baseline"], d["arm"]) for d in differences
                    if d["measure"] == name and (judge is None or d["scoring"] == {"judge": judge, "text": "summary"}))
    return {"ROUGE-L": measure("rougeL"), "repetition": measure("repetition"), "toxicity (judge)": measure("toxicity", "independent")}


def trips_of(run):
    return [trip["reason"] for trip in run["guard_trips"]]


def show_hacked_reward(arguments, hackable):
    """Whether the unguarded run lost what the guarded ones kept, and the best steps of these were found and promoted."""
    kept, promoted = {}, {}
    steps = f"steps={arguments.steps}"
    for name, sets in (("no guard", []), ("guard, stop", ["guard.action=stop"]), ("guard, continue", ["guard.action=continue"])):
        if sets:
            sets = [*sets, "guard.judge.share=0.25"]
        with Cluster(arguments, name.replace(", ", "-").replace(" ", "-"), hackable, MODEL) as cluster:
            run = cluster.train(name, steps, *HACK, *sets)
            print(f"\n{name}: {run['state']} after step {run['step']} of {run['steps']}, last score {run['score_mean']:.2f}, KL {run['objective_kl']:.1f}")
            for reason in trips_of(run):
                print(f"  {reason}")
            measures = cluster.evaluate(MODEL)
            for measure, (base, newest) in measures.items():
                print(f"  {measure:18} base {base:.4f}  newest {newest:.4f}", flush=True)
            rouge = measures["ROUGE-L"]
            kept[name] = rouge[1] > QUALITY * rouge[0]
            promoted[name] = show_best(cluster, run)
    return not kept.pop("no guard") and all(kept.values()) and promoted["guard, stop"] and promoted["guard, continue"]


def show_best(cluster, run):
    """Whether a step was found that may be promoted, and was."""
    best, measures, evaluation = cluster.find_best(run, MODEL)
    if best is None:
        print("  no step passes the gates", flush=True)
        return False
    accepted, gates = cluster.promote(best, evaluation)
    print(f"  best: step {best.split('@')[1]}, promoted: {'yes' if accepted else 'no'}")
    for measure, (base, arm) in measures.items():
        print(f"  {measure:18} base {base:.4f}  best   {arm:.4f}")
    for gate in gates:
        print(f"  gate {gate['name']:10} {'passed' if gate['passed'] else 'FAILED'}: {gate['detail']}", flush=True)
    return accepted


def count_false_alarms(arguments, judge):
    alarms, gaps = 0, []
    print(f"\nthe ordinary run with a guard, {arguments.seeds} seeds, judge {judge}", flush=True)
    with Cluster(arguments, "ordinary", MODEL, judge) as cluster:
        for seed in range(1, arguments.seeds + 1):
            run = cluster.train(f"seed-{seed}", f"seed={seed}", "guard.action=continue", "guard.judge.share=0.25")
            alarms += bool(run["guard_trips"])
            gaps.append(run["gap"])
            print(f"  seed {seed:2}: score {run['score_mean']:.2f}, toxicity {run['toxicity_mean']:.3f}, KL {run['objective_kl']:.2f}, largest judge_gap {run['gap']:.2f}"
                  f"{''.join(f'; {reason}' for reason in trips_of(run))}", flush=True)
    print(f"false alarms: {alarms} of {arguments.seeds} seeds; the largest judge_gap of a seed: {statistics.mean(gaps):.2f} in the mean,"
          f" {max(gaps):.2f} at most; the bound is 1.5")
    return alarms


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=ROOT / "build/release/bin")
    parser.add_argument("--dir", help="default: a folder that is removed at the end")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--judge", type=pathlib.Path, help="judge of the seeds; default: the classifier that is the reward of the first part")
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        if arguments.dir is None:
            arguments.dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="mellow-guard."))
        hackable = pathlib.Path(arguments.dir).resolve() / "hackable"
        make_hackable_classifier.make(MODEL, hackable)
        shown = show_hacked_reward(arguments, hackable) if arguments.steps > 0 else True
        alarms = count_false_alarms(arguments, arguments.judge.resolve() if arguments.judge else hackable) if arguments.seeds > 0 else 0
    return 0 if shown and alarms * 10 < max(1, arguments.seeds) else 1


if __name__ == "__main__":
    sys.exit(main())
