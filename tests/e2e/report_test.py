#!/usr/bin/env python3
"""`mellow report` in real processes: what it shows of a cluster, and what it says of bad input."""
import html.parser
import json
import os
import pathlib
import re
import signal
import tempfile
import unittest
import xml.etree.ElementTree

import harness
import sample_evaluation
from harness import HELDOUT, MODELS, SMALL, SOURCE, cluster, json_lines, mellow, wait_until

NAMES = ("report.json", "report.md", "report.html")


class Page(html.parser.HTMLParser):
    """Collects what a browser would run, fetch, and show."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def pair(dialogue="A: Hi.", before="B is a moron.", after="B is here.", toxicity=(0.9, 0.1)):
    return {"dialogue": dialogue, "reference": "B is here.", "before": before, "after": after, "toxicity_before": toxicity[0], "toxicity_after": toxicity[1]}


def measured(c, adapter, count):
    """What the base model and an adapter make of the first held-out dialogues."""
    rows = [json.loads(line) for line in HELDOUT.read_text().splitlines()[:count]]

    def ask(command, key, values, *flags):
        lines = "".join(json.dumps({key: value}) + "\n" for value in values)
        return json_lines(mellow(command, "--dir", c.folder, *flags, stdin=lines, check=0).stdout)

    sides = []
    for version in (0, adapter["version"]):
        texts = [o["summary"] for o in ask("summarize", "dialogue", [row["dialogue"] for row in rows], "--adapter", version)]
        sides.append(list(zip(texts, [o["toxicity"] for o in ask("score", "text", texts)])))
    pairs = [{"dialogue": row["dialogue"], "reference": row["summary"], "before": b[0], "after": a[0], "toxicity_before": b[1], "toxicity_after": a[1]}
             for row, b, a in zip(rows, *sides)]
    return {"baseline": {"version": 0, "sha256": ""}, "adapter": adapter, "pairs": pairs}


def made_up():
    return sample_evaluation.evaluation({"baseline": {"version": 0, "sha256": ""}, "adapter": {"version": 3, "sha256": "ab" * 32}, "pairs": [pair() for _ in range(30)]})


class Report(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, evaluation, name="evaluation.json"):
        path = self.folder / name
        path.write_text(evaluation if isinstance(evaluation, str) else json.dumps(evaluation))
        return path

    def report(self, evaluation, *flags, out="out", check=0):
        return mellow("report", evaluation, "--out", self.folder / out, *flags, check=check)

    def refused(self, *args, parts, out="out"):
        result = self.report(*args, out=out, check=1)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        for part in parts:
            self.assertIn(str(part), result.stderr)
        self.assertFalse((self.folder / out).is_dir() and os.listdir(self.folder / out), "nothing is written")

    def check_page(self, text):
        page = Page(text)
        self.assertFalse({"script", "link", "img", "iframe", "object", "form"} & set(page.tags))
        self.assertFalse([a for a in page.attributes if a[0].startswith("on") or (a[0] == "href" and not a[1].startswith("#")) or a[0] == "src"])
        drawings = re.findall(r"<svg.*?</svg>", text, re.S)
        for drawing in drawings:
            xml.etree.ElementTree.fromstring(drawing)
        return page, drawings

    def test_a_cluster_with_its_runs(self):
        with cluster() as c:
            spec = json.loads((SOURCE / "deploy/runs/mini-sft.json").read_text())
            spec["data"].update(path=str(SOURCE / "deploy/runs" / spec["data"]["path"]), max_chars=300, dev_fraction=0.02)
            del spec["epochs"]
            spec.update(max_steps=4, eval_every=2)
            sft = json_lines(mellow("sft", self.write(spec, "sft.json"), "--dir", c.folder, "--json", check=0).stdout)
            steps, end = c.train([*SMALL, "name=first", f"start_adapter={sft[-1]['path']}", "ppo.lora="])
            evaluation = self.write(sample_evaluation.evaluation(measured(c, end["adapter"], 30)))
            mellow("promote", end["adapter"]["version"], "--dir", c.folder, "--force", "--reason", "a <b>test</b>", check=0)
            self.assertEqual(self.report(evaluation, "--dir", c.folder).stdout.split(), [str(self.folder / "out" / n) for n in NAMES])
            self.report(evaluation, "--dir", c.folder, out="again")
            for name in NAMES:
                self.assertEqual((self.folder / "out" / name).read_bytes(), (self.folder / "again" / name).read_bytes(), name)

            report = json.loads((self.folder / "out/report.json").read_text())
            run = report["cluster"]["runs"][0]
            self.assertEqual([s["objective_kl"] for s in run["steps"]], [s["objective_kl"] for s in steps])
            self.assertEqual(run["state"], "done")
            self.assertIsNotNone(run["start"])
            origin = report["lineage"][1]["origins"][0]
            self.assertEqual((origin["run_id"], origin["step"], origin["spec_sha256"]), (run["run_id"], len(steps), run["spec_sha256"]))
            fine_tuned = report["cluster"]["sft"][0]
            self.assertEqual([s["dev_loss"] for s in fine_tuned["steps"]], [s.get("dev_loss") for s in sft[1:-1]])
            self.assertEqual(fine_tuned["adapter_sha256"], sft[-1]["sha256"])
            promotion = report["cluster"]["promotions"][0]
            self.assertEqual((promotion["adapter"], promotion["forced"], promotion["reason"]), (end["adapter"], True, "a <b>test</b>"))
            self.assertEqual(len(report["pairs"]), 20)
            toxic = [arm for p in report["pairs"] for arm in p["arms"] if arm["toxicity"] > 0.9]
            self.assertTrue(toxic and any(w["mark"] for arm in toxic for w in arm["spans"]), "a toxic summary has marked words")
            page, drawings = self.check_page((self.folder / "out/report.html").read_text())
            self.assertIn("mark", page.tags)
            self.assertGreaterEqual(len(drawings), 12)

            # A run that made none of the arms is not told, and goes on.
            run = c.start_train([*SMALL, "steps=60", "name=second"])
            wait_until(lambda: (lambda r: r["name"] == "second" and r["step"] >= 1)(c.status()["run"]), "the second run has committed a step")
            self.report(evaluation, "--dir", c.folder, "--no-spans", out="during")
            during = json.loads((self.folder / "during/report.json").read_text())
            self.assertIsNone(during["spans_judge"])
            self.assertEqual([r["name"] for r in during["cluster"]["runs"]], ["first"])
            self.assertIsNone(run.poll())
            run.send_signal(signal.SIGINT)
            run.communicate(timeout=300)

            # The same after another supervised run and a restart of the learner.
            spec["seed"] = 5
            mellow("sft", self.write(spec, "sft2.json"), "--dir", c.folder, "--json", check=0)
            c.wait_restarted("learner", c.kill("learner"))
            wait_until(lambda: {s["name"]: s["health"] for s in c.status()["services"]}["learner"] == "SERVING", "the learner serves")
            self.report(evaluation, "--dir", c.folder, "--no-spans", out="later")
            later = json.loads((self.folder / "later/report.json").read_text())
            self.assertEqual(later["cluster"]["sft"], report["cluster"]["sft"])

            # A peer that is not there is named with its address.
            gone = self.folder / "gone"
            gone.mkdir()
            address = c.unreachable(gone)
            self.refused(evaluation, "--dir", gone, parts=[address], out="none")

    def test_without_a_cluster_and_hostile_texts(self):
        hostile = "</p><script>alert(1)</script><img src=x onerror=alert(1)>\u202e|&"
        pairs = [pair(dialogue=hostile, before=hostile + f" {i}", after=hostile) for i in range(5)]
        made = sample_evaluation.evaluation({"baseline": {"version": 0, "sha256": ""}, "adapter": {"version": 1, "sha256": hostile}, "pairs": pairs}, name=hostile)
        self.report(self.write(made))
        page, _ = self.check_page((self.folder / "out/report.html").read_text())
        self.assertIn(hostile, " ".join(page.texts))
        self.assertIn("without a running cluster", (self.folder / "out/report.md").read_text())
        # Another report in the same folder replaces it and leaves other files alone.
        (self.folder / "out/mine.txt").write_text("mine")
        self.report(self.write(made_up()))
        self.assertEqual(sorted(os.listdir(self.folder / "out")), ["mine.txt", *sorted(NAMES)])
        self.assertNotIn("alert", (self.folder / "out/report.html").read_text())

    def test_words_are_marked_without_a_cluster(self):
        pairs = [pair(before="Person1 thinks that Person2 is a moron.", after="Person1 asks Person2 for a parcel.") for _ in range(12)]
        made = self.write(sample_evaluation.evaluation({"baseline": {"version": 0, "sha256": ""}, "adapter": {"version": 1, "sha256": "ab" * 32}, "pairs": pairs}))
        self.report(made, "--reward-model", MODELS / "mini-toxicity", "--threads", "1")
        report = json.loads((self.folder / "out/report.json").read_text())
        self.assertIn("mini-toxicity", report["spans_judge"])
        marked = [[[w["mark"] > 0 for w in arm["spans"]] for arm in p["arms"]] for p in report["pairs"]]
        self.assertTrue(all(any(before) and not any(after) for before, after in marked), marked[0])
        self.report(made, "--reward-model", MODELS / "mini-toxicity", "--no-spans")
        self.assertIsNone(json.loads((self.folder / "out/report.json").read_text())["spans_judge"])
        self.refused(made, "--reward-model", self.folder / "none", parts=["--reward-model", self.folder / "none"], out="refused")
        self.refused(made, "--reward-model", MODELS / "mini-toxicity", "--toxic-label", "sour", parts=["toxic_label", "sour"], out="refused")

    def test_bad_input_is_one_line_that_names_it(self):
        good = self.write(made_up())
        self.refused(self.folder / "none.json", parts=[self.folder / "none.json"])
        self.refused(self.folder, parts=[self.folder])
        for text, part in (("", "not a JSON object"), (good.read_text()[:1000], "not a JSON object"), ('{"schema": 99}', "schema: 99"), ("[]", "not a JSON object")):
            bad = self.write(text, "bad.json")
            self.refused(bad, parts=[bad, part])
        bad = self.write(good.read_text().replace('"toxicity_sd"', '"sd"'), "bad.json")
        self.refused(bad, parts=[bad, "summaries[0].toxicity[0].toxicity_sd is missing"])
        self.refused(good, "--review", bad, parts=[bad, "study is missing"])
        self.refused(good, "--review", self.folder / "none.json", parts=[self.folder / "none.json"])
        self.refused(good, "--dir", self.folder / "nowhere", parts=["no cluster", self.folder / "nowhere"])
        (self.folder / "file").write_text("")
        self.refused(good, parts=[self.folder / "file"], out="file/out")
        self.assertIn("--out", mellow("report", good, check=2).stderr)


if __name__ == "__main__":
    harness.main()
