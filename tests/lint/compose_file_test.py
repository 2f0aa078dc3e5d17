#!/usr/bin/env python3
"""docker-compose.yml, .env and the Dockerfile against the programs: flags that exist, variables that are declared, one version of every image."""
import os
import pathlib
import re
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(os.environ.get("MELLOW_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ["MELLOW_BIN"])
COMPOSE = (SOURCE / "docker-compose.yml").read_text(encoding="utf-8")
DOCKERFILE = (SOURCE / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
ENV = (SOURCE / ".env").read_text(encoding="utf-8")
SERVICES = ["policy", "reward", "learner", "orchestrator", "review"]


def flags_of(service):
    usage = subprocess.run([BIN / f"mellow_{service}_server", "--help"], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^\s+(--[a-z-]+)", usage, re.MULTILINE))


def compose_services():
    """{service: its text}; the file has one of them every two spaces under `services:`."""
    text = re.search(r"^services:\n(.*?)^volumes:", COMPOSE, re.MULTILINE | re.DOTALL)[1]
    parts = re.split(r"^  ([a-z-]+):\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


class ComposeFile(unittest.TestCase):
    def test_flags_are_those_of_the_programs(self):
        services = compose_services()
        for service in SERVICES:
            known = flags_of(service)
            stage = re.search(rf"^FROM \w+ AS {service}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)[1]
            for where, text in (("docker-compose.yml", services[service]), ("Dockerfile", stage)):
                used = re.findall(r"(--[a-z-]+)(?:=|\"|$)", text, re.MULTILINE)
                used = [flag for flag in used if flag not in ("--from", "--interval", "--timeout", "--start-period", "--retries")]
                self.assertTrue(used, (service, where))
                self.assertLessEqual(set(used), known, f"{where}: {service}")

    def test_variables_are_declared_once(self):
        declared = re.findall(r"^([A-Z_]+)=", ENV, re.MULTILINE)
        self.assertEqual(len(declared), len(set(declared)))
        used = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", COMPOSE))
        self.assertLessEqual({name for name in declared if name.startswith("MELLOW_")}, set(used), "declared, but nothing reads them")
        for name, value in re.findall(r"^(MELLOW_[A-Z_]+)=(.*)$", ENV, re.MULTILINE):
            self.assertEqual(used[name], value, f"{name}: the default in docker-compose.yml is another one")

    def test_every_service_of_ours_is_confined(self):
        self.assertIn("read_only: true", COMPOSE[:COMPOSE.index("x-build")])
        for name, text in compose_services().items():
            if name in ("prometheus", "grafana"):
                continue
            with self.subTest(name):
                self.assertTrue(re.search(r"<<: \*(service|policy|learner)$", text, re.MULTILINE) or "read_only: true" in text)
                self.assertRegex(text, r"target: \w+")


if __name__ == "__main__":
    if not (BIN / "mellow_policy_server").exists():
        print(f"skipped: no programs in {BIN}")
        sys.exit(77)
    unittest.main()
