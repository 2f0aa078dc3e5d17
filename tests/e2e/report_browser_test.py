#!/usr/bin/env python3
"""The page of `mellow report` in Debian's Chromium (report_browser.mjs): of a cluster with its runs, and of texts and names that are hard to lay out.

Skipped (77) where Node.js, Chromium or playwright-core is missing; deploy/setup.sh --tools brings them. SHOTS=FOLDER keeps pictures and a PDF.
"""
import json
import pathlib
import tempfile
import unittest

import browser
import harness
import sample_evaluation
from harness import MODELS, SMALL, SOURCE, cluster, mellow, sets
from review_study import mini_rows, write_evaluation

EVAL = SOURCE / "deploy/runs/mini-eval.json"
LONG = "averyveryverylongnamewithoutanyspaceinit" * 4
HARD = [
    "<script>alert(1)</script><img src=//evil.invalid/x.png>", "\u202egnirts\u202c " + "x" * 400, "مرحبا بك في هذا الحوار אבגד", "日本語の要約は空白がありません。" * 12,
    "#Person1#: a\n\n\n" + "word " * 300, "", "`code` *markup* | pipe", "😀" * 60,
]


def hard_evaluation():
    pairs = [{"dialogue": text * 2, "reference": text, "before": f"moron {text}", "after": text, "toxicity_before": 0.9, "toxicity_after": 0.0005 * i}
             for i, text in enumerate(HARD * 4)]
    made = sample_evaluation.evaluation({"baseline": {"version": 0, "sha256": ""}, "adapter": {"version": 3, "sha256": "ab" * 32}, "pairs": pairs}, name=LONG)
    return json.dumps(made).replace('"ppo"', f'"{LONG}"').replace('"speaker"', f'"column-{LONG}"')


class Page(unittest.TestCase):
    def test_in_chromium(self):
        with tempfile.TemporaryDirectory(prefix="mellow-report.") as folder:
            folder = pathlib.Path(folder)
            pages = []

            def report(name, evaluation, *flags):
                mellow("report", evaluation, "--out", folder / name, *flags, check=0)
                pages.append(str(folder / name / "report.html"))

            study = folder / "study.sqlite"
            mellow("review", "new", write_evaluation(folder / "rated.json", mini_rows(6)), "--out", study, check=0)
            mellow("review", "summary", study, "--json", "--out", folder / "summary.json", check=0)
            with cluster() as c:
                c.train([*SMALL, "steps=3"])
                spec = json.loads((SOURCE / "deploy/runs/mini-sft.json").read_text())
                spec["data"].update(path=str(SOURCE / "deploy/runs" / spec["data"]["path"]), max_chars=300, dev_fraction=0.02)
                del spec["epochs"]
                spec.update(max_steps=4, eval_every=2)
                (folder / "sft.json").write_text(json.dumps(spec))
                tuned = json.loads(mellow("sft", folder / "sft.json", "--dir", c.folder, "--json", check=0).stdout.splitlines()[-1])
                mellow("evaluate", EVAL, "--dir", c.folder, "--out", folder / "evaluation", *sets(["data.limit=30", "samples=2", f"arms=base,newest,{tuned['path']}"]), check=0)
                mellow("promote", "3", "--dir", c.folder, "--force", check=0)
                report("cluster", folder / "evaluation/evaluation.json", "--dir", c.folder, "--review", folder / "summary.json")
            (folder / "hard.json").write_text(hard_evaluation())
            report("hard", folder / "hard.json", "--reward-model", MODELS / "mini-toxicity")
            browser.run("report_browser.mjs", timeout=540, PAGES=":".join(pages))


if __name__ == "__main__":
    browser.skip_without()
    harness.main()
