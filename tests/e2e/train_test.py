#!/usr/bin/env python3
"""One seed, one final adapter: whatever the number of policies, and whatever dies on the way."""
import json
import pathlib
import signal
import unittest

import harness
from harness import SMALL, alive, cluster, json_lines, mellow

STEP_FIELDS = ["adapter", "advantages_mean", "objective_kl", "returns_mean", "score_mean", "seconds", "step", "toxicity_mean"]


class Train(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """The undisturbed run with one policy that the others are compared with."""
        with cluster() as c:
            cls.steps, cls.done = c.train(SMALL)
            cls.path_files = sorted(p.name for p in pathlib.Path(cls.done["path"]).iterdir())
            cls.other_seed = c.train([*SMALL, "seed=6", "steps=1"])[1]["adapter"]["sha256"]
            cls.other_first = c.train([*SMALL, "steps=1"])[1]["adapter"]["sha256"]

    def test_every_step_and_the_end_have_the_promised_shape(self):
        self.assertEqual([s["step"] for s in self.steps], [1, 2, 3, 4, 5])
        for step in self.steps:
            self.assertEqual(sorted(step), STEP_FIELDS)
            self.assertRegex(step["adapter"]["sha256"], "^[0-9a-f]{64}$")
            for field in STEP_FIELDS:
                if field not in ("adapter", "step"):
                    self.assertIsInstance(step[field], float, field)
        versions = [s["adapter"]["version"] for s in self.steps]
        self.assertEqual(versions, sorted(set(versions)))
        self.assertEqual(sorted(self.done), ["adapter", "done", "path"])
        self.assertIs(self.done["done"], True)
        self.assertEqual(self.done["adapter"], self.steps[-1]["adapter"])
        self.assertIn("adapter_config.json", self.path_files)
        self.assertIn("adapter_model.safetensors", self.path_files)

    def test_kl_to_the_start_is_zero_at_first(self):
        self.assertAlmostEqual(self.steps[0]["objective_kl"], 0, delta=1e-3)

    def test_the_seed_decides(self):
        self.assertEqual(self.other_first, self.steps[0]["adapter"]["sha256"])
        self.assertNotEqual(self.other_seed, self.other_first)

    def test_two_policies_give_the_same_adapter_whatever_is_killed(self):
        with cluster("--policies", "2") as c:
            run = c.start_train(SMALL)
            # One service dies after each step; by then the next step is in some phase or other.
            victims = {1: "policy-0", 2: "learner", 3: "reward-0", 4: "orchestrator"}
            killed = []
            lines = []
            for line in run.stdout:
                lines.append(json.loads(line))
                victim = victims.pop(lines[-1].get("step"), None)
                if victim:
                    killed.append((victim, c.kill(victim)))
            errors = run.stderr.read()
            self.assertEqual(run.wait(timeout=300), 0, errors)
            self.assertEqual([s["adapter"]["sha256"] for s in lines[:-1]], [s["adapter"]["sha256"] for s in self.steps])
            self.assertEqual([s["step"] for s in lines[:-1]], [1, 2, 3, 4, 5])
            self.assertEqual(lines[-1]["adapter"]["sha256"], self.done["adapter"]["sha256"])
            self.assertEqual(len(killed), 4)
            for name, pid in killed:
                c.wait_restarted(name, pid)
            # Every policy serves the final adapter.
            final = lines[-1]["adapter"]["version"]

            def everywhere():
                adapters = json.loads(mellow("adapters", "--dir", c.folder, "--json", check=0).stdout)
                return any(a["version"] == final and a["nodes"] == ["policy-0", "policy-1"] for a in adapters)
            harness.wait_until(everywhere, "both policies have the final adapter")
            for _ in range(4):  # in turn
                row = json.dumps({"dialogue": "#Person1#: Hello.\n#Person2#: Hello."})
                answer = json_lines(mellow("summarize", "--dir", c.folder, "--adapter", "newest", stdin=row, check=0).stdout)[0]
                self.assertEqual(answer["adapter"], lines[-1]["adapter"])
                base = json_lines(mellow("summarize", "--dir", c.folder, "--adapter", "base", stdin=row, check=0).stdout)[0]
                self.assertEqual(base["adapter"], {"version": 0, "sha256": ""})

    def test_an_interrupted_or_killed_command_is_resumed_and_a_restarted_cluster_too(self):
        with cluster() as c:
            lines = []
            # Ctrl-C after the first step.
            run = c.start_train(SMALL)
            lines.append(json.loads(run.stdout.readline()))
            run.send_signal(signal.SIGINT)
            rest, errors = run.communicate(timeout=300)
            lines += json_lines(rest)
            self.assertEqual(run.returncode, 130, errors)
            self.assertIn("--resume", errors)
            # What was begun is finished first.
            harness.wait_until(lambda: c.status()["run"]["state"] == "STOPPED", "the run has stopped")

            # Killed after the next one: the run goes on without it.
            run = c.start_train(SMALL, "--resume")
            lines.append(json.loads(run.stdout.readline()))
            run.kill()
            rest = run.communicate(timeout=60)[0]
            lines += json_lines(rest)
            # The whole cluster goes down and comes back: the ledger stays.
            pids = c.pids()
            c.down()
            self.assertEqual([p for p in pids if alive(p)], [])
            c.up()

            refused = mellow(*c.train_args([*SMALL, "seed=9"], "--resume"), check=1)
            self.assertIn("seed", refused.stderr)

            steps, done = c.train(SMALL, "--resume")
            lines += steps
            # Each step is shown, in order; the one during which the command was killed perhaps twice.
            numbers = [s["step"] for s in lines]
            self.assertEqual(sorted(set(numbers)), [1, 2, 3, 4, 5])
            self.assertEqual(numbers, sorted(numbers))
            self.assertLessEqual(len(numbers), 6)
            hashes = {s["step"]: s["adapter"]["sha256"] for s in lines}
            self.assertEqual([hashes[i] for i in range(1, 6)], [s["adapter"]["sha256"] for s in self.steps])
            self.assertEqual(done["adapter"]["sha256"], self.done["adapter"]["sha256"])
            # Done already: the same command says so again.
            steps, done = c.train(SMALL, "--resume")
            self.assertEqual(steps, [])
            self.assertEqual(done["adapter"]["sha256"], self.done["adapter"]["sha256"])


if __name__ == "__main__":
    harness.main()
