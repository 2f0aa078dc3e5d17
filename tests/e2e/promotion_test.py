#!/usr/bin/env python3
"""The champion: who moves it, what users get, and that it survives every process."""
import json
import pathlib
import shutil
import tempfile
import unittest

import harness
from harness import SMALL, SOURCE, assert_narrow, cluster, json_lines, mellow, sets, wait_until

EVAL = SOURCE / "deploy/runs/mini-eval.json"
REASON = "the first one, of which somebody says in more words than one line of a terminal has why everybody should get it"
DIALOGUE = json.dumps({"dialogue": "#Person1#: Where is my parcel?\n#Person2#: In the depot, you moron."})


class Promotion(unittest.TestCase):
    def served(self, c, adapter="champion"):
        """The version that answers a user who asks for none, or for this one."""
        return json_lines(mellow("summarize", "--dir", c.folder, "--adapter", adapter, stdin=DIALOGUE, check=0).stdout)[0]["adapter"]["version"]

    def promote(self, c, adapter, *flags, check):
        return mellow("promote", adapter, "--dir", c.folder, *flags, check=check)

    def history(self, c):
        return json.loads(mellow("promotions", "--dir", c.folder, "--json", check=0).stdout)

    def evaluate(self, c, folder, *assignments):
        out = pathlib.Path(folder) / "evaluation"
        mellow("evaluate", EVAL, "--dir", c.folder, "--out", out, "--fresh", *sets(assignments), check=0)
        return out / "evaluation.json"

    def test_an_evaluation_decides(self):
        with tempfile.TemporaryDirectory(prefix="mellow-e2e-eval.") as folder, cluster() as c:
            _, done = c.train([*SMALL, "steps=1"])
            version = done["adapter"]["version"]
            # One small step changes nothing that could be told from noise.
            evaluation = self.evaluate(c, folder, "data.limit=40")
            refused = self.promote(c, version, "--evaluation", evaluation, check=3)
            self.assertRegex(" ".join(refused.stdout.split()), r"gate toxicity FAILED .*the interval does not lie below 0")
            self.assertIn("not promoted", refused.stderr)
            assert_narrow(self, refused.stdout)
            # A version is the same as a copy of its folder, and both ways round.
            copy = pathlib.Path(folder) / "copy"
            shutil.copytree(done["path"], copy)
            of_copy = self.evaluate(c, pathlib.Path(folder) / "of-copy", "data.limit=40", f"arms=base,{copy}")
            for adapter, measured in ((version, of_copy), (copy, evaluation)):
                self.assertRegex(self.promote(c, adapter, "--evaluation", measured, check=3).stdout, "gate toxicity +FAILED")
            self.promote(c, version, "--evaluation", evaluation, "--force", check=0)
            event = self.history(c)["events"][0]
            self.assertEqual((event["action"], event["evaluation"], event["evaluation_sha256"]),
                             ("forced", "mini-eval", json.loads(evaluation.read_text())["config"]["sha256"]))
            self.assertEqual([(g["name"], g["passed"]) for g in event["gates"]][:3], [("statistics", True), ("baseline", True), ("toxicity", False)])

            self.assertIn("is the champion already", self.promote(c, done["path"], "--force", check=1).stderr)

            # Better by what the file says, but not by its rows.
            told = json.loads(evaluation.read_text())
            truth = evaluation.read_text()
            for d in told["comparisons"][0]["differences"]:
                if d["measure"] in ("toxicity", "rougeL"):
                    d["difference"] = {"mean": -0.01, "lower": -0.015, "upper": -0.005}
            evaluation.write_text(json.dumps(told))
            self.assertIn("do not follow from its rows", self.promote(c, version, "--evaluation", evaluation, check=1).stderr)
            evaluation.write_text(truth)

            # Narrow, because almost no confidence was asked for.
            narrow = self.evaluate(c, folder, "data.limit=40", "statistics.confidence=0.01")
            self.assertRegex(" ".join(self.promote(c, version, "--evaluation", narrow, check=3).stdout.split()), r"gate statistics FAILED .*confidence 0.01")
            evaluation.write_text(truth)

            # The evaluation of another adapter, one that was tampered with, and no evaluation at all.
            _, other = c.train([*SMALL, "steps=1", "seed=9"])
            self.assertIn("no arm is", self.promote(c, other["adapter"]["version"], "--evaluation", evaluation, check=3).stdout)
            told = json.loads(truth)
            told["config"]["statistics_seed"] = 1_000_000
            evaluation.write_text(json.dumps(told))
            self.promote(c, version, "--evaluation", evaluation, check=1)
            self.assertIn("no-such-file", self.promote(c, version, "--evaluation", "no-such-file", check=1).stderr)

            # The champion is an arm like others.
            both = json.loads(self.evaluate(c, folder, "data.limit=4", "arms=champion,newest").read_text())
            self.assertEqual([(a["kind"], a["sha256"]) for a in both["arms"]],
                             [("champion", done["adapter"]["sha256"]), ("version", other["adapter"]["sha256"])])

    def test_champion(self):
        with cluster("--policies", "2") as c:
            _, first = c.train([*SMALL, "steps=1"])
            version = first["adapter"]["version"]
            self.assertEqual(self.served(c), 0, "before there is a champion users get the base model")
            self.assertEqual(self.served(c, "newest"), version)

            refused = self.promote(c, version, check=3)
            self.assertIn("FAILED", refused.stdout)
            self.assertIn("--evaluation", refused.stdout)
            self.assertEqual(self.history(c)["events"], [])
            self.promote(c, version, "--force", "--reason", REASON, check=0)

            _, second = c.train([*SMALL, "steps=2", "seed=6"])
            self.assertEqual(self.served(c), version, "a later run changes nothing for users")
            # A PEFT folder of a version that the cluster keeps is that version.
            promoted = json.loads(self.promote(c, second["path"], "--force", "--json", check=0).stdout)
            self.assertEqual(promoted["champion"], second["adapter"])
            self.assertEqual(promoted["previous"], first["adapter"])
            self.assertEqual(self.served(c), second["adapter"]["version"])

            back = json.loads(mellow("rollback", "--dir", c.folder, "--reason", "complaints", "--json", check=0).stdout)
            self.assertEqual(back["champion"], first["adapter"])
            for name in ("orchestrator", "policy-0", "policy-1"):
                c.wait_restarted(name, c.kill(name))
            rows = lambda: json.loads(mellow("adapters", "--dir", c.folder, "--json").stdout or "[]")
            wait_until(lambda: [r["version"] for r in rows() if len(r["champion_of"]) == 2] == [version], "both new policies have the champion")
            self.assertEqual(self.served(c), version)

            history = self.history(c)
            self.assertEqual([e["action"] for e in history["events"]], ["forced", "forced", "rollback"])
            self.assertEqual(history["events"][0]["reason"], REASON)
            self.assertEqual(history["champion"], first["adapter"])
            text = mellow("promotions", "--dir", c.folder, check=0).stdout
            self.assertIn("  why: complaints\n", text)
            assert_narrow(self, text)
            assert_narrow(self, mellow("status", "--dir", c.folder, check=0).stdout)

            self.promote(c, "base", check=0)
            self.assertEqual(self.served(c), 0)
            mellow("rollback", "--dir", c.folder, check=0)
            self.assertEqual(self.served(c), version)
            mellow("rollback", "--dir", c.folder, check=0)
            self.assertEqual(self.served(c), 0, "before the first champion stands the base model")
            self.assertIn("champion already", self.promote(c, "base", check=1).stderr)
            last = mellow("rollback", "--dir", c.folder, check=1)
            self.assertIn("there is no champion", last.stderr)
            for force in ([], ["--force"]):
                self.assertRegex(self.promote(c, 999, *force, check=1).stderr, r"no adapter version 999; there are \d")
            self.assertIn('(did you mean "newest"?)', self.promote(c, "newset", check=1).stderr)
            self.assertIn('(did you mean "newest"?)', mellow("summarize", "--dir", c.folder, "--adapter", "newset", stdin="{}", check=1).stderr)
            self.assertRegex(mellow("summarize", "--dir", c.folder, "--adapter", "999", stdin="{}", check=1).stderr, r"no adapter version 999; there are 0 to \d")
            self.assertIn("no-such-folder", self.promote(c, "no-such-folder", "--force", check=1).stderr)


if __name__ == "__main__":
    harness.main()
