#!/usr/bin/env python3
"""A policy node that has other weights than the learner gets no work, whatever it says of itself; and a run can start where another ended."""
import json
import pathlib
import shutil
import struct
import subprocess
import tempfile
import unittest
import urllib.request

import harness
from harness import MODELS, SMALL, cluster, wait_until


def other_weights(folder):
    """The shipped summarizer with the halves of one matrix exchanged: the same shapes, another function."""
    shutil.copytree(MODELS / "mini-summarizer", folder)
    path = pathlib.Path(folder) / "model.safetensors"
    data = bytearray(path.read_bytes())
    (size,) = struct.unpack("<Q", data[:8])
    begin, end = json.loads(data[8:8 + size])["decoder.block.0.layer.2.DenseReluDense.wo.weight"]["data_offsets"]
    begin, end = begin + 8 + size, end + 8 + size
    middle = (begin + end) // 2
    data[begin:end] = data[middle:end] + data[begin:middle]
    path.write_bytes(data)


class Canary(unittest.TestCase):
    def nodes(self, c):
        return {n["node_id"]: n for n in c.status()["nodes"]}

    def test_a_node_with_other_weights_is_quarantined_and_changes_nothing(self):
        with tempfile.TemporaryDirectory(prefix="mellow-e2e-model.") as folder, cluster() as c:
            model = pathlib.Path(folder) / "model"
            other_weights(model)
            steps, done = c.train(SMALL)
            orchestrator = c.services()["orchestrator"]
            rogue = subprocess.Popen([pathlib.Path(harness.MELLOW).parent / "mellow_policy_server", "--model", model, "--node-id", "rogue",
                                      "--threads", "1", "--orchestrator", orchestrator["address"]],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_until(lambda: "rogue" in self.nodes(c), "the rogue node has registered")
                again, again_done = c.train(SMALL)
                self.assertEqual([s["adapter"]["sha256"] for s in again], [s["adapter"]["sha256"] for s in steps])
                node = self.nodes(c)["rogue"]
                self.assertEqual((node["state"], node["leases_done"]), ("QUARANTINED", 0))
                # During the run its model was enough to keep it out; without one, the canary of what it is given.
                wait_until(lambda: "canary" in self.nodes(c)["rogue"]["reason"], "its canary has failed")
                metrics = urllib.request.urlopen(orchestrator["metrics"], timeout=30).read().decode()
                self.assertRegex(metrics, r'mellow_orchestrator_canary_failures_total\{node="rogue"\} [1-9]')
                self.assertIn('mellow_orchestrator_nodes{device="cpu",role="policy",state="quarantined"} 1', metrics)
            finally:
                rogue.terminate()
                rogue.wait(timeout=60)

            # A new run from the adapter of the last one: its KL is to that start.
            onward, _ = c.train([*SMALL, "steps=1", "ppo.lora=", f"start_adapter={again_done['path']}"])
            self.assertAlmostEqual(onward[0]["objective_kl"], 0, delta=1e-3)
            self.assertNotEqual(onward[0]["adapter"]["sha256"], done["adapter"]["sha256"])


if __name__ == "__main__":
    harness.main()
