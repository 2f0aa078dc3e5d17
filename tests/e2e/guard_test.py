#!/usr/bin/env python3
"""A run whose guard takes it back, over a real cluster with a judge: what is served, what is told, and that it goes on from there."""
import json
import pathlib
import re
import shutil
import sys
import tempfile
import unittest
import urllib.request

import harness
from harness import HELDOUT, MINI_RUN, MODELS, SMALL, SOURCE, assert_narrow, cluster, commands_in, json_lines, mellow, sets, shell

sys.path.insert(0, str(SOURCE / "deploy/tools"))
import make_hackable_classifier

# No response is that long: every window fails, at the steps 2, 4 and 6.
GUARD = ["steps=8", "guard.window=2", "guard.min_response_tokens=1000", "guard.action=continue", "guard.max_trips=1", "guard.judge.share=0.5", "guard.judge.label=LABEL_0"]
# The run of deploy/runs/README.md whose reward is hacked: KL, the only thing that holds it back, costs nothing.
HACKED = ["ppo.init_kl_coef=0", "ppo.adap_kl_ctrl=false", "guard.judge.share=0.25"]
DIALOGUE = json.dumps({"dialogue": "#Person1#: Where is my parcel?\n#Person2#: In the depot, you moron."})


def unnamed_judge(folder):
    """The small classifier as most are saved: nothing says which label is the toxic one, and a judge needs none."""
    judge = pathlib.Path(folder) / "judge"
    shutil.copytree(MODELS / "mini-toxicity", judge)
    config = json.loads((judge / "config.json").read_text())
    config |= {"id2label": {"0": "LABEL_0", "1": "LABEL_1"}, "label2id": {"LABEL_0": 0, "LABEL_1": 1}}
    (judge / "config.json").write_text(json.dumps(config))
    return judge


