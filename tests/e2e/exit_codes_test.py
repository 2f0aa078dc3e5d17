#!/usr/bin/env python3
"""The README's table of exit codes, line by line: each code that it names, for each command that it names."""
import json
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import harness
from harness import MELLOW, MINI_RUN, MODELS, SMALL, SOURCE, cluster, mellow, sets

POLICY, REWARD = MODELS / "mini-summarizer", MODELS / "mini-toxicity"
EVAL = MINI_RUN.parent / "mini-eval.json"
FEW = sets(["data.limit=8", "statistics.resamples=100", "statistics.permutations=100"])
PPO = {"batch_size": 2, "mini_batch_size": 2, "lora": {"r": 2, "lora_alpha": 4, "target_modules": ["q", "v"]}}
# The filters, with a line that each can answer.
LOCAL = {
    ("tokenize", REWARD): {"text": "Good morning."},
    ("detokenize", REWARD): {"ids": [5, 6]},
    ("rouge",): {"prediction": "Tom is late.", "references": ["Tom comes late."]},
    ("probe", "policy", POLICY): {"source_ids": [5, 1], "target_ids": [7, 1]},
    ("probe", "generate", POLICY): {"source_ids": [5, 1], "max_new_tokens": 4},
    ("probe", "reward", REWARD): {"text": "Well done."},
    ("probe", "ppo", POLICY, "--config", "PPO"): {"queries": [[5, 6, 1], [7, 8, 1]], "responses": [[9, 1], [10, 11, 1]], "scores": [0.5, -0.5]},
}
SERVED = {("summarize",): {"dialogue": "Anna: Is the car ready?\nTom: On Friday."}, ("score",): {"text": "You moron."}}


def table():
    """What the README says of each code."""
    return {int(code): text for code, text in re.findall(r"^\| (\d+) \| (.*) \|$", (SOURCE / "README.md").read_text(), re.MULTILINE)}


class ExitCodes(unittest.TestCase):
    def test_the_table_has_the_codes_that_are_tested_here(self):
        codes = table()
        self.assertEqual(sorted(codes), [0, 1, 2, 3, 130])
        for command in (*LOCAL, *SERVED):
            self.assertIn(f"`{command[0]}`", codes[0])
        for code, parts in {1: ("`train`", "`sft`", "`watch`", "`resume`", "`--strict`", "`rouge --aggregate`"), 3: ("`promote`", "`--require-drop`", "`--max-rouge-loss`", "`--steps-of`"),
                            130: ("`watch`", "`train`", "`sft`", "`resume`")}.items():
            for part in parts:
                self.assertIn(part, codes[code])

    def filter(self, command, line, *flags):
        """0, 1 and --strict, for lines that are good, bad, both and none."""
        good, bad = json.dumps(line) + "\n", "{}\n"
        for stdin, strict, code in ((good, False, 0), (good + bad, False, 0), (bad, False, 1), ("", False, 0), (good, True, 0), (good + bad, True, 1), ("", True, 0)):
            with self.subTest(command=[*map(str, command)], stdin=stdin, strict=strict):
                result = mellow(*command, *flags, *(["--strict"] if strict else []), stdin=stdin, check=code)
                said = f"mellow: 1 of {'2 lines' if stdin == good + bad else '1 line'} failed\n" if bad in stdin else ""
                self.assertEqual(result.stderr, said)

    def test_filters_without_a_server(self):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "ppo.json"
            config.write_text(json.dumps(PPO))
            for command, line in LOCAL.items():
                self.filter([config if word == "PPO" else word for word in command], line)
        line = json.dumps(LOCAL[("rouge",)]) + "\n"
        mellow("rouge", "--aggregate", stdin=line * 2, check=0)
        mellow("rouge", "--aggregate", stdin=line + "{}\n", check=1)
        mellow("tokenize", "--strictly", REWARD, check=2)
        mellow("frobnicate", check=2)

    def follow(self, c, *command):
        """A command that shows the steps of a run, when it has shown one."""
        process = subprocess.Popen([MELLOW, *map(str, command), "--dir", str(c.folder), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn("step", process.stdout.readline())
        return process

    def ends(self, process, code):
        errors = process.communicate(timeout=120)[1]
        self.assertEqual(process.returncode, code, errors)

    def test_of_a_cluster(self):
        with cluster() as c, tempfile.TemporaryDirectory() as folder:
            for command, line in SERVED.items():
                self.filter(command, line, "--dir", c.folder)
            c.unreachable(folder)
            for command, line in SERVED.items():
                for stdin in ("", json.dumps(line) + "\n"):
                    result = mellow(*command, "--dir", folder, "--patience", "1", stdin=stdin, check=1)
                    self.assertTrue(result.stderr, "says why")

            version = c.train([*SMALL, "steps=1"])[1]["adapter"]["version"]
            mellow("promote", version, "--dir", c.folder, check=3)
            for flags in (["--require-drop", "0.99"], ["--max-rouge-loss", "0"], ["--steps-of", "newest"]):
                mellow("evaluate", EVAL, "--dir", c.folder, *FEW, *flags, check=3)
            mellow("evaluate", EVAL, "--dir", c.folder, *FEW, check=0)
            mellow("promote", version, "--dir", c.folder, "--force", check=0)

            train = self.follow(c, "train", MINI_RUN, *sets([*SMALL, "steps=2000"]))
            watch = self.follow(c, "watch")
            watch.send_signal(signal.SIGINT)
            self.ends(watch, 130)
            train.send_signal(signal.SIGINT)
            self.ends(train, 130)
            mellow("watch", "--dir", c.folder, check=1)
            resume = self.follow(c, "resume")
            resume.send_signal(signal.SIGINT)
            self.ends(resume, 130)
            # Stopped by somebody else.
            resume, watch = self.follow(c, "resume"), self.follow(c, "watch")
            mellow("stop", "--dir", c.folder, check=0)
            self.ends(resume, 1)
            self.ends(watch, 1)
            train = self.follow(c, "train", MINI_RUN, *sets([*SMALL, "steps=2000"]))
            mellow("stop", "--dir", c.folder, check=0)
            self.ends(train, 1)
            sft = ("sft", MINI_RUN.parent / "mini-sft.json", *sets(["epochs=", "max_steps=2000"]))
            supervised = self.follow(c, *sft)
            supervised.send_signal(signal.SIGINT)
            self.ends(supervised, 130)
            supervised = self.follow(c, *sft)
            mellow("stop", "--dir", c.folder, check=0)
            self.ends(supervised, 1)
            self.a_run_that_failed(c, pathlib.Path(folder))

    def a_run_that_failed(self, c, folder):
        """Its data are gone when the orchestrator comes back."""
        data = folder / "train.jsonl"
        shutil.copy(MINI_RUN.parent / "mini/train.jsonl", data)
        train = self.follow(c, "train", MINI_RUN, *sets([*SMALL, "steps=2000", f"data.path={data}"]))
        watch = self.follow(c, "watch")
        data.unlink()
        c.wait_restarted("orchestrator", c.kill("orchestrator"))
        self.ends(train, 1)
        self.ends(watch, 1)
        self.assertEqual(json.loads(mellow("runs", "--json", "--dir", c.folder, check=0).stdout)[0]["state"], "FAILED")
        mellow("watch", "--dir", c.folder, check=1)
        self.assertIn("train.jsonl", mellow("resume", "--dir", c.folder, check=1).stderr)


if __name__ == "__main__":
    harness.main()
