#!/usr/bin/env python3
"""deploy/demo.sh from beginning to end, as a newcomer types it: in this tree, whose build it uses."""
import os
import pathlib
import re
import subprocess
import sys
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
        self.assertIn("What to try next:", result.stdout)


if __name__ == "__main__":
    if MELLOW.resolve().parent != (SOURCE / "build/release/bin").resolve():
        print("skipped: the demo would build another tree than the one under test")
        sys.exit(77)
    unittest.main()
