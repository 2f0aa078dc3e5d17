#!/usr/bin/env python3
"""The notebook's run file, made small, on DialogSum with the real tokenizers and random weights of the real shapes. Skipped without them."""
import json
import math
import pathlib
import struct
import sys
import tempfile
import unittest

import harness
import random_checkpoint
from harness import OUTSIDE_DATA, SOURCE, cluster, json_lines, mellow, sets

NOTEBOOK_RUN = SOURCE / "deploy/runs/dialogsum-flan-t5-base.json"
NOTEBOOK_EVALUATION = SOURCE / "deploy/runs/dialogsum-flan-t5-base-eval.json"
SMALL = ["steps=2", "ppo.batch_size=4", "ppo.mini_batch_size=2", "generation.length_sampler_min=8", "generation.length_sampler_max=12", "shard_prompts=2"]


def shapes(path):
    """Name -> shape of a safetensors file."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    header.pop("__metadata__", None)
    return {name: tensor["shape"] for name, tensor in header.items()}


class NotebookRun(unittest.TestCase):
    def test_two_steps_on_dialogsum(self):
        data = OUTSIDE_DATA / "dialogsum/dialogsum.train.jsonl"
        with tempfile.TemporaryDirectory(prefix="mellow-e2e-models.") as models:
            policy = random_checkpoint.flan_t5_base(OUTSIDE_DATA, pathlib.Path(models) / "flan-t5-base")
            reward = random_checkpoint.roberta_hate(OUTSIDE_DATA, pathlib.Path(models) / "roberta-hate-speech")
            with cluster("--policy-model", policy, "--reward-model", reward) as c:
                run = mellow("train", NOTEBOOK_RUN, "--dir", c.folder, "--json", *sets([*SMALL, f"data.path={data}"]), timeout=900, check=0)
                *steps, done = json_lines(run.stdout)
                self.assertEqual([s["step"] for s in steps], [1, 2])
                # The reference is the starting adapter; 1e-4 is the bound on the log-probs of the two engines.
                self.assertAlmostEqual(steps[0]["objective_kl"], 0, delta=1e-3)
                self.assertGreater(steps[1]["objective_kl"], steps[0]["objective_kl"], "the first update moved the policy")
                self.assertNotEqual(steps[0]["adapter"]["sha256"], steps[1]["adapter"]["sha256"])
                self.assertEqual(done["adapter"], steps[1]["adapter"])
                for step in steps:
                    self.assertTrue(0 < step["toxicity_mean"] < 1, step)

                adapter = pathlib.Path(done["path"])
                config = json.loads((adapter / "adapter_config.json").read_text())
                self.assertEqual((config["r"], config["lora_alpha"], sorted(config["target_modules"])), (32, 32, ["q", "v"]))
                tensors = shapes(adapter / "adapter_model.safetensors")
                self.assertEqual(sum(map(math.prod, tensors.values())), 3_538_944, "the notebook's trainable parameters")

                # The cluster serves what it trained.
                first = json.loads(data.read_text().splitlines()[0])["dialogue"]
                answer = json_lines(mellow("summarize", "--dir", c.folder, "--adapter", "newest", "--max-new-tokens", "8", stdin=json.dumps({"dialogue": first}), check=0).stdout)[0]
                self.assertEqual(answer["adapter"], done["adapter"])
                # And it can be the start of another run, whose KL is then to it.
                again = mellow("train", NOTEBOOK_RUN, "--dir", c.folder,
                               *sets([*SMALL, "steps=1", "ppo.lora=", f"data.path={data}", f"start_adapter={adapter}"]), timeout=900, check=0).stdout
                self.assertIn("10,022 after the filter", " ".join(again.split()))
                self.assertIn("8,017 to train on, 2,005 held out", " ".join(again.split()))
                self.assertIn("Summarize the following conversation.", again, "an example")
                self.assertIn("trainable params: 3,539,713 || all params: 251,117,569 || trainable%: 1.4096", again)
                row = next(line.split() for line in again.splitlines() if line.lstrip().startswith("1/1 "))
                self.assertAlmostEqual(float(row[3]), 0, delta=1e-3)

                # What that run began with is an arm, measured alone as the notebook does before training, on its text.
                measured = json.loads(mellow("evaluate", NOTEBOOK_EVALUATION, "--dir", c.folder, "--json", "--out", pathlib.Path(models) / "before",
                                             *sets([f"data.path={data}", "data.limit=2", "arms=start", "sampling.max_new_tokens=8", "statistics.resamples=100"]),
                                             timeout=900, check=0).stdout)
                self.assertEqual([arm["sha256"] for arm in measured["arms"]], [done["adapter"]["sha256"]])
                self.assertEqual(measured["scorings"][0]["text"], "{query with special tokens} {response}")
                self.assertEqual((measured["config"]["prompts"], measured["comparisons"]), (2, []))

    def test_dialogsum_is_described(self):
        path = OUTSIDE_DATA / "dialogsum/dialogsum.test.jsonl"
        d = json.loads(mellow("data", "describe", path, "--summary-column", "summary1", "--json", check=0).stdout)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        self.assertEqual(d["rows"], len(lines))
        self.assertEqual(d["described"]["dialogue"]["characters"]["max"], max(len(row["dialogue"]) for row in lines))
        self.assertEqual(len(d["duplicates"]), len(lines) - len({row["dialogue"] for row in lines}))


if __name__ == "__main__":
    if not (OUTSIDE_DATA / "dialogsum/dialogsum.train.jsonl").exists():
        print("skipped: DialogSum and the real tokenizers are not in MELLOW_TEST_DATA")
        sys.exit(77)
    harness.main()
