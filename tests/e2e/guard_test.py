#!/usr/bin/env python3
"""A run whose guard takes it back, over a real cluster with a judge: what is served, what is told, and that it goes on from there."""
import json
import pathlib
import shutil
import tempfile
import unittest
import urllib.request

import harness
from harness import MODELS, SMALL, cluster, json_lines, mellow

# No response is that long: every window fails, at the steps 2, 4 and 6.
GUARD = ["steps=8", "guard.window=2", "guard.min_response_tokens=1000", "guard.action=continue", "guard.max_trips=1", "guard.judge.share=0.5", "guard.judge.label=LABEL_0"]
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


if __name__ == "__main__":
    harness.main()
