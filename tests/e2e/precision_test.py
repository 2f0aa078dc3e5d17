#!/usr/bin/env python3
"""Runs in bf16, and runs whose policies compute in another precision than the learner."""
import json
import unittest

import harness
from harness import cluster, mellow


def train(c, *assignments):
    """The run as ListRuns tells it, and its self-test's figures."""
    mellow("train", harness.MINI_RUN, "--dir", c.folder, *harness.sets([*harness.SMALL, "steps=2", *assignments]), check=0)
    run = json.loads(mellow("runs", "--dir", c.folder, "--json", check=0).stdout)[-1]
    lines = harness.json_lines((c.folder / "logs/orchestrator.log").read_text())
    of_run = [line for line in lines if line.get("run") == run["run_id"]]
    return run, next(line for line in of_run if line["message"] == "self-test passed"), [line for line in of_run if "another precision" in line["message"]]


class Precision(unittest.TestCase):
    def test_sampler_and_learner_of_bf16_agree_to_the_bit_with_any_number_of_learners(self):
        hashes = set()
        for learners in ("1", "2"):
            with cluster("--dtype", "bf16", "--learners", learners) as c:
                run, figures, told = train(c, "ppo.precision=bf16")
                self.assertEqual(run["state"], "DONE")
                self.assertEqual(figures["sampler_gap"], 0)
                self.assertEqual(figures["reference_gap"], 0)
                self.assertEqual(told, [])
                hashes.add(json.loads(mellow("adapters", "--dir", c.folder, "--json", check=0).stdout)[-1]["sha256"])
        self.assertEqual(len(hashes), 1)

    def test_samplers_of_another_precision_are_corrected_and_said(self):
        # The largest difference of a log-prob that a working sampler of the mini model may have.
        for dtype, most in (("bf16", 0.2), ("int8", 1.0)):
            with cluster("--dtype", dtype) as c:
                run, figures, told = train(c)
                self.assertEqual(run["state"], "DONE")
                self.assertGreater(figures["sampler_gap"], 1e-4, dtype)
                self.assertLess(figures["sampler_gap"], most, dtype)
                self.assertEqual(len(told), 1)
                self.assertIn("importance weights", told[0]["message"])


if __name__ == "__main__":
    harness.main()