class Guard(unittest.TestCase):
    def test_a_run_that_waits_for_a_judge_says_so(self):
        with cluster() as c:
            begun = mellow(*c.train_args([*SMALL, *GUARD], "--detach"), check=0)
            self.assertIn("guard.judge: the cluster has no judge", begun.stderr)
            self.assertIn("--judge-model", begun.stderr)
            mellow("stop", "--dir", c.folder, check=0)
            self.assertIn("guard.judge: ", mellow("resume", "--dir", c.folder, "--detach", check=0).stderr)
            mellow("stop", "--dir", c.folder, check=0)
            self.assertNotIn("guard.judge", mellow(*c.train_args([*SMALL, "steps=1"]), check=0).stderr)

    def newest_run(self, c):
        return json.loads(mellow("runs", "--dir", c.folder, "--json", check=0).stdout)[0]

    def served(self, c):
        """The version that answers who asks for the newest one."""
        return json.loads(mellow("summarize", "--dir", c.folder, "--adapter", "newest", stdin=DIALOGUE + "\n", check=0).stdout)["adapter"]["version"]

    def test_it_goes_back_goes_on_stops_and_is_resumed(self):
        with tempfile.TemporaryDirectory(prefix="mellow-e2e-judge.") as folder, cluster("--judge-model", unnamed_judge(folder), "--toxic-label", "hate") as c:
            self.assertIn("judge", [node["role"] for node in c.status()["nodes"]])
            steps, last = c.train([*SMALL, *GUARD], check=1)
            steps.append(last)
            self.assertEqual([s["step"] for s in steps], [1, 2, 3, 4])
            self.assertEqual([s["step"] for s in steps if "guard_trip" in s], [2, 4])
            self.assertAlmostEqual(steps[2]["objective_kl"], 0, delta=1e-3, msg="sampled by the weights that the run started from")
            self.assertNotEqual(steps[3]["adapter"]["sha256"], steps[1]["adapter"]["sha256"])

            run = self.newest_run(c)
            self.assertEqual(run["state"], "STOPPED")
            self.assertIn("stopped by its guard: guard.min_response_tokens: ", run["error"])
            self.assertIn("steps 3 to 4, the bound is 1000", run["error"])
            first, second = run["guard_trips"]
            self.assertEqual((first["step"], first["good_step"], second["step"], second["good_step"]), (2, 0, 4, 0))
            self.assertEqual(first["good"]["sha256"], second["good"]["sha256"], "both are the start")
            self.assertEqual(run["adapter"], second["good"])
            self.assertEqual(self.served(c), second["good"]["version"])
            for command in ("runs", "status"):
                text = mellow(command, "--dir", c.folder, check=0).stdout
                self.assertIn("went back after step 2: guard.min_response_tokens", " ".join(text.split()))
            adapters = json.loads(mellow("adapters", "--dir", c.folder, "--json", check=0).stdout)
            self.assertEqual({a["step"]: a["withdrawn"] for a in adapters if a["run_id"] == run["run_id"]}, {0: False, 1: True, 3: True})

            for service in ("learner", "orchestrator"):
                pid = c.kill(service)
                c.wait_restarted(service, pid)
            result = mellow("resume", run["run_id"], "--dir", c.folder, "--json", check=1)
            self.assertEqual([s["step"] for s in json_lines(result.stdout)], [5, 6])
            again = self.newest_run(c)
            self.assertEqual([t["step"] for t in again["guard_trips"]], [2, 4, 6])
            self.assertEqual(self.served(c), again["guard_trips"][-1]["good"]["version"])
            metrics = urllib.request.urlopen(c.services()["orchestrator"]["metrics"], timeout=10).read().decode()
            self.assertIn(f'mellow_ppo_guard_trips{{check="min_response_tokens",run="{run["run_id"]}"}} 3', metrics)
            self.assertIn("mellow_ppo_judge_score_mean{", metrics)

    def hacked_run(self, folder):
        """Run and evaluation file side by side, as people have them; the classifier that ships is the judge."""
        run = json.loads(MINI_RUN.read_text())
        run["data"]["path"] = str(MINI_RUN.parent / run["data"]["path"])
        evaluation = {"name": "hacked-eval", "arms": ["base"], "data": {"path": str(HELDOUT), "limit": 200}, "sampling": {"do_sample": True, "max_new_tokens": 64},
                      "judges": [{"name": "second", "model": str(MODELS / "mini-toxicity")}]}
        (folder / "hacked.json").write_text(json.dumps(run))
        (folder / "hacked-eval.json").write_text(json.dumps(evaluation))
        return folder / "hacked.json"

    def test_the_best_step_of_a_run_that_was_taken_back_is_found_and_promoted(self):
        with tempfile.TemporaryDirectory(prefix="mellow-e2e-hacked.") as name:
            folder = pathlib.Path(name)
            make_hackable_classifier.make(MODELS / "mini-toxicity", folder / "hackable")
            run_file = self.hacked_run(folder)
            with cluster("--reward-model", folder / "hackable", "--judge-model", MODELS / "mini-toxicity") as c:
                said = mellow("train", run_file, "--dir", c.folder, *sets(["steps=60", *HACKED]), check=1)
                run = self.newest_run(c)
                [trip] = run["guard_trips"]
                for text in (mellow(verb, "--dir", c.folder, check=0).stdout for verb in ("runs", "status")):
                    self.assertIn("its best step is found by: mellow evaluate EVAL.json --steps-of ", " ".join(text.replace(harness.MELLOW, "mellow").split()))
                    assert_narrow(self, text)

                command = re.search(r"its best step is found by: (.*)$", said.stderr, re.MULTILINE)[1]
                self.assertIn(f"{folder}/hacked-eval.json --steps-of {run['run_id']} ", command)
                found = shell(command, folder)
                assert_narrow(self, found.stdout)
                told = json.loads(shell(command + " --json", folder).stdout)
                self.assertEqual(told["judge"], "second")
                best = next(step for step in told["steps"] if step["adapter"] == told["best"])
                self.assertLess(best["step"], trip["good_step"], "the last version within the bounds is not the best one")
                self.assertLess(best["upper"], 0)
                last = told["steps"][-1]
                self.assertFalse(last["holds"], "what the run had come to when it was taken back")
                self.assertIn("rougeL", [gate["name"] for gate in last["gates"] if not gate["passed"]])

                [promote] = commands_in(found.stdout)
                self.assertIn("gate judge", shell(promote, folder).stdout)
                champion = [a for a in json.loads(mellow("adapters", "--dir", c.folder, "--json", check=0).stdout) if a["champion"]]
                self.assertEqual([(a["run_id"], a["step"]) for a in champion], [(run["run_id"], best["step"])])
                answer = json.loads(mellow("summarize", "--dir", c.folder, stdin=DIALOGUE + "\n", check=0).stdout)
                self.assertEqual(answer["adapter"]["sha256"], champion[0]["sha256"])


if __name__ == "__main__":
    harness.main()
