#!/usr/bin/env python3
"""What users get wrong: every message is one line that names the field, file, value or peer, and nothing crashes."""
import json
import pathlib
import shutil
import socket
import subprocess
import tempfile
import unittest

import harness
from harness import MINI_RUN, MODELS, SMALL, cluster, json_lines, mellow, sets

BIN = pathlib.Path(harness.MELLOW).parent


def one_line(test, result, *parts):
    lines = result.stderr.strip().splitlines()
    test.assertEqual(len(lines), 1, result.stderr)
    for part in parts:
        test.assertIn(part, lines[0])


class WithoutCluster(unittest.TestCase):
    def test_flags_and_commands(self):
        for args, part in ((["frobnicate"], "frobnicate"), (["up", "--polices", "2"], "--polices"), (["train"], "RUN.json"), (["up", "--policies", "two"], "two"),
                           (["probe", "policy", "--bach", "3"], "--bach"), (["evaluate"], "EVAL.json"), (["data", "describe"], "FILE")):
            one_line(self, mellow(*args, check=2), part)
        for args in ([], ["up"], ["down"], ["status"], ["train"], ["sft"], ["summarize"], ["score"], ["adapters"], ["logs"], ["runs"], ["watch"], ["stop"], ["resume"], ["evaluate"], ["report"], ["promote"], ["rollback"], ["promotions"], ["review"], ["review", "new"], ["data"], ["data", "describe"], ["tokenize"], ["detokenize"], ["rouge"],
                     ["completion", "bash"], ["probe"], ["probe", "policy"], ["probe", "generate"], ["probe", "reward"], ["probe", "ppo"], ["bench"], ["bench", "ppo"]):
            self.assertIn("Usage", mellow(*args, "--help", check=0).stdout, args)

    def test_the_nearest_name_is_offered(self):
        for args, part in ((["up", "--polices", "2"], 'did you mean "--policies"?'), (["tokenise", "x"], 'did you mean "tokenize"?'), (["review", "sumary"], 'did you mean "summary"?')):
            one_line(self, mellow(*args, check=2), part)
        server = subprocess.run([BIN / "mellow_reward_server", "--modell", "x"], capture_output=True, text=True, timeout=60)
        self.assertEqual(server.returncode, 2)
        one_line(self, server, "mellow_reward_server", 'did you mean "--model"?')
        out = json_lines(mellow("probe", "generate", MODELS / "mini-summarizer", stdin='{"source_ids": [5, 1], "max_new_token": 4}\n', check=1).stdout)
        self.assertIn('did you mean "max_new_tokens"?', out[0]["error"])
        with tempfile.TemporaryDirectory() as folder:
            run = pathlib.Path(folder) / "run.json"
            run.write_text('{"ppo": {"learnin_rate": 1}}')
            one_line(self, mellow("train", run, "--dir", folder, check=1), str(run), 'ppo.learnin_rate: no such field (did you mean "learning_rate"?)')

    def test_a_failed_start_shows_what_its_own_services_said(self):
        with tempfile.TemporaryDirectory() as folder:
            first = mellow("up", "--dir", folder, "--reward-model", MODELS / "mini-summarizer", check=1)
            self.assertIn("mini-summarizer", first.stderr)
            second = mellow("up", "--dir", folder, "--toxic-label", "nobody", check=1)
            self.assertIn("nobody", second.stderr)
            self.assertNotIn("mini-summarizer", second.stderr)

    def test_model_folders(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            one_line(self, mellow("probe", "policy", folder / "none", check=1), str(folder / "none"))
            one_line(self, mellow("tokenize", folder, check=1), str(folder))
            one_line(self, mellow("probe", "policy", MODELS / "mini-toxicity", check=1), "mini-toxicity", "roberta")
            cut = folder / "cut"
            shutil.copytree(MODELS / "mini-summarizer", cut)
            weights = cut / "model.safetensors"
            data = weights.read_bytes()
            for size in (0, 5, 1000, len(data) // 2, len(data) - 1):
                weights.write_bytes(data[:size])
                one_line(self, mellow("probe", "policy", cut, check=1), str(weights))
            weights.write_bytes(data)
            (cut / "config.json").write_text("[]")
            one_line(self, mellow("probe", "generate", cut, check=1), "config.json")

    def test_adapters(self):
        with tempfile.TemporaryDirectory() as folder:
            one_line(self, mellow("probe", "policy", MODELS / "mini-summarizer", "--adapter", folder, check=1), folder)

    def test_values(self):
        one_line(self, mellow("probe", "policy", MODELS / "mini-summarizer", "--dtype", "float8", check=2), "float8")
        one_line(self, mellow("probe", "policy", MODELS / "mini-summarizer", "--device", "tpu", check=1), "tpu")

    def test_lines(self):
        lines = ["", "{", "[]", "null", '{"source_ids": "x", "target_ids": []}', '{"source_ids": [], "target_ids": [1]}', '{"source_ids": [5], "target_ids": [1.5]}',
                 '{"source_ids": [5], "target_ids": [123456789]}', '{"source_ids": [-1], "target_ids": [5]}', '{"source_ids": [5, 1], "target_ids": [7, 1]}']
        for batch in ("1", "4", "100"):
            result = mellow("probe", "policy", MODELS / "mini-summarizer", "--batch", batch, stdin="\n".join(lines) + "\n", check=0)
            self.assertEqual(result.stderr, "mellow: 9 of 10 lines failed\n")
            out = json_lines(result.stdout)
            self.assertEqual([list(o) for o in out], [["error"]] * 9 + [["logprobs"]])
        bad = [{"max_new_tokens": 0}, {"max_new_tokens": -1}, {"temperature": 0}, {"top_p": 0}, {"top_p": 2}, {"top_k": -1}, {"num_beams": 0}, {"min_p": 2},
               {"seed": -1}, {"max_new_tokens": 1e9}, {"do_sample": 1}]
        rows = [json.dumps({"source_ids": [5, 1], "max_new_tokens": 4, "do_sample": "top" in next(iter(b)) or "temp" in next(iter(b)), **b}) for b in bad]
        # Every line failed, so the filter did.
        out = json_lines(mellow("probe", "generate", MODELS / "mini-summarizer", stdin="\n".join(rows) + "\n", check=1).stdout)
        for b, o in zip(bad, out):
            self.assertIn(next(iter(b)), o.get("error", "no error"), b)

    def test_unknown_fields_of_lines(self):
        for command, line in ((["tokenize", MODELS / "mini-toxicity"], {"text": "a", "text_pairs": "b"}), (["detokenize", MODELS / "mini-toxicity"], {"ids": [5], "id": [6]}),
                              (["rouge"], {"prediction": "a", "references": ["a"], "stemmer": True}), (["probe", "reward", MODELS / "mini-toxicity"], {"text": "a", "pair": "b"})):
            out = json_lines(mellow(*command, stdin=json.dumps(line) + "\n", check=1).stdout)
            self.assertIn(f"{list(line)[-1]}: unknown field", out[0]["error"], command)

    def test_ports_in_use_and_wrong_addresses(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            for server, flags in (("mellow_reward_server", ["--model", MODELS / "mini-toxicity"]),
                                  ("mellow_policy_server", ["--model", MODELS / "mini-summarizer"])):
                for flag in ("--address", "--metrics-address"):
                    result = subprocess.run([BIN / server, *flags, flag, address], capture_output=True, text=True, timeout=120)
                    self.assertEqual(result.returncode, 1, result.stderr)
                    self.assertIn(address, result.stderr)


class WithCluster(unittest.TestCase):
    def test_run_files_and_requests(self):
        with cluster() as c, tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)

            def train(spec, *assignments):
                path = folder / "run.json"
                path.write_text(spec if isinstance(spec, str) else json.dumps(spec))
                return mellow("train", path, "--dir", c.folder, *sets(assignments), check=1)

            mini = json.loads(MINI_RUN.read_text())
            mini["data"]["path"] = str(MINI_RUN.parent / "mini/train.jsonl")
            one_line(self, train("{"), "run.json")
            one_line(self, train({**mini, "stepz": 3}), "stepz", "run.json")
            one_line(self, train({**mini, "ppo": {"learnin_rate": 1}}), "learnin_rate")
            one_line(self, train({**mini, "steps": "many"}), "steps")
            one_line(self, train(mini, "stepz=3"), "stepz")
            one_line(self, train(mini, "steps=x"), "steps", "'x'")
            one_line(self, train(mini, "steps=0"), "steps")
            one_line(self, train(mini, "data.path=/nowhere/data.jsonl"), "/nowhere/data.jsonl")
            one_line(self, train(mini, "ppo.learning_rate=-1"), "learning_rate")
            one_line(self, train(mini, "ppo.batch_size=10", "ppo.mini_batch_size=4"), "batch_size")
            one_line(self, train(mini, "ppo.lora.target_modules=nowhere", *SMALL), "nowhere")
            one_line(self, train(mini, "reward.label=kindness", *SMALL), "kindness")
            one_line(self, train(mini, "data.prompt_template={monologue}"), "monologue")
            one_line(self, train(mini, "ppo.lora=", "start_adapter=/nowhere/adapter", *SMALL), "/nowhere/adapter")
            # None of that hurt the cluster.
            self.assertEqual({s["health"] for s in c.status()["services"]}, {"SERVING"})
            self.assertEqual({s["restarts"] for s in c.status()["services"]}, {0})

            one_line(self, mellow("summarize", "--dir", c.folder, "--adapter", "7", check=1), "adapter version 7")

            # Texts of every size: too large for a message, too long for the model, empty, not UTF-8.
            huge = json.dumps({"dialogue": "word " * (14 << 20)})
            rows = [huge, json.dumps({"dialogue": ""}), json.dumps({"dialogue": "Anna: Hello. " * 2000}), json.dumps({"dialogue": 5}), "{}"]
            out = json_lines(mellow("summarize", "--dir", c.folder, stdin="\n".join(rows) + "\n", check=0).stdout)
            self.assertEqual(len(out), 5)
            self.assertIn("error", out[0])
            self.assertIn("larger than max", out[0]["error"])
            self.assertIn("summary", out[2])
            self.assertIn("dialogue", out[3]["error"])
            self.assertIn("dialogue", out[4]["error"])
            out = json_lines(mellow("score", "--dir", c.folder, stdin='{"text": ""}\n{"text": "a"}\n{"txt": "a"}\n', check=0).stdout)
            self.assertEqual(["toxicity" in o for o in out], [True, True, False])
            mellow("score", "--dir", c.folder, "--strict", stdin='{"text": "a"}\n{"txt": "a"}\n', check=1)
            mellow("score", "--dir", c.folder, "--strict", stdin='{"text": "a"}\n', check=0)
            self.assertEqual({s["health"] for s in c.status()["services"]}, {"SERVING"})

    def test_a_peer_that_is_not_there_is_named_with_host_and_port(self):
        with cluster() as c:
            with tempfile.TemporaryDirectory() as folder:
                address = c.unreachable(folder)
                status = json.loads(mellow("status", "--dir", folder, "--json", check=0).stdout)
                self.assertEqual({s["health"] for s in status["services"]}, {"NOT_SERVING"})
                result = mellow("adapters", "--dir", folder, check=1)
                one_line(self, result, "orchestrator at 127.0.0.1:")
                out = json_lines(mellow("summarize", "--dir", folder, "--patience", "1", stdin='{"dialogue": "A: Hi."}\nno JSON\n', check=1).stdout)
                self.assertIn(address, out[0]["error"])


if __name__ == "__main__":
    harness.main()
