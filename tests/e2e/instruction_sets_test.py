#!/usr/bin/env python3
"""A whole model gives the same bits with every set of kernels that this CPU runs (MELLOW_ISA)."""
import json
import os
import random
import subprocess
import unittest

import harness


def probe(isa, command, model, lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    result = subprocess.run([harness.MELLOW, "probe", command, harness.MODELS / model], input=text, capture_output=True, text=True, timeout=300,
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
        generic = probe("generic", "generate", "mini-summarizer", prompts), probe("generic", "reward", "mini-toxicity", texts)
        # A set that the CPU lacks is not taken, and then this compares the generic one with itself.
        for isa in ("avx2", "avx512"):
            self.assertEqual(probe(isa, "generate", "mini-summarizer", prompts), generic[0], isa)
            self.assertEqual(probe(isa, "reward", "mini-toxicity", texts), generic[1], isa)


if __name__ == "__main__":
    harness.main()
