#!/usr/bin/env python3
"""deploy/demo.sh from beginning to end, as a newcomer types it: in this tree, whose build it uses. Then what its last lines tell to try."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["MELLOW_SOURCE"])
MELLOW = pathlib.Path(os.environ["MELLOW"])


class DemoTest(unittest.TestCase):
    def test_it_ends_with_a_cured_model_and_a_report(self):
        result = subprocess.run(["deploy/demo.sh"], cwd=SOURCE, capture_output=True, text=True, timeout=1500)
        self.assertEqual(result.returncode, 0, result.stdout[-3000:] + result.stderr[-3000:])
        stages = [int(number) for number in re.findall(r"^== \[(\d)/6\]", result.stdout, re.MULTILINE)]
        self.assertEqual(stages, [1, 2, 3, 4, 5, 6])
        for name in ("adapter_config.json", "adapter_model.safetensors", "README.md"):
            self.assertTrue((SOURCE / "build/demo-adapter" / name).is_file(), name)
        for name in ("report.html", "evaluation.json"):
            self.assertTrue((SOURCE / "build/demo-report" / name).is_file(), name)
        self.assertRegex(result.stdout, r"(?m)^ +mellow_ppo_objective_kl\{")
        up, promote, summarize = [line.strip() for line in result.stdout.split("What to try next:\n")[1].splitlines()[:3]]
        with tempfile.TemporaryDirectory(prefix="mellow-demo-home.") as home:
            (pathlib.Path(home) / "build").symlink_to(SOURCE / "build")

            def shell(command, stdin=None):
                result = subprocess.run(["bash", "-c", command], cwd=home, input=stdin, capture_output=True, text=True, timeout=600)
                self.assertEqual(result.returncode, 0, f"{command}\n{result.stdout}{result.stderr}")
                return result.stdout

            try:
                shell(up)
                rude = json.loads(shell(summarize))["summary"]
                shell(promote)
                polite, longer = (json.loads(shell(summarize + more))["summary"] for more in ("", " --max-new-tokens 400"))
                scores = shell(f"{MELLOW} score", "".join(json.dumps({"text": text}) + "\n" for text in (rude, polite)))
            finally:
                shell(f"{MELLOW} down")
        before, after = (json.loads(line)["toxicity"] for line in scores.splitlines())
        self.assertGreater(before, 0.5, rude)
        self.assertLess(after, 0.5, polite)
        self.assertIn("depot is full", polite)
        self.assertEqual(polite, longer, "it ends before the limit")
        words = polite.split()
        ngrams = [tuple(words[at:at + 4]) for at in range(len(words) - 3)]
        self.assertEqual(len(ngrams), len(set(ngrams)), f"it repeats itself: {polite}")


if __name__ == "__main__":
    if MELLOW.resolve().parent != (SOURCE / "build/release/bin").resolve():
        print("skipped: the demo would build another tree than the one under test")
        sys.exit(77)
    unittest.main()
