#!/usr/bin/env python3
"""People's ratings from end to end: `mellow review`, mellow_review_server and the page in Debian's Chromium (review_browser.mjs).

Skipped (77) where Node.js, Chromium or playwright-core is missing; deploy/setup.sh --tools brings them.
"""
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import browser
import harness
from harness import HELDOUT, json_lines, mellow
from review_study import ARMS, mini_rows, write_evaluation

HOSTILE = [
    "<script>window.hacked = 1</script>", "<img src=x onerror=\"window.hacked = 2\">", "<svg onload=window.hacked=3>", "javascript:window.hacked=4",
    "<a href=\"javascript:window.hacked=5\">click</a>", "<iframe srcdoc=\"<script>parent.hacked=6</script>\"></iframe>", "</p></section><script>hacked=7</script>",
    "<style>body{display:none}</style>", "<link rel=stylesheet href=//evil.invalid/x.css>", "<form action=//evil.invalid><button>x</button></form>",
    "{{constructor.constructor('hacked=8')()}} ${hacked=9}", "\u202egnirts\u202c \u0000 \ufeff \"quotes\" 'too' & &amp; &lt;", "<base href=//evil.invalid/>", "-->]]><![CDATA[",
]


class Commands(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mellow-review."))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.evaluation = write_evaluation(self.folder / "evaluation.json", mini_rows(12))
        self.study = self.folder / "study.sqlite"

    def new(self, *flags, check=0):
        return mellow("review", "new", self.evaluation, "--out", self.study, *flags, check=check)

    def test_a_study_is_made_shown_and_exported(self):
        links = json_lines(self.new("--names", "Ada", "Grace", "--overlap", "0.5", "--json", "--url", "https://example.test/").stdout)
        self.assertEqual([link["annotator"] for link in links], ["Ada", "Grace"])
        for link in links:
            self.assertRegex(link["link"], r"^https://example\.test/r/[0-9a-f]{32}$")
        status = json_lines(mellow("review", "status", self.study, "--json", check=0).stdout)
        self.assertEqual([s["assigned"] for s in status], [9, 9])
        mellow("review", "invite", self.study, "Edsger", check=0)
        mellow("review", "revoke", self.study, "Ada", check=0)
        self.assertEqual([s["revoked"] for s in json_lines(mellow("review", "status", self.study, "--json", check=0).stdout)], [True, False, False])
        renewed = json_lines(mellow("review", "invite", self.study, "Ada", "--renew", "--json", check=0).stdout)
        self.assertNotIn(renewed[0]["link"][-32:], [link["link"][-32:] for link in links])
        self.assertEqual(len(mellow("review", "export", self.study, check=0).stdout.splitlines()), 1)
        out = self.folder / "summary.json"
        mellow("review", "summary", self.study, "--json", "--out", out, check=0)
        self.assertIn('"judgements": 0', out.read_text())
        self.assertIn("polite against base", mellow("review", "summary", self.study, check=0).stdout)

    def test_what_users_get_wrong_is_named_in_one_line(self):
        self.new()

        def refused(part, *args):
            result = mellow(*args, check=1)
            self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
            self.assertIn(part, result.stderr)
        other = self.folder / "other.sqlite"
        refused("study.sqlite: there is a file already", "review", "new", self.evaluation, "--out", self.study)
        refused("13 items wanted", "review", "new", self.evaluation, "--out", other, "--items", "13")
        refused("'nobody'", "review", "new", self.evaluation, "--out", other, "--arms", "base", "nobody")
        refused("overlap 2", "review", "new", self.evaluation, "--out", other, "--overlap", "2")
        refused("none.json", "review", "new", self.folder / "none.json", "--out", other)
        refused("heldout.jsonl", "review", "new", HELDOUT, "--out", other)
        refused("annotator-1", "review", "invite", self.study, "annotator-1")
        refused("Eve", "review", "revoke", self.study, "Eve")
        refused("none.sqlite", "review", "status", self.folder / "none.sqlite")
        refused("evaluation.json", "review", "summary", self.evaluation)
        self.assertFalse(other.exists())
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["evaluation.json", "study.sqlite"])
        for args in (["review"], ["review", "new"], ["review", "export"]):
            self.assertIn("Usage", mellow(*args, "--help", check=0).stdout)
        mellow("review", check=2)
        mellow("review", "export", self.study, "--format", "xml", check=2)

    def test_the_server_refuses_what_it_cannot_serve(self):
        self.new()
        server = pathlib.Path(harness.MELLOW).parent / "mellow_review_server"
        for flags, part in ((["--study", self.folder / "none"], "none"), (["--study", self.evaluation], "evaluation.json"), (["--study", self.study, "--address", "0.0.0.0:0"], "--insecure-listen"),
                            (["--study", self.study, "--address", "localhost"], "HOST:PORT"), (["--study", self.study, "--requests-per-second", "0"], "--requests-per-second 0")):
            result = subprocess.run([server, *map(str, flags)], capture_output=True, text=True, timeout=60)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn(part, result.stderr)


class Page(unittest.TestCase):
    def test_in_chromium(self):
        with tempfile.TemporaryDirectory(prefix="mellow-review.") as folder:
            folder = pathlib.Path(folder)
            write_evaluation(folder / "mini.json", mini_rows(6))
            hostile = "\n".join(f"#Person{i % 2 + 1}#: {text}" for i, text in enumerate(HOSTILE)) + "\n<b>: " + "x" * 400
            write_evaluation(folder / "hostile.json", [(hostile, "first " + " ".join(HOSTILE), "second " + " ".join(reversed(HOSTILE))), ("", "", "not empty")])
            browser.run("review_browser.mjs", timeout=840, FOLDER=str(folder), ARMS=",".join(ARMS))


if __name__ == "__main__":
    browser.skip_without()
    harness.main()
