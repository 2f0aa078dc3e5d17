#!/usr/bin/env python3
"""Dashboards, alerts and runbook without any service: what each panel and alert must have, and promtool's own checks.

usage: observability_test.py ROOT     ends with 77 (skipped) when only promtool's part could not run.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve()
PROMETHEUS = ROOT / "deploy/prometheus"
UNITS = {"none", "percentunit", "s", "reqps", "cps"}
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
breaches = []


def expect(condition, text):
    if not condition:
        breaches.append(text)


def check_panel(where, panel):
    defaults = panel["fieldConfig"]["defaults"]
    steps = defaults.get("thresholds", {}).get("steps", [])
    expect(len(panel.get("description", "")) >= 20, f"{where}: no description")
    expect(defaults.get("unit") in UNITS, f"{where}: unit {defaults.get('unit')!r} is not one of {sorted(UNITS)}")
    expect(len(steps) >= 2 and steps[0]["value"] is None, f"{where}: no threshold")
    values = [step["value"] for step in steps[1:]]
    expect(values == sorted(values), f"{where}: thresholds are not in order")
    expect(panel.get("datasource") == DATASOURCE, f"{where}: the datasource is not the variable")
    targets = panel.get("targets", [])
    expect(targets, f"{where}: no query")
    expect(len({target["refId"] for target in targets}) == len(targets), f"{where}: equal refIds")
    for target in targets:
        expression = target["expr"]
        expect(target.get("datasource") == DATASOURCE, f"{where}: the datasource of a query is not the variable")
        for matchers in re.findall(r"\b(?:mellow_\w+|up)(\{[^}]*\}|)", expression):
            expect('job=~"$job"' in matchers and 'instance=~"$instance"' in matchers, f"{where}: not by job and instance: {expression}")
        if where.startswith("training"):
            for matchers in re.findall(r"\bmellow_(?:ppo_\w+|orchestrator_step)(\{[^}]*\}|)", expression):
                expect('run=~"$run"' in matchers, f"{where}: not by run: {expression}")
                expect("{{run}}" in target.get("legendFormat", ""), f"{where}: a legend that does not tell runs apart")
        for window in re.findall(r"\[(.*?)\]", re.sub(r'"[^"]*"', "", expression)):
            expect(window == "$__rate_interval", f"{where}: a window of {window}: {expression}")
        for literal in re.findall(r'instance\s*=~?\s*"([^"]*)"', expression):
            expect(literal == "$instance", f"{where}: instance {literal}")
        for counter in re.findall(r"\b(\w+_(?:total|bucket|sum|count)\{[^}]*\})(\[?)", expression):
            expect(counter[1] == "[", f"{where}: a counter without rate or increase: {counter[0]}")


def overlap(a, b):
    return a["x"] < b["x"] + b["w"] and b["x"] < a["x"] + a["w"] and a["y"] < b["y"] + b["h"] and b["y"] < a["y"] + a["h"]


def check_dashboards():
    paths = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
    boards = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in paths}
    expect({name: board["uid"] for name, board in boards.items()} == {name: f"mellow-{name}" for name in ("cluster", "serving", "training")},
           f"uids of the dashboards: {[board['uid'] for board in boards.values()]}")
    for name, board in boards.items():
        variables = {variable["name"]: variable["type"] for variable in board["templating"]["list"]}
        wanted = {"datasource": "datasource", "job": "query", "instance": "query"} | ({"run": "query"} if name == "training" else {})
        expect(variables == wanted, f"{name}: variables {variables}")
        expect("id" not in board, f"{name}: carries the id of one Grafana's database")
        ids = [panel["id"] for panel in board["panels"]]
        expect(len(set(ids)) == len(ids), f"{name}: equal panel ids")
        titles = [panel.get("title", "") for panel in board["panels"]]
        expect(all(titles) and len(set(titles)) == len(titles), f"{name}: panels without a title of their own")
        for i, panel in enumerate(board["panels"]):
            if panel["type"] != "row":
                check_panel(f"{name}: {panel['title']}", panel)
            for other in board["panels"][:i]:
                expect(not overlap(panel["gridPos"], other["gridPos"]), f"{name}: {panel['title']} lies on {other['title']}")
            expect(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24, f"{name}: {panel['title']} is cut off")


def anchors_of(markdown):
    """The anchors of a page's headings, as Git hosts make them: lower case, blanks as hyphens, without punctuation."""
    text = re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def check_alerts():
    runbook = (ROOT / "deploy/README.md").read_text(encoding="utf-8")
    anchors = anchors_of(runbook)
    tested = (PROMETHEUS / "alerts_test.yml").read_text(encoding="utf-8")
    blocks = re.split(r"^ +- alert: ", (PROMETHEUS / "alerts.yml").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    names = [block.split()[0] for block in blocks]
    expect(names, "no alerts")
    for name, block in zip(names, blocks):
        for field in ("expr", "for", "summary", "description"):
            expect(re.search(rf"^ +{field}: \S", block, re.MULTILINE), f"{name}: no {field}")
        expect(re.search(r"labels: \{severity: (critical|warning)\}", block), f"{name}: no severity")
        # Whoever has the pages somewhere puts that address before the path.
        url = re.search(r"^ +runbook_url: (?:\S+/)?deploy/README\.md#(\S+)$", block, re.MULTILINE)
        expect(url and url[1] == f"alert-{name.lower()}", f"{name}: no runbook_url, or one that is not of its name")
        expect(url and url[1] in anchors, f"{name}: runbook_url leads to no heading of deploy/README.md")
        for kind in (r"exp_alerts: \[\]", r"exp_alerts:(?! \[\])"):
            expect(re.search(rf"alertname: {name}\b,?\s+{kind}", tested), f"{name}: no test with {kind}")
    for name in re.findall(r"^### Alert (\w+)$", runbook, re.MULTILINE):
        expect(name in names, f"deploy/README.md: alert {name} does not exist")
    for name in re.findall(r"Mellow[A-Z]\w+", "".join(path.read_text() for path in (ROOT / "deploy/grafana/dashboards").glob("*.json"))):
        expect(name in names, f"a dashboard speaks of alert {name}, which does not exist")


def check_alertmanager():
    """Both configurations of Prometheus send alerts, and there is exactly one receiver to fill in."""
    for name in ("prometheus.yml", "prometheus-tls.yml"):
        alerting = re.search(r"^alerting:\n((?:  .*\n)+)", (PROMETHEUS / name).read_text(encoding="utf-8"), re.MULTILINE)
        expect(alerting and "names: [alertmanager]" in alerting[1] and "port: 9093" in alerting[1], f"{name}: sends its alerts to no Alertmanager")
    config = (PROMETHEUS / "alertmanager.yml").read_text(encoding="utf-8")
    receivers = re.findall(r"^  - name: (\S+)$", config, re.MULTILINE)
    expect(len(receivers) == 1, f"alertmanager.yml: receivers {receivers}")
    expect(set(re.findall(r"^ +receiver: (\S+)$", config, re.MULTILINE)) == set(receivers), "alertmanager.yml: a route leads to no receiver")
    if shutil.which("amtool"):
        result = subprocess.run(["amtool", "check-config", "alertmanager.yml"], cwd=PROMETHEUS, capture_output=True, text=True)
        expect(result.returncode == 0, f"amtool check-config:\n{result.stdout}{result.stderr}")


def check_by_promtool():
    # The other configuration names certificates that are nowhere yet.
    for arguments in (["check", "rules", "recording.yml", "alerts.yml"], ["check", "config", "prometheus.yml"],
                      ["check", "config", "--syntax-only", "prometheus-tls.yml"], ["test", "rules", "alerts_test.yml"]):
        result = subprocess.run(["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True)
        expect(result.returncode == 0, f"promtool {' '.join(arguments)}:\n{result.stdout}{result.stderr}")


def main():
    check_dashboards()
    check_alerts()
    check_alertmanager()
    promtool = shutil.which("promtool") is not None
    if promtool:
        check_by_promtool()
    if breaches:
        print("\n".join(breaches))
        return 1
    if not promtool:
        print("skipped: the rules were not tested, there is no `promtool` on the PATH (deploy/setup.sh --tools installs Debian's prometheus)")
        return 77
    print("dashboards, alerts and runbook agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
