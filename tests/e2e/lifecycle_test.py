#!/usr/bin/env python3
"""up, status, summarize, score, adapters, down; crashes of the supervisor; what `up` refuses."""
import json
import os
import pathlib
import signal
import socket
import tempfile
import unittest
import urllib.request

import harness
from harness import Cluster, alive, assert_narrow, cluster, mellow, wait_until


class Lifecycle(unittest.TestCase):
    def test_a_cluster_from_up_to_down(self):
        with cluster("--policies", "2") as c:
            services = c.services()
            self.assertEqual(sorted(services), ["learner", "orchestrator", "policy-0", "policy-1", "reward-0"])
            for service in services.values():
                self.assertIn(service["role"], ("policy", "reward", "learner", "orchestrator"))
                self.assertTrue(alive(service["pid"]), service)
                host, port = service["address"].split(":")
                with socket.create_connection((host, int(port)), timeout=10):
                    pass
                text = urllib.request.urlopen(service["metrics"], timeout=10).read().decode()
                self.assertIn("# TYPE", text, service["name"])

            status = c.status()
            self.assertEqual({s["health"] for s in status["services"]}, {"SERVING"})
            self.assertEqual({n["state"] for n in status["nodes"]}, {"READY"})
            self.assertEqual(len(status["nodes"]), 4)
            self.assertEqual(status["adapters"][0]["version"], 0)
            self.assertIsNone(status["run"])

            second = mellow("up", "--dir", c.folder, check=1)
            self.assertIn("a cluster runs in", second.stderr)
            self.assertEqual(len(second.stderr.strip().splitlines()), 1)

            rows = [json.loads(line) for line in harness.HELDOUT.read_text().splitlines()[:5]]
            lines = [json.dumps({"dialogue": r["dialogue"]}) for r in rows]
            out = harness.json_lines(mellow("summarize", "--dir", c.folder, stdin="\n".join([*lines[:2], "oops", *lines[2:]]) + "\n", check=0).stdout)
            self.assertEqual(len(out), 6)
            self.assertIn("error", out[2])
            for answer in out[:2] + out[3:]:
                self.assertEqual(sorted(answer), ["adapter", "summary"])
                self.assertEqual(answer["adapter"], {"version": 0, "sha256": ""})
                self.assertTrue(answer["summary"])
            text = mellow("summarize", "--dir", c.folder, "--text", stdin=rows[0]["dialogue"], check=0).stdout
            self.assertEqual(text, out[0]["summary"] + "\n")

            scores = harness.json_lines(mellow("score", "--dir", c.folder, stdin='{"text": "You are a brainless fool."}\n{"text": "See you on Monday."}\n', check=0).stdout)
            self.assertEqual([sorted(s) for s in scores], [["label", "labels", "logits", "probabilities", "toxicity", "truncated"]] * 2)
            self.assertEqual([s["labels"] for s in scores], [["nothate", "hate"]] * 2)
            self.assertEqual([s["toxicity"] for s in scores], [s["probabilities"][1] for s in scores])
            self.assertEqual({n["toxic_label"] for n in status["nodes"] if n["role"] == "reward"}, {"hate"})
            self.assertGreater(scores[0]["toxicity"], 0.5)
            self.assertLess(scores[1]["toxicity"], 0.5)

            adapters = json.loads(mellow("adapters", "--dir", c.folder, "--json", check=0).stdout)
            self.assertEqual(adapters, [{"version": 0, "sha256": "", "run_id": "", "run_name": "", "step": None, "promotion": None, "files": True, "learner_path": "",
                                         "champion": True, "newest": False, "withdrawn": False, "nodes": ["policy-0", "policy-1"], "champion_of": ["policy-0", "policy-1"]}])
            text = mellow("status", "--dir", c.folder, check=0).stdout
            self.assertIn("policy-0, policy-1 generate with ", " ".join(text.split()))
            assert_narrow(self, text)
            c.kill("policy-1")
            assert_narrow(self, mellow("status", "--dir", c.folder, check=0).stdout)
            c.wait_restarted("policy-1", services["policy-1"]["pid"])

            pids = c.pids()
            c.down()
            self.assertEqual([p for p in pids if alive(p)], [])
            self.assertFalse((c.folder / "cluster.json").exists())
            c.down()  # again: nothing to do

    def test_a_service_that_dies_is_restarted_under_its_address(self):
        with cluster() as c:
            before = c.services()["reward-0"]
            c.kill("reward-0")
            c.wait_restarted("reward-0", before["pid"])
            after = c.services()["reward-0"]
            self.assertEqual(after["address"], before["address"])
            self.assertEqual(after["metrics"], before["metrics"])
            self.assertEqual(after["restarts"], 1)
            scores = mellow("score", "--dir", c.folder, stdin='{"text": "Hello."}\n', check=0).stdout
            self.assertIn("toxicity", scores)

    def test_services_survive_their_supervisor_and_the_next_up_or_down_finds_them(self):
        with cluster() as c:
            first = c.pids()
            os.kill(first[0], signal.SIGKILL)
            wait_until(lambda: not alive(first[0]), "the supervisor is dead")
            self.assertEqual([p for p in first[1:] if not alive(p)], [])
            self.assertFalse(c.status()["supervisor"]["alive"])
            mellow("score", "--dir", c.folder, stdin='{"text": "Hello."}\n', check=0)

            c.up()
            second = c.pids()
            self.assertEqual([p for p in first if alive(p)], [])
            self.assertEqual(set(first) & set(second), set())

            os.kill(second[0], signal.SIGKILL)
            wait_until(lambda: not alive(second[0]), "the supervisor is dead")
            c.down()
            self.assertEqual([p for p in second if alive(p)], [])

    def test_a_folder_that_cannot_start_says_why_and_leaves_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            broken = pathlib.Path(folder) / "model"
            broken.mkdir()
            (broken / "config.json").write_text("{")
            c = Cluster(pathlib.Path(folder) / "cluster")
            result = mellow("up", "--dir", c.folder, "--policy-model", broken, check=1)
            self.assertIn("while starting", result.stderr)
            self.assertIn(str(broken), result.stderr)  # from the service's log
            self.assertFalse((c.folder / "cluster.json").exists())
            result = mellow("up", "--dir", c.folder, "--reward-model", "/nowhere/model", check=1)
            self.assertEqual(result.stderr.strip(), "mellow: --reward-model /nowhere/model: no such folder")

    def test_without_a_cluster_every_command_says_how_to_start_one(self):
        with tempfile.TemporaryDirectory() as folder:
            for command in (["status"], ["adapters"], ["logs"], ["runs"], ["watch"], ["stop"], ["resume"], ["summarize"], ["score"], ["train", harness.MINI_RUN], ["evaluate", harness.MINI_RUN.parent / "mini-eval.json"]):
                result = mellow(*command, "--dir", folder, check=1)
                self.assertIn("mellow up", result.stderr, command)
                self.assertEqual(len(result.stderr.strip().splitlines()), 1, command)
            mellow("down", "--dir", folder, check=0)


if __name__ == "__main__":
    harness.main()
