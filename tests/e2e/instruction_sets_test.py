#!/usr/bin/env python3
"""A whole model gives the same bits with every set of kernels that this CPU runs (MELLOW_ISA)."""
import json
import os
import pathlib
import random
import subprocess
import tempfile
import unittest

import harness


def probe(isa, command, model, lines, *options):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    result = subprocess.run([harness.MELLOW, "probe", command, harness.MODELS / model, *map(str, options)], input=text, capture_output=True, text=True, timeout=300,
                            env={**os.environ, "MELLOW_ISA": isa})
    if result.returncode != 0:
        raise AssertionError(f"{isa}: {result.stderr}")
    return result.stdout


class InstructionSets(unittest.TestCase):
    def test_generation_and_scores_are_the_same_to_the_bit(self):
        draw = random.Random(7)
        prompts = [{"source_ids": [draw.randrange(5, 300) for _ in range(length)] + [1], "max_new_tokens": 24, "do_sample": True, "seed": length}
                   for length in (1, 17, 64, 300)]
        texts = [{"text": "You are a stupid idiot. " * n} for n in (1, 7)]
        for dtype in ("float32", "bfloat16", "int8"):
            def answers(isa):
                return (probe(isa, "generate", "mini-summarizer", prompts, "--dtype", dtype), probe(isa, "reward", "mini-toxicity", texts, "--dtype", dtype))

            generic = answers("generic")
            # A set that the CPU lacks is not taken, and then this compares a lesser one with the generic.
            for isa in ("avx2", "avx512", "avx512_bf16", "amx"):
                self.assertEqual(answers(isa), generic, f"{isa}, {dtype}")

    def test_training_is_the_same_to_the_bit_with_any_kernels_and_threads(self):
        draw = random.Random(8)
        ids = lambda most: [draw.randrange(5, 300) for _ in range(draw.randrange(1, most))] + [1]
        steps = [{"queries": [ids(120) for _ in range(4)], "responses": [ids(70) for _ in range(4)],
                  "scores": [draw.uniform(-1, 1) for _ in range(4)]} for _ in range(2)]
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder, "ppo.json")
            config.write_text(json.dumps({"batch_size": 4, "mini_batch_size": 2, "ppo_epochs": 2, "learning_rate": 1e-3, "seed": 3,
                                          "lora": {"r": 4, "lora_alpha": 8, "target_modules": ["q", "v", "wo"]}}))

            def train(isa, threads):
                out = pathlib.Path(folder, f"{isa}-{threads}")
                probe(isa, "ppo", "mini-summarizer", steps, "--config", config, "--out", out, "--threads", threads)
                return [(out / name).read_bytes() for name in ("adapter_model.safetensors", "value_head.safetensors")]

            generic = train("generic", 1)
            for isa, threads in (("generic", 2), ("avx2", 1), ("avx2", 3), ("avx512", 2), ("avx512_bf16", 2), ("amx", 2)):
                self.assertEqual(train(isa, threads), generic, f"{isa}, {threads} threads")


if __name__ == "__main__":
    harness.main()
