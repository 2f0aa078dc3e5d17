#!/usr/bin/env python3
"""The champion: who moves it, what users get, and that it survives every process."""
import json
import unittest

import harness
from harness import SMALL, cluster, json_lines, mellow, wait_until

DIALOGUE = json.dumps({"dialogue": "#Person1#: Where is my parcel?\n#Person2#: In the depot, you moron."})


class Promotion(unittest.TestCase):
    def served(self, c):
        """The version that answers a user who asks for none."""
        return json_lines(mellow("summarize", "--dir", c.folder, stdin=DIALOGUE, check=0).stdout)[0]["adapter"]["version"]

    def promote(self, c, adapter, *flags, check):
        return mellow("promote", adapter, "--dir", c.folder, *flags, check=check)

    def history(self, c):
        return json.loads(mellow("promotions", "--dir", c.folder, "--json", check=0).stdout)

    def test_champion(self):
        with cluster("--policies", "2") as c:
            _, first = c.train([*SMALL, "steps=1"])
            version = first["adapter"]["version"]
            self.assertEqual(self.served(c), version, "before there is a champion users get the newest")

            refused = self.promote(c, version, check=3)
            self.assertIn("FAILED", refused.stdout)
            self.assertIn("--evaluation", refused.stdout)
            self.assertEqual(self.history(c)["events"], [])
            self.promote(c, version, "--force", "--reason", "first one", check=0)

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
            self.assertEqual(history["events"][0]["reason"], "first one")
            self.assertEqual(history["champion"], first["adapter"])
            self.assertIn("complaints", mellow("promotions", "--dir", c.folder, check=0).stdout)

            mellow("rollback", "--dir", c.folder, check=0)
            last = mellow("rollback", "--dir", c.folder, check=1)
            self.assertIn("there is no champion", last.stderr)
            self.assertIn("kept are", self.promote(c, 999, "--force", check=1).stderr)
            self.assertIn("no-such-folder", self.promote(c, "no-such-folder", "--force", check=1).stderr)


if __name__ == "__main__":
    harness.main()
