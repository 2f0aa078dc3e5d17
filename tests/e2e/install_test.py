#!/usr/bin/env python3
"""`cmake --install`: the programs under a prefix find each other and the models that ship, and bash completes their commands."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import harness


class Install(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mellow-install."))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.prefix = self.folder / "prefix"
        subprocess.run([os.environ["CMAKE"], "--install", os.environ["MELLOW_BUILD"], "--prefix", self.prefix], check=True, capture_output=True, timeout=120)

    def run_installed(self, *args, stdin=""):
        result = subprocess.run([self.prefix / "bin/mellow", *map(str, args)], cwd=self.folder, input=stdin, capture_output=True, text=True, timeout=300)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_a_cluster_of_what_was_installed(self):
        self.addCleanup(subprocess.run, [self.prefix / "bin/mellow", "down"], cwd=self.folder, capture_output=True)
        self.run_installed("up", "--drain-seconds", "1")
        processes = [pathlib.Path(f"/proc/{service['pid']}/cmdline").read_bytes().decode().split("\0") for service in harness.Cluster(self.folder / ".mellow").file()["services"]]
        self.assertGreaterEqual(len(processes), 4)
        for words in processes:
            self.assertEqual(pathlib.Path(words[0]).parent, self.prefix / "bin")
            models = [word for word in words if "/models/" in word]
            self.assertEqual([pathlib.Path(model).parent for model in models], [self.prefix / "share/mellow/models"])
        summary = self.run_installed("summarize", "--text", stdin="Anna: Is the car ready?\nTom: On Friday.\n")
        self.assertTrue(summary.strip())
        run = self.prefix / "share/mellow/runs/mini.json"
        self.assertIn("1,500 rows", self.run_installed("data", "describe", "--run", run))
        self.run_installed("down")

    def test_bash_completes(self):
        script = self.prefix / "share/bash-completion/completions/mellow"
        result = subprocess.run(["bash", "-c", f"source '{script}' && complete -p mellow && COMP_WORDS=(mellow up --pol) COMP_CWORD=2 && _mellow && echo \"${{COMPREPLY[@]}}\""],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.splitlines()[1].split(), ["--policies", "--policy-model"])


if __name__ == "__main__":
    harness.main()
