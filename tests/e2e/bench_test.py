"""`mellow bench` with everything small, and the table of it beside made-up peers: what is measured is not looked at, that it is measured is."""
import json
import re
import subprocess
import sys
import tempfile
import unittest

from harness import MODELS, SOURCE, json_lines, mellow

T5, REWARD = MODELS / "mini-summarizer", MODELS / "mini-toxicity"
DATA = SOURCE / "deploy/runs/mini/train.jsonl"
TABLE = SOURCE / "deploy/tools/bench_table.py"


def bench(*args):
    return json_lines(mellow("bench", *args, check=0).stdout)


class BenchTest(unittest.TestCase):
    def test_every_bench_prints_what_the_table_reads(self):
        rows = bench("generate", T5, "--data", DATA, "--any-length", "--batch", 1, "--batch", 2, "--new", 4, "--repeat", 1, "--threads", 1, "--device", "cpu")
        self.assertEqual([r["batch"] for r in rows], [1, 2])
        rows += bench("reward", REWARD, "--data", DATA, "--any-length", "--texts", 4, "--batch", 2, "--threads", 1, "--device", "cpu")
        ppo = ["ppo", T5, "--reward-model", REWARD, "--data", DATA, "--any-length", "--batch", 4, "--mini-batch", 2, "--lora-r", 2, "--min-new", 4,
               "--max-new", 8, "--threads", 1, "--device", "cpu"]
        rows += bench(*ppo)
        self.assertGreater(rows[-1]["ppo_s"], 0)
        self.assertAlmostEqual(rows[-1]["kl"], 0, places=4)
        small = bench(*ppo, "--until-eos", "--response-only", "--epochs", 2, "--steps", 2)
        self.assertEqual([r["step"] for r in small], [1, 2])
        self.assertLessEqual(small[0]["response_tokens"], 4 * 8)
        self.assertNotEqual(small[0]["query_tokens"], small[1]["query_tokens"], "each step has prompts of its own")
        rows += small
        hardware = bench("hardware", "--device", "cpu", "--threads", 1, "--size", 64, "--seconds", 0.01)
        self.assertEqual({r["hardware"] for r in hardware}, {"machine", "gemm", "memory"})
        engines = {r["engine"] for r in hardware if r["hardware"] == "gemm"}
        self.assertLessEqual({"mellow-float32", "mellow-bfloat16", "mellow-int8", "libtorch-float32"}, engines)
        rows += hardware
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
            file.flush()
            page = subprocess.run([sys.executable, "-B", TABLE, file.name], capture_output=True, text=True, check=True).stdout
        for title in ("Machine: ", "greedy generation", "reward scoring", "one PPO step", "PPO step of the small models", "memory, read"):
            self.assertIn(title, page)

    def test_too_few_dialogues_are_said(self):
        result = mellow("bench", "reward", REWARD, "--data", DATA, "--texts", 1 << 20, "--any-length", check=1)
        self.assertRegex(result.stderr, r"only [\d,]+ dialogues")


class TableTest(unittest.TestCase):
    PEERS = [
        {"engine": "hf", "batch": 16, "tokens_per_s": 80.0},
        {"engine": "ct2-float32", "batch": 16, "tokens_per_s": 100.0},
        {"engine": "ct2-int8", "batch": 16, "tokens_per_s": 200.0},
        {"engine": "ct2-int8", "batch": 16, "tokens_per_s": 150.0},
        {"engine": "mellow", "batch": 16, "tokens_per_s": 300.0},
        {"engine": "mellow-int8", "batch": 16, "tokens_per_s": 500.0},
        {"peer": "trl-0.11.3", "dtype": "float32", "generate": "seed", "generate_s": 9.0, "reward_s": 1.0, "ppo_s": 40.0, "step_s": 50.0},
        {"peer": "trl-0.11.3", "dtype": "bfloat16", "generate": "batched", "generate_s": 4.0, "reward_s": 1.0, "ppo_s": 15.0, "step_s": 20.0},
        {"peer": "mellow", "generate_s": 1.0, "reward_s": 1.0, "reference_s": 1.0, "ppo_s": 2.0, "step_s": 5.0, "step": None},
        *({"step": s, "seconds": 9.0 if s == 1 else 1.2, "ppo_s": 1.0} for s in (1, 2, 3)),
        *({"peer": "mellow", "step": s, "step_s": 5.0 if s == 1 else 0.3, "ppo_s": 0.2} for s in (1, 2, 3)),
        {"hardware": "gemm", "engine": "mellow-float32", "device": "cpu", "gflops": 430.0},
        {"hardware": "memory", "threads": 2, "read_gb_per_s": 40.0},
    ]

    def table(self, *args):
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
            file.write("Loading weights...\n")  # peers print other things too
            file.writelines(json.dumps(row) + "\n" for row in self.PEERS)
            file.flush()
            command = [sys.executable, "-B", TABLE, *args, file.name]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def test_the_best_setting_of_each_peer_against_our_best(self):
        page = self.table("--machine", "a test")
        self.assertIn("Machine: a test.", page)
        self.assertIn("| 16 | ct2-int8 | 200.0 tokens/s | 2.50 |", page)
        self.assertIn("| 16 | hf-float32 | 80.0 tokens/s | 6.25 |", page)
        self.assertIn("| 16 | mellow-int8 | 500.0 tokens/s |  |", page)
        self.assertNotIn("ct2-float32", page)
        self.assertIn("| trl-0.11.3-bfloat16-batched | 4.0 s | 1.0 s |  | 15.0 s | 20.0 s | 4.00 |", page)
        self.assertIn("| trl | 1.00 s | 1.20 s | 4.00 |", page, "the median of the steps after the first")
        self.assertIn("| memory, read | 40.0 GB/s |", page)
        for line in page.splitlines():
            if line.startswith("|---"):
                self.assertTrue(re.fullmatch(r"\|(---\|)+", line))

    def test_all_settings(self):
        page = self.table("--all")
        self.assertIn("ct2-float32", page)
        self.assertIn("trl-0.11.3-float32-seed", page)

    def test_commands_are_run_and_kept(self):
        with tempfile.TemporaryDirectory() as folder:
            log = f"{folder}/log.jsonl"
            line = json.dumps(self.PEERS[0])
            command = [sys.executable, "-B", TABLE, "--log", log, "--run", f"echo '{line}'"]
            page = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            self.assertIn("hf-float32", page)
            with open(log, encoding="utf-8") as file:
                self.assertEqual(json_lines(file.read()), [self.PEERS[0]])
        failed = subprocess.run([sys.executable, "-B", TABLE, "--run", "exit 3"], capture_output=True, text=True)
        self.assertIn("exit code 3", failed.stderr)
        self.assertEqual(failed.returncode, 1)


if __name__ == "__main__":
    unittest.main(verbosity=1)
