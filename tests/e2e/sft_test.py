#!/usr/bin/env python3
"""Supervised fine-tuning in real processes: one seed, one adapter, whatever is killed; PPO starts from the result."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import unittest

import harness
from harness import MELLOW, SMALL, SOURCE, assert_narrow, cluster, json_lines, mellow, sets

SFT_RUN = SOURCE / "deploy/runs/mini-sft.json"


def run_file(folder):
    """The committed run in a few steps (a number that is set cannot be unset by --set)."""
    spec = json.loads(SFT_RUN.read_text())
    spec["data"].update(path=str(SFT_RUN.parent / spec["data"]["path"]), max_chars=300, dev_fraction=0.02)
    spec["lora"]["r"] = 4
    del spec["epochs"]
    spec.update(max_steps=12, eval_every=6, checkpoint_every=4)
    path = pathlib.Path(folder) / "few.json"
    path.write_text(json.dumps(spec))
    return path


class Sft(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.file = run_file(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def args(self, c, *flags):
        return ["sft", self.file, "--dir", c.folder, "--json", *flags]

    def start(self, c, *flags):
        return subprocess.Popen([MELLOW, *map(str, self.args(c, *flags))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_killed_learner_and_command_end_with_the_same_adapter_and_ppo_starts_from_it(self):
        with cluster() as c:
            lines = json_lines(mellow(*self.args(c), check=0).stdout)
            start, steps, done = lines[0], lines[1:-1], lines[-1]
            self.assertEqual([s["step"] for s in steps], list(range(13)))
            self.assertNotIn("loss", steps[0])
            self.assertEqual([s["step"] for s in steps if "dev_loss" in s], [0, 6, 12])
            self.assertLess(done["best_dev_loss"], steps[0]["dev_loss"])
            self.assertLess(start["trainable_parameters"], start["all_parameters"])
            self.assertEqual(sorted(p.name for p in pathlib.Path(done["path"]).iterdir()), ["README.md", "adapter_config.json", "adapter_model.safetensors"])

            # For people.
            text = mellow(*[word for word in self.args(c) if word != "--json"], "--set", "max_steps=1", check=0).stdout
            self.assertIn("done: 1 step\n", text.replace("; lowest", "\n"))
            assert_narrow(self, text)

            # The learner is killed between two checkpoints; the command goes on by itself.
            run = self.start(c)
            shown = [json.loads(run.stdout.readline()) for _ in range(7)]
            self.assertEqual(shown[-1]["step"], 5)
            pid = c.kill("learner")
            rest, errors = run.communicate(timeout=300)
            self.assertEqual(run.returncode, 0, errors)
            shown += json_lines(rest)
            c.wait_restarted("learner", pid)
            self.assertEqual([s["step"] for s in shown[1:-1]], list(range(13)))
            self.assertEqual([s.get("loss") for s in shown[1:-1]], [s.get("loss") for s in steps])
            self.assertEqual([s.get("dev_loss") for s in shown[1:-1]], [s.get("dev_loss") for s in steps])
            self.assertEqual(shown[-1]["sha256"], done["sha256"])
            self.assertNotEqual(shown[-1]["path"], done["path"])

            # The command is killed, and then the learner too; --resume goes on.
            run = self.start(c)
            for _ in range(4):
                run.stdout.readline()
            run.kill()
            run.communicate(timeout=60)
            pid = c.kill("learner")
            c.wait_restarted("learner", pid)
            refused = mellow(*self.args(c, "--resume", "--set", "seed=9"), check=1)
            self.assertIn("seed", refused.stderr)
            resumed = json_lines(mellow(*self.args(c, "--resume"), check=0).stdout)
            self.assertEqual(resumed[-1]["sha256"], done["sha256"])
            self.assertGreaterEqual(resumed[1].get("step", 12), 2, "what was shown is not shown again")

            # Ctrl-C, then --resume.
            run = self.start(c)
            for _ in range(3):
                run.stdout.readline()
            run.send_signal(signal.SIGINT)
            errors = run.communicate(timeout=300)[1]
            if run.returncode != 0:  # the run may have been done before the signal came
                self.assertEqual(run.returncode, 130, errors)
                self.assertIn("--resume", errors)
            resumed = json_lines(mellow(*self.args(c, "--resume"), check=0).stdout)
            self.assertEqual(resumed[-1]["sha256"], done["sha256"])

            # The orchestrator is killed: the learner goes on, and so does the command. The run file has the method in it.
            whole = self.file.parent / "whole.json"
            whole.write_text(json.dumps({"name": "whole", "sft": json.loads(self.file.read_text())}))
            run = subprocess.Popen([MELLOW, "train", whole, "--dir", c.folder, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            shown = [json.loads(run.stdout.readline()) for _ in range(4)]
            pid = c.kill("orchestrator")
            rest, errors = run.communicate(timeout=300)
            self.assertEqual(run.returncode, 0, errors)
            c.wait_restarted("orchestrator", pid)
            shown += json_lines(rest)
            self.assertEqual([s["step"] for s in shown[1:-1]], list(range(13)))
            self.assertEqual(shown[-1]["sha256"], done["sha256"])
            newest = c.status()["run"]
            self.assertEqual((newest["run_id"], newest["name"], newest["method"], newest["state"], newest["step"], newest["steps"], newest["path"]),
                             (shown[0]["run_id"], "whole", "sft", "DONE", 12, 12, shown[-1]["path"]))
            self.assertEqual(len(c.status()["runs"]), 6)

            # PPO starts from the adapter, and its reference is that adapter.
            ppo, end = c.train([*SMALL, "steps=1", f"start_adapter={done['path']}", "ppo.lora="])
            self.assertAlmostEqual(ppo[0]["objective_kl"], 0, delta=1e-3)
            self.assertNotEqual(end["adapter"]["sha256"], done["sha256"])

    def test_bad_input_is_one_line_that_names_it(self):
        with cluster() as c:
            folder = pathlib.Path(self.folder.name)
            empty = folder / "empty.csv"
            empty.write_text("")
            gap = folder / "gap.csv"
            gap.write_text("dialogue,summary\na,b\nc,\n")
            for flags, parts in ((["data.path=/nowhere.csv"], ["data.path", "/nowhere.csv"]), (["data.summary_column=gist"], ["data.summary_column", "gist"]),
                                 ([f"data.path={empty}"], ["data.path", str(empty)]), ([f"data.path={gap}", "data.max_chars=100"], [str(gap), "line 3"]),
                                 (["precision=int8"], ["precision", "int8"]), (["batch_size=0"], ["batch_size: 0"]), (["epoch=1"], ["epoch"]),
                                 (["start_adapter=/none", "lora="], ["start_adapter", "/none"]), (["lora.target_modules=query"], ["query"])):
                result = mellow(*self.args(c), *sets(flags), check=1)
                self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
                for part in parts:
                    self.assertIn(part, result.stderr)
            self.assertEqual(c.status()["runs"], [], "what was refused was not made")
            self.assertIn("mellow sft", mellow("train", self.file, "--dir", c.folder, check=1).stderr)
            # A loss that explodes stops the run and says so.
            result = mellow(*self.args(c), *sets(["optimizer.learning_rate=9e29", "lora.lora_alpha=1e9", "data.dev_fraction=0"]), check=1)
            self.assertIn("not finite", result.stderr)
        self.assertIn("no cluster", mellow("sft", self.file, "--dir", os.path.join(self.folder.name, "none"), check=1).stderr)


if __name__ == "__main__":
    harness.main()
