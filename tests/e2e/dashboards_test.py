#!/usr/bin/env python3
"""Every query of every panel and every rule, against a real Prometheus that scrapes real services while they work."""
import contextlib
import importlib.util
import json
import shutil
import sys
import time
import unittest

import harness
from harness import MODELS, SMALL, SOURCE, cluster, mellow, wait_until
from prometheus_server import operands, prometheus

DASHBOARDS = sorted((SOURCE / "deploy/grafana/dashboards").glob("*.json"))
# Seconds enough for an alert of the shrunk patience of prometheus() to fire in the run.
STEPS = 20
DIALOGUES = "".join(json.dumps({"dialogue": f"#Person1#: Where is parcel {i}?\n#Person2#: In the depot, you moron."}) + "\n" for i in range(4))
TEXTS = "".join(json.dumps({"text": f"What a lovely day {i}."}) + "\n" for i in range(4))


def targets_of(cluster_file):
    """By the tool that ships."""
    spec = importlib.util.spec_from_file_location("targets", SOURCE / "deploy/prometheus/targets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.targets(cluster_file)


def panel_queries():
    """(where, expression) with Grafana's variables as Grafana fills them in for All."""
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                expression = target["expr"].replace("$job", ".+").replace("$instance", ".+").replace("$run", ".+").replace("$__rate_interval", "10s")
                assert "$" not in expression, (path.name, panel["title"], expression)
                yield f"{path.stem}: {panel['title']} {target['refId']}", expression


def rule_queries(rule):
    """What has to have values when nothing is wrong: what an alert looks at; a recorded series and its expression."""
    return operands(rule["query"]) if rule["type"] == "alerting" else [rule["query"], rule["name"]]


class Operands(unittest.TestCase):
    def test_of_expressions(self):
        for expression, expected in (
                ("a > 1", ["a"]),
                ("a{x=\"1 > 2 or b\"} == 0", ['a{x="1 > 2 or b"}']),
                ("(a > 30 or a < -5) and on () b == 1", ["a", "a", "b"]),
                ("a / b < 0.4\nunless on (x) resets(c[1h]) > 0", ["a / b", "resets(c[1h])"]),
                ("increase(a[10m]) > 0 or (a unless a offset 10m) > 0", ["increase(a[10m])", "a", "a"]),
                ("sum by (or_so) (a > bool 1) > 2", ["sum by (or_so) (a > bool 1)"]),
                ("(a + b) * (c)", ["(a + b) * (c)"])):
            with self.subTest(expression):
                self.assertEqual(operands(expression), expected)


class Dashboards(unittest.TestCase):
    def use(self, c):
        mellow("summarize", "--dir", c.folder, stdin=DIALOGUES, check=0)
        mellow("score", "--dir", c.folder, stdin=TEXTS, check=0)

    def test_every_query_answers_during_a_run(self):
        with cluster("--policies", "2", "--judge-model", MODELS / "mini-toxicity") as c, prometheus(targets_of(c.file())) as server:
            wait_until(lambda: len(server.targets()) == 6 and all(t["health"] == "up" for t in server.targets()), "six services are scraped", 60)
            start = time.time()
            self.use(c)
            _, end = c.train([*SMALL, f"steps={STEPS}", "guard.window=2", "guard.judge.share=0.5"])
            mellow("promote", end["adapter"]["version"], "--dir", c.folder, "--force", check=0)

            wait_until(lambda: server.instant(f"mellow_orchestrator_step == {STEPS} and on () mellow_orchestrator_run_state{{state='done'}} == 1"), "Prometheus has seen the end of the run")

            rules = server.rules()
            alerts = [rule for rule in rules if rule["type"] == "alerting"]
            self.assertEqual({"alerting", "recording"}, {rule["type"] for rule in rules})
            missing = [*panel_queries(), *((rule["name"], expression) for rule in rules for expression in rule_queries(rule))]
            self.assertGreater(len(missing), 70)

            def nothing_missing():
                # A rate needs a counter that is seen before and after, so the use goes on.
                self.use(c)
                missing[:] = [(where, expression) for where, expression in missing if server.finite(expression, start, time.time()) == 0]
                return not missing
            with contextlib.suppress(AssertionError):
                wait_until(nothing_missing, "values", 60)
            self.assertEqual(missing, [], "these have no value")

            # Prometheus renames a service's label when the scrape has one of that name; rules and panels would read the wrong one.
            self.assertEqual([label for label in server.get("/api/v1/labels") if label.startswith("exported_")], [])
            for rule in server.rules():
                with self.subTest(rule["name"]):
                    self.assertEqual((rule["health"], rule.get("lastError", "")), ("ok", ""))
            for rule in alerts:
                with self.subTest(rule["name"] + " is silent"):
                    # What was scraped before the run's last publication is a version behind for a moment, for which the alert waits.
                    wait_until(lambda: server.instant(rule["query"]) == [], f"silence of {rule['name']}")
                    self.assertEqual(server.finite(f'ALERTS{{alertname="{rule["name"]}", alertstate="firing"}}', start, time.time()), 0)

    def test_an_alert_is_seen_to_fire(self):
        """Silence above means something: the same set-up does fire when a service is gone for good."""
        with cluster() as c:
            found = targets_of(c.file())
            found[0]["targets"] = ["127.0.0.1:1"]
            with prometheus(found) as server:
                firing = 'ALERTS{alertname="MellowTargetDown", alertstate="firing", instance="127.0.0.1:1"}'
                wait_until(lambda: server.instant(firing), "the alert of a target that does not answer", 60)
                self.assertEqual([labels["service"] for labels, _ in server.instant(firing)], [found[0]["labels"]["service"]])


if __name__ == "__main__":
    if shutil.which("prometheus") is None:
        print("skipped: there is no `prometheus` on the PATH (deploy/setup.sh --tools installs Debian's)")
        sys.exit(77)
    harness.main()
