#!/usr/bin/env python3
"""Writes rule.yaml beside this file: the rules of deploy/prometheus as a PrometheusRule.

usage: make_rule.py [--check]     --check: only says whether rule.yaml is what would be written
"""
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
RULES = HERE.parents[2] / "prometheus"
HEAD = """# Made by make_rule.py from deploy/prometheus/{recording,alerts}.yml: change those, then run it again.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: mellow
  namespace: mellow
  labels: {app.kubernetes.io/name: mellow, app.kubernetes.io/part-of: mellow}
spec:
  groups:
"""


def groups(path):
    """The lines below `groups:`, a level deeper; comments of the file's head stay behind."""
    lines = path.read_text(encoding="utf-8").splitlines()
    start = lines.index("groups:") + 1
    return [f"  {line}" if line else "" for line in lines[start:]]


def rule():
    return HEAD + "\n".join(groups(RULES / "recording.yml") + groups(RULES / "alerts.yml")) + "\n"


def main():
    path = HERE / "rule.yaml"
    if sys.argv[1:] == ["--check"]:
        if not path.exists() or path.read_text(encoding="utf-8") != rule():
            sys.exit(f"{path}: is not made from the rules of now; run {pathlib.Path(__file__).name}")
    elif len(sys.argv) == 1:
        path.write_text(rule(), encoding="utf-8")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
