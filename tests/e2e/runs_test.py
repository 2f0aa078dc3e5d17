#!/usr/bin/env python3
"""runs, watch, stop, resume, logs, adapters, --from and --steps-of over a real cluster; the commands that they print run as they are printed."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
import urllib.request

import harness
from harness import MELLOW, MINI_RUN, assert_narrow, cluster, commands_in, json_lines, mellow, sets, shell

STEPS = 36
DIALOGUE = "#Person1#: Where is my parcel? #Person2#: In the depot, you moron."


class Runs(unittest.TestCase):
    def run_files(self, folder):
        """The mini run and its evaluation on fewer prompts, side by side as people have them."""
        run = json.loads(MINI_RUN.read_text())
        run["data"]["path"] = str(MINI_RUN.parent / run["data"]["path"])
        evaluation = json.loads((MINI_RUN.parent / "mini-eval.json").read_text())
        evaluation["data"]["path"] = str(MINI_RUN.parent / evaluation["data"]["path"])
        evaluation["data"]["limit"] = 80
        (folder / "mini.json").write_text(json.dumps(run))
        (folder / "mini-eval.json").write_text(json.dumps(evaluation))
        return folder / "mini.json"

    def runs(self, c):
        return json.loads(mellow("runs", "--dir", c.folder, "--json", check=0).stdout)

    def adapters(self, c, *flags):
        return json.loads(mellow("adapters", "--dir", c.folder, "--json", *flags, check=0).stdout)

    def refused_starts(self, c, run_file):
        """What cannot begin makes no run, hides nothing and lets no alert fire."""
        for assignments, words in ((["start_adapter=/nowhere", "ppo.lora="], ["start_adapter", "/nowhere"]),
                                   (["ppo.lora.target_modules=no_such_layer"], ["target_modules", "no_such_layer"])):
            result = mellow("train", run_file, "--dir", c.folder, *sets(assignments), check=1)
            for word in words:
                self.assertIn(word, result.stderr)
        self.assertEqual(self.runs(c), [])
        self.assertIn("no run yet", mellow("runs", "--dir", c.folder, check=0).stdout)
        metrics = urllib.request.urlopen(c.services()["orchestrator"]["metrics"], timeout=10).read().decode()
        self.assertNotIn("mellow_orchestrator_run_state", metrics)
        for command in (["watch"], ["stop"], ["resume"]):
            self.assertIn("there is no run yet", mellow(*command, "--dir", c.folder, check=1).stderr)

    def killed_watched_stopped_and_resumed(self, c, run_file):
        """The run's id."""
        train = subprocess.Popen([MELLOW, "train", str(run_file), "--dir", str(c.folder), "--set", f"steps={STEPS}"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        first = train.stderr.readline()
        train.kill()
        train.communicate()
        run_id, watch = re.match(r"mellow: run (\S+); from elsewhere, or if this ends: (.*)$", first).groups()

        watching = subprocess.Popen(["bash", "-c", f"exec {watch}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for line in watching.stdout:
            if line.split()[0] == f"3/{STEPS}":
                break
        watching.send_signal(signal.SIGINT)
        output, errors = watching.communicate(timeout=60)
        self.assertEqual(watching.returncode, 130, errors)
        self.assertIn("goes on", errors)
        self.assertEqual(self.runs(c)[0]["state"], "RUNNING")

        stop = re.search(r"it is stopped by: (.*)$", errors, re.MULTILINE)[1]
        stopped = shell(stop, c.folder).stdout
        self.assertRegex(stopped, rf"run {run_id} is stopped after step \d+ of {STEPS}")
        stopped_at = self.runs(c)[0]
        self.assertEqual(stopped_at["state"], "STOPPED")
        self.assertRegex(stopped_at["ended"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertIn("was stopped", mellow("watch", run_id[:12], "--dir", c.folder, check=1).stderr)

        resume = re.search(r"go on with: (.*)$", stopped, re.MULTILINE)[1]
        shell(resume + " --detach", c.folder)
        lines = json_lines(mellow("watch", "newest", "--dir", c.folder, "--json", check=0).stdout)
        self.assertEqual([line["step"] for line in lines[:-1]], list(range(1, STEPS + 1)))
        self.assertIs(lines[-1]["done"], True)
        done = self.runs(c)[0]
        self.assertEqual((done["run_id"], done["state"], done["step"], done["method"]), (run_id, "DONE", STEPS, "ppo"))
        self.assertEqual(done["objective_kl"], lines[-2]["objective_kl"])
        self.assertEqual(done["score_mean"], lines[-2]["score_mean"])
        self.assertIn("is done", mellow("resume", run_id, "--dir", c.folder, check=1).stderr)
        return run_id, lines

    def every_step_is_kept(self, c, run_id, lines):
        kept = {a["step"]: a for a in self.adapters(c, "--run", run_id)}
        self.assertEqual(sorted(kept), list(range(1, STEPS + 1)))
        for line in lines[:-1]:
            adapter = kept[line["step"]]
            self.assertEqual((adapter["sha256"], adapter["files"]), (line["adapter"]["sha256"], True))
            self.assertTrue((pathlib.Path(adapter["learner_path"]) / "adapter_model.safetensors").exists())
        self.assertEqual([a["step"] for a in kept.values() if a["newest"]], [STEPS])
        for verb in ("adapters", "status", "runs"):
            assert_narrow(self, mellow(verb, "--dir", c.folder, check=0).stdout)
        # One that no policy has anymore.
        answer = json_lines(mellow("summarize", "--dir", c.folder, "--adapter", f"{run_id}@1", stdin=json.dumps({"dialogue": DIALOGUE}), check=0).stdout)
        self.assertEqual(answer[0]["adapter"], lines[0]["adapter"])
        self.assertIn("no such step", mellow("summarize", "--dir", c.folder, "--adapter", f"newest@{STEPS + 1}", "--text", stdin="x", check=1).stderr)

    def printed_commands(self, c, run_file, run_id):
        said = mellow("train", run_file, "--dir", c.folder, "--set", f"steps={STEPS}", "--resume", check=0)
        evaluate, promote, steps_of = commands_in(said.stdout)
        for text in (said.stdout, shell(evaluate, run_file.parent).stdout, shell(promote, run_file.parent).stdout):
            assert_narrow(self, text)
        champion = [a for a in self.adapters(c) if a["champion"]]
        self.assertEqual([(a["run_id"], a["step"], a["promotion"]) for a in champion], [(run_id, STEPS, 1)])

        found = shell(steps_of, run_file.parent)
        assert_narrow(self, found.stdout)
        self.assertIn("Bonferroni", found.stdout)
        again = json.loads(shell(steps_of + " --json", run_file.parent).stdout)
        every = (STEPS + 4) // 5
        self.assertEqual([s["step"] for s in again["steps"]], [s for s in range(1, STEPS + 1) if s % every == 0 or s == STEPS])
        best = min((s for s in again["steps"] if s["holds"]), key=lambda s: s["toxicity"])
        self.assertEqual(again["best"], best["adapter"])
        self.assertAlmostEqual(again["confidence_each"], 1 - 0.05 / len(again["steps"]))
        # Its own interval is the wider one for having been chosen among several.
        alone = json.loads((c.folder / f"evaluations/{run_id}/evaluation.json").read_text())
        last = [d["difference"] for d in alone["comparisons"][0]["differences"] if d["measure"] == "toxicity"][0]
        self.assertLess(again["steps"][-1]["lower"], last["lower"])
        self.assertAlmostEqual(again["steps"][-1]["difference"], last["mean"])
        [promote_best] = commands_in(found.stdout)
        if best["step"] == STEPS:
            self.assertIn("champion already", shell(promote_best, run_file.parent, check=1).stderr)
        else:
            shell(promote_best, run_file.parent)

    def started_again_from_before_the_rise(self, c, run_file, run_id, lines):
        """The runbook's remedy."""
        _, end = c.train(["steps=1", "ppo.init_kl_coef=0.4"], "--from", f"{run_id}@2")
        run = self.runs(c)[0]
        self.assertNotEqual(run["run_id"], run_id)
        self.assertEqual(run["adapter"], end["adapter"])
        starts = [a["sha256"] for a in self.adapters(c, "--run", run["run_id"]) if a["step"] == 0]
        self.assertEqual(starts, [lines[1]["adapter"]["sha256"]])
        # What the learner has lost the orchestrator still has.
        shutil.rmtree(next(a["learner_path"] for a in self.adapters(c, "--run", run_id) if a["step"] == 1))
        c.train(["steps=1"], "--from", f"{run_id}@1")
        starts = [a["sha256"] for a in self.adapters(c, "--run", self.runs(c)[0]["run_id"]) if a["step"] == 0]
        self.assertEqual(starts, [lines[0]["adapter"]["sha256"]])
        self.assertIn("kept are steps", mellow("train", run_file, "--dir", c.folder, "--from", f"{run_id}@{STEPS + 9}", check=1).stderr)
        # Two of that name: neither is guessed.
        ambiguous = mellow("watch", "mini", "--dir", c.folder, check=1).stderr
        for each in self.runs(c):
            self.assertIn(each["run_id"], ambiguous)
        self.assertIn("no such run", mellow("stop", "nothing", "--dir", c.folder, check=1).stderr)
        table = mellow("runs", "--dir", c.folder, check=0).stdout
        assert_narrow(self, table)
        self.assertRegex(table, rf"mini +ppo +DONE +{STEPS}/{STEPS} ")

    def logs(self, c, run_id):
        lines = json_lines(mellow("logs", "orchestrator", "--dir", c.folder, "--json", "--lines", "0", check=0).stdout)
        self.assertIn((run_id, "done"), [(line.get("run"), line.get("state")) for line in lines])
        everything = mellow("logs", "--dir", c.folder, "--lines", "0", check=0).stdout
        self.assertRegex(everything, rf"(?m)^\d\d:\d\d:\d\d\.\d{{3}} orchestrator +info +run ended run={run_id} state=done")
        self.assertRegex(everything, r"(?m)^\S+ policy-0 +info +serving ")
        self.assertIn("there are learner", mellow("logs", "nothing", "--dir", c.folder, check=1).stderr)
        follow = subprocess.Popen([MELLOW, "logs", "policy", "--follow", "--dir", str(c.folder)], stdout=subprocess.PIPE, text=True)
        self.assertIn("policy-0", follow.stdout.readline())
        follow.send_signal(signal.SIGINT)
        follow.communicate(timeout=60)
        self.assertEqual(follow.returncode, 130)

    def test_everyday_running(self):
        with tempfile.TemporaryDirectory(prefix="mellow-e2e-runs.") as temp, cluster() as c:
            folder = pathlib.Path(temp)
            run_file = self.run_files(folder)
            self.refused_starts(c, run_file)
            run_id, lines = self.killed_watched_stopped_and_resumed(c, run_file)
            self.every_step_is_kept(c, run_id, lines)
            self.printed_commands(c, run_file, run_id)
            self.started_again_from_before_the_rise(c, run_file, run_id, lines)
            self.logs(c, run_id)

    def test_old_adapters_go_when_they_are_bounded(self):
        with cluster("--keep-adapters", "2") as c:
            steps, _ = c.train([*harness.SMALL, "steps=5"])
            self.assertEqual([a["step"] for a in self.adapters(c, "--run", "newest")], [4, 5])
            folders = sorted(p.parent.name for p in (c.folder / "checkpoints").glob("run-*/step-*/adapter"))
            # Those of the checkpoints stay, whatever the bound.
            self.assertEqual(folders, ["step-00000003", "step-00000004", "step-00000005"])
            self.assertIn("is not kept", mellow("promote", "newest@1", "--dir", c.folder, "--force", check=1).stderr)


if __name__ == "__main__":
    os.environ.pop("MELLOW_CONNECT", None)
    harness.main()
