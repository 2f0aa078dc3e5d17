#!/usr/bin/env python3
"""mellow evaluate, data describe and rouge --aggregate as users run them: the same numbers whatever computes them, whatever interrupts them."""
import json
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

import harness
from harness import HELDOUT, MELLOW, MODELS, SMALL, SOURCE, assert_narrow, cluster, json_lines, mellow, sets, wait_until

EVAL = SOURCE / "deploy/runs/mini-eval.json"
FOLDERS = ["--policy-model", MODELS / "mini-summarizer", "--reward-model", MODELS / "mini-toxicity"]


def one_line(test, result, *parts):
    test.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
    for part in parts:
        test.assertIn(str(part), result.stderr)


def rows_of(folder):
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()[1:]]


def copy_of(folder, model):
    copy = folder / f"copy-{model}"
    shutil.copytree(MODELS / model, copy)
    return copy


def other_model(model, other):
    """The same model but for the last bit of one number."""
    shutil.copytree(MODELS / model, other)
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-4] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    return other


class Evaluate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temp.name)
        with cluster("--policies", "2") as c:
            _, done = c.train(SMALL + ["ppo.learning_rate=2e-3"])
            cls.adapter = cls.folder / "ppo"
            shutil.copytree(done["path"], cls.adapter)
            cls.served = cls.folder / "served"
            cls.answer = json.loads(mellow("evaluate", EVAL, "--dir", c.folder, "--json", "--out", cls.served, *sets(["data.limit=30", "samples=2"]), check=0).stdout)
            cls.default_out = mellow("evaluate", EVAL, "--dir", c.folder, "--pairs", "1", *sets(["data.limit=4"]), check=0).stdout
            cls.cluster_errors = [
                (mellow("evaluate", EVAL, "--dir", c.folder, *sets(["arms=base,77"]), check=1), ["arms: 77", "no adapter version 77"]),
                (mellow("evaluate", EVAL, "--dir", c.folder, *sets(["arms=base,0"]), check=1), ["arms: base and 0", "the base model"]),
                (mellow("evaluate", EVAL, "--dir", c.folder, *sets(["arms=base,champion"]), check=1), ["arms: base and champion", "the base model"]),
                (mellow("evaluate", EVAL, "--dir", c.folder, *sets(["reward.label=kindness"]), check=1), ["reward", "kindness", "nothate, hate"]),
                (mellow("evaluate", EVAL, "--dir", c.folder, *sets([f"policy_model={other_model('mini-summarizer', cls.folder / 'other-mini-summarizer')}"]), check=1),
                 ["policy_model", "other-mini-summarizer", "not the model that the cluster serves"]),
                (cls.judged(c, MODELS / "mini-toxicity"), ["judges[0]", "mini-toxicity is the judge reward already", "independent"]),
                (cls.judged(c, copy_of(cls.folder, "mini-toxicity")), ["judges[0]", "mini-toxicity", "independent"]),
                (mellow("evaluate", EVAL, "--dir", c.folder, *sets(["sampling.max_new_tokens=100000", "data.limit=2"]), check=1), ["arm base", "max_new_tokens"]),
            ]
            cls.described = json.loads(mellow("data", "describe", HELDOUT, "--dir", c.folder, "--score-rows", "20", "--json", check=0).stdout)

    @classmethod
    def judged(cls, c, judge):
        """With another judge beside the cluster's reward model."""
        spec = json.loads(EVAL.read_text())
        spec["judges"] = [{"name": "second", "model": str(judge)}]
        spec["data"]["path"] = str(HELDOUT)
        path = cls.folder / "judged.json"
        path.write_text(json.dumps(spec))
        return mellow("evaluate", path, "--dir", c.folder, "--out", cls.folder / "judged", check=1)

    @classmethod
    def tearDownClass(cls):
        cls.temp.cleanup()

    def local(self, out, *assignments, flags=(), check=0):
        arms = f"arms=base,{self.adapter}"
        return mellow("evaluate", EVAL, *FOLDERS, "--out", out, *sets(["data.limit=30", "samples=2", arms, *assignments]), *flags, check=check)

    def test_cluster_and_folders_give_the_same_rows(self):
        out = self.folder / "local"
        self.local(out)
        ours = json.loads((out / "evaluation.json").read_text())
        served = json.loads((self.served / "evaluation.json").read_text())
        self.assertEqual(len(ours["rows"]), 30)
        self.assertEqual(ours["rows"], served["rows"])
        self.assertEqual(ours["arms"][1]["sha256"], served["arms"][1]["sha256"])
        self.assertRegex(served["config"]["policy_model_sha256"], "^[0-9a-f]{64}$")
        self.assertEqual(ours["config"]["policy_model_sha256"], served["config"]["policy_model_sha256"])
        self.assertRegex(served["judges"][0]["sha256"], "^[0-9a-f]{64}$")
        self.assertEqual(ours["judges"][0]["sha256"], served["judges"][0]["sha256"])
        self.assertEqual(served["arms"][1]["kind"], "version")
        self.assertTrue(served["arms"][1]["run_id"])
        for a, b in zip(ours["comparisons"][0]["differences"], served["comparisons"][0]["differences"]):
            self.assertEqual(a, b)
        # The base model has no distance from itself; another one has.
        self.assertEqual(ours["summaries"][0]["shape"]["kl_per_sequence"]["mean"], 0)
        self.assertNotEqual(ours["summaries"][1]["shape"]["kl_per_sequence"]["mean"], 0)

    def test_json_is_the_evaluation_without_its_rows(self):
        served = json.loads((self.served / "evaluation.json").read_text())
        del served["rows"]
        answer = dict(self.answer)
        self.assertTrue(answer.pop("holds"))
        self.assertEqual(answer.pop("path"), str(self.served / "evaluation.json"))
        self.assertEqual(answer, served)

    def test_bytes_do_not_depend_on_threads_or_interruptions(self):
        whole = self.folder / "whole"
        self.local(whole, flags=["--threads", "1"])
        expected = (whole / "evaluation.json").read_bytes()
        # A copy whose last line was cut off in the middle goes on from what is whole.
        cut = self.folder / "cut"
        cut.mkdir()
        lines = (whole / "rows.jsonl").read_bytes().splitlines(keepends=True)
        (cut / "rows.jsonl").write_bytes(b"".join(lines[:12]) + lines[12][:100])
        result = self.local(cut, flags=["--threads", "2"])
        self.assertIn("11 of 30 prompts were evaluated before", result.stderr)
        self.assertEqual((cut / "evaluation.json").read_bytes(), expected)
        self.assertEqual(sorted(r["index"] for r in rows_of(cut)), list(range(30)))
        # Once more: nothing is computed again.
        self.assertIn("30 of 30", self.local(cut).stderr)
        self.assertEqual((cut / "evaluation.json").read_bytes(), expected)

    def interrupted(self, sig, code):
        """An evaluation that is stopped in the middle by a signal, then ended by the same command."""
        out = self.folder / f"signal-{sig}"
        command = [MELLOW, "evaluate", EVAL, *FOLDERS, "--out", out, *sets(["data.limit=400", "samples=4", f"arms=base,{self.adapter}"]), "--threads", "1"]
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: (out / "rows.jsonl").exists() and len(rows_of_whole(out)) >= 8, "some rows are written")
        process.send_signal(sig)
        _, errors = process.communicate(timeout=120)
        self.assertEqual(process.returncode, code, errors)
        self.assertFalse((out / "evaluation.json").exists())
        self.assertLess(len(rows_of_whole(out)), 400)
        result = mellow(*command[1:], check=0)
        self.assertRegex(result.stderr, "(was|were) evaluated before")
        return (out / "evaluation.json").read_bytes(), errors

    def test_signals(self):
        killed, _ = self.interrupted(signal.SIGKILL, -signal.SIGKILL)
        stopped, errors = self.interrupted(signal.SIGINT, 130)
        self.assertIn("goes on from there", errors)
        self.assertEqual(killed, stopped)

    def test_rows_of_another_configuration_are_refused_and_kept(self):
        out = self.folder / "other"
        self.local(out, "data.limit=4")
        before = (out / "rows.jsonl").read_bytes()
        one_line(self, self.local(out, "data.limit=4", "sampling.seed=9", check=1), out / "rows.jsonl", "another configuration", "--fresh")
        self.assertEqual((out / "rows.jsonl").read_bytes(), before)
        self.local(out, "data.limit=4", "sampling.seed=9", flags=["--fresh"])
        self.assertNotEqual((out / "rows.jsonl").read_bytes(), before)
        (out / "rows.jsonl").write_bytes(before + b"{}\n")
        one_line(self, self.local(out, "data.limit=4", check=1), "rows.jsonl:6", "index is missing")

    def test_independent_judges_slices_and_the_tables(self):
        spec = json.loads(EVAL.read_text())
        spec["data"]["path"] = str(HELDOUT)
        judge = other_model("mini-toxicity", self.folder / "second-opinion")
        spec["judges"] = [{"model": str(judge), "label": "hate"}]
        path = self.folder / "judged.json"
        path.write_text(json.dumps(spec))
        out = self.folder / "judged"
        text = mellow("evaluate", path, *FOLDERS, "--out", out, "--pairs", "2", *sets([f"arms=base,{self.adapter}", "data.limit=40"]), check=0).stdout
        e = json.loads((out / "evaluation.json").read_text())
        self.assertEqual([(j["name"], j["independent"], j["label"]) for j in e["judges"]], [("reward", False, "nothate"), ("second-opinion", True, "hate")])
        self.assertEqual(len(e["scorings"]), 4)
        # Almost the same weights: almost the same opinion, each with its own logit.
        for row in e["rows"]:
            for arm in row["arms"]:
                s = arm["samples"][0]["scores"]
                self.assertAlmostEqual(s[0]["toxicity"], s[2]["toxicity"], 3)
                self.assertNotEqual(s[0]["logit"], s[2]["logit"])
        self.assertEqual({s["value"] for s in e["slices"] if s["column"] == "rude"}, {"true", "false"})
        for part in ("measure", "95 % interval", "verdict", "summary (second-opinion)", "prompts needed for", "rude = true", "mostly measure the dialogue",
                     "1.  base, toxicity", "2.  base, toxicity", "ppo, toxicity", str(out / "evaluation.json")):
            self.assertIn(part, text)
        self.assertNotIn("3.  base", text)
        one_line(self, mellow("evaluate", path, *FOLDERS[:2], "--reward-model", judge, "--out", out, *sets([f"arms=base,{self.adapter}"]), check=1), "second-opinion", "already")
        one_line(self, mellow("evaluate", path, *FOLDERS, "--out", out, *sets(["arms="]), check=1), "arms: none")
        # One arm alone is measured.
        alone = mellow("evaluate", path, *FOLDERS, "--out", self.folder / "alone", "--pairs", "1", *sets(["arms=base", "data.limit=4"]), check=0).stdout
        self.assertIn("1.  base, toxicity", alone)
        self.assertNotIn("difference", alone)
        one_line(self, mellow("evaluate", path, *FOLDERS, "--sort", "reward_diff", *sets(["arms=base"]), check=1), "--sort")

    def test_demands(self):
        out = self.folder / "demands"
        flags = ["--require-drop", "0.999", "--max-rouge-loss", "0"]
        text = self.local(out, "data.limit=6", flags=flags, check=3).stdout
        self.assertIn("a smaller drop than 99.9 % is not excluded: DOES NOT HOLD", " ".join(text.split()))
        self.assertIn("rougeL: ", text)
        self.assertFalse(json.loads(self.local(out, "data.limit=6", flags=[*flags, "--json"], check=3).stdout)["holds"])
        self.assertIn("a loss above 0.9900 is excluded: holds", " ".join(self.local(out, "data.limit=6", flags=["--max-rouge-loss", "0.99"]).stdout.split()))
        for bad in (["--require-drop", "1"], ["--require-drop", "-1"], ["--max-rouge-loss", "-1"]):
            self.assertIn(bad[0], self.local(out, "data.limit=6", flags=bad, check=2).stderr)
        one_line_last = self.local(self.folder / "no-references", "data.limit=6", 'data.reference_columns=""', flags=["--max-rouge-loss", "1"], check=1)
        self.assertIn("no references", one_line_last.stderr)

    def test_cluster_errors_and_default_folder(self):
        for result, parts in self.cluster_errors:
            for part in parts:
                self.assertIn(part, result.stderr)
        self.assertIn("/evaluations/mini-eval-", self.default_out)
        with tempfile.TemporaryDirectory() as folder:
            one_line(self, mellow("evaluate", EVAL, "--dir", folder, check=1), "mellow up")

    def test_bad_input(self):
        out = self.folder / "bad"
        empty = self.folder / "empty.jsonl"
        empty.write_text("")
        gap = self.folder / "gap.jsonl"
        gap.write_text('{"dialogue": "A: Hi.", "summary": "Hi.", "topic": "x", "rude": 1}\n{"dialogue": "B: Hi.", "summary": " ", "topic": "x", "rude": 1}\n')
        torn = self.folder / "torn.jsonl"
        torn.write_text('{"dialogue": "A: Hi.", "summary": "Hi.", "topic": "x", "rude": 1}\n{"dialogue": "B: Hi."}\n')
        readonly = self.folder / "file"
        readonly.write_text("")
        for assignments, parts in (
                (["data.path=/nowhere.jsonl"], ["data.path", "/nowhere.jsonl"]),
                ([f"data.path={empty}"], ["data.path", empty, "no rows"]),
                ([f"data.path={gap}"], [gap, "summary", "line 2"]),
                ([f"data.path={torn}"], [f"{torn}:2", "summary"]),
                (["data.reference_columns=gist"], ["data.reference_columns", "gist", "it has"]),
                (["data.prompt_template={monologue}"], ["data.prompt_template", "monologue"]),
                (["slice_columns=mood"], ["slice_columns", "mood"]),
                (["data.min_chars=100000"], ["min_chars", "none of 400 rows"]),
                (["data.train_fraction=2"], ["train_fraction"]),
                (["samples=0"], ["samples is 0"]),
                (["sampling.do_sample=false"], ["samples is 2", "do_sample"]),
                (["sampling.temperature=0"], ["sampling", "temperature"]),
                (["statistics.alpha=1"], ["statistics.alpha is 1"]),
                (["statistics.resamples=0"], ["statistics.resamples is 0"]),
                (["arms="], ["arms: none"]),
                (["arms=base,newest"], ["arms: newest", "of a cluster"]),
                (["arms=base,base"], ["base and base", "same weights"]),
                ([f"arms={self.adapter},{self.adapter}"], ["same weights"]),
                (["arms=base,/nowhere/adapter"], ["/nowhere/adapter"]),
                (["reward.model=/nowhere/judge"], ["reward.model", "/nowhere/judge"]),
                ([f"reward.model={MODELS / 'mini-summarizer'}"], ["mini-summarizer"]),
                (["policy_model=/nowhere/model"], ["policy_model", "/nowhere/model"]),
                (["arm=base"], ["no field 'arm'"]),
        ):
            spec = json.loads(EVAL.read_text())
            spec.update(policy_model=str(MODELS / "mini-summarizer"), reward={"model": str(MODELS / "mini-toxicity")})
            spec["data"]["path"] = str(HELDOUT)
            path = self.folder / "bad.json"
            path.write_text(json.dumps(spec))
            result = mellow("evaluate", path, "--out", out, *sets(["samples=2", f"arms=base,{self.adapter}", *assignments]), check=1)
            with self.subTest(assignments=assignments):
                one_line(self, result, *parts)
                self.assertFalse(out.exists())
        one_line(self, self.local(readonly / "out", check=1), "--out", readonly)
        broken = self.folder / "broken.json"
        broken.write_text('{"dta": {}}')
        one_line(self, mellow("evaluate", broken, check=1), broken, "dta")

    def test_describe_scores_by_the_cluster(self):
        self.assertEqual(self.described["rows"], 400)
        self.assertEqual(self.described["described"]["summary"]["scored_rows"], 20)
        self.assertIsNone(self.described["prompt_tokens"])


def rows_of_whole(folder):
    """Rows whose line is complete; the last one may be being written."""
    return (folder / "rows.jsonl").read_bytes().split(b"\n")[1:-1]


class Describe(unittest.TestCase):
    def test_reports_what_is_wrong_with_line_numbers(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "hub.csv"
            path.write_bytes('\ufeffid,dialogue,summary\r\n1,"A: ""Hi"", she said.\nB: Ö.",Greeting.\r\n2,x,y,z\r\n3,,empty\r\n4,"A: ""Hi"", she said.\nB: Ö.",Again.\r\n'.encode())
            d = json.loads(mellow("data", "describe", path, "--model", MODELS / "mini-summarizer", "--max-source-tokens", "20", "--json", check=0).stdout)
            self.assertEqual(d["rows"], 3)
            self.assertEqual(d["columns"], ["id", "dialogue", "summary"])
            self.assertEqual(d["bad_rows"], [f"{path}:4: 4 fields, the header has 3"])
            self.assertEqual(d["described"]["dialogue"]["empty"], [5])
            self.assertEqual(d["duplicates"], [{"line": 6, "first_line": 2}])
            self.assertEqual(d["described"]["dialogue"]["characters"]["max"], 24)
            self.assertEqual(d["truncated"], 2)
            self.assertIsNone(d["judge"])
            self.assertEqual(d["examples"][0]["dialogue"], 'A: "Hi", she said.\nB: Ö.')
            text = mellow("data", "describe", path, check=0).stdout
            for part in ("bad rows, left out here and refused by training: 1", "hub.csv:4", "empty dialogue: 1 (line 5)", "line 6 is as line 2", "tokens: left out",
                         "toxicity: left out"):
                self.assertIn(part, text)
            assert_narrow(self, text)
            judge = MODELS / "mini-toxicity"
            assert_narrow(self, mellow("data", "describe", path, "--reward-model", judge.parent / "../models/../models/../models" / judge.name, check=0).stdout)
            one_line(self, mellow("data", "describe", path, "--column", "monologue", check=1), "no column monologue", "id, dialogue, summary")
            one_line(self, mellow("data", "describe", path, "--summary-column", "gist", check=1), "no column gist")
            one_line(self, mellow("data", "describe", folder + "/none.csv", check=1), "none.csv")
            (pathlib.Path(folder) / "empty.jsonl").write_text("\n")
            one_line(self, mellow("data", "describe", folder + "/empty.jsonl", check=1), "has no rows")
            (pathlib.Path(folder) / "bad.jsonl").write_text("[]\n")
            one_line(self, mellow("data", "describe", folder + "/bad.jsonl", check=1), "bad.jsonl:1")


class RougeAggregate(unittest.TestCase):
    def test_means_over_lines_and_refuses_a_bad_one(self):
        lines = '{"prediction": "a b", "references": ["a b"]}\n{"prediction": "a", "references": ["b"]}\n'
        out = json_lines(mellow("rouge", "--aggregate", stdin=lines, check=0).stdout)
        self.assertEqual(len(out), 1)
        self.assertEqual(out[0]["rows"], 2)
        self.assertEqual(out[0]["rouge1"]["fmeasure"]["mean"], 0.5)
        self.assertEqual((out[0]["rouge1"]["recall"]["lower"], out[0]["rouge1"]["recall"]["upper"]), (0, 1))
        one_line(self, mellow("rouge", "--aggregate", stdin=lines + '{"prediction": "a"}\n', check=1), "line 3", "references")
        one_line(self, mellow("rouge", "--aggregate", check=1), "no line")


if __name__ == "__main__":
    harness.main()
