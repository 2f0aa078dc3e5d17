#!/usr/bin/env python3
"""docker-compose.yml, .env and the Dockerfile against the programs: flags that exist, variables that are declared, ports that are published,
images that are built or pulled as .env says; and what build.sh says where the docker client cannot build them."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("MELLOW_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BIN = pathlib.Path(os.environ["MELLOW_BIN"])
COMPOSE = (SOURCE / "docker-compose.yml").read_text(encoding="utf-8")
DOCKERFILE = (SOURCE / "deploy/docker/Dockerfile").read_text(encoding="utf-8")
# As it ships: what somebody has changed here is theirs.
ENV = subprocess.run(["git", "show", "HEAD:.env"], cwd=SOURCE, capture_output=True, text=True).stdout or (SOURCE / ".env").read_text(encoding="utf-8")
GATEWAY = (SOURCE / "deploy/docker/gateway.conf").read_text(encoding="utf-8")
SERVICES = ["policy", "reward", "learner", "orchestrator", "review"]
# Images of others; all the other services are built from this tree.
OTHERS = ["gateway", "prometheus", "alertmanager", "grafana"]
PORT = re.compile(r"\$\{(MELLOW_BIND|MELLOW_MONITORING_BIND):-127\.0\.0\.1\}:\$\{(MELLOW_\w+_PORT):-(\d+)\}:(\d+)")


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
            with self.subTest(name):
                if name not in ("prometheus", "alertmanager", "grafana"):
                    self.assertTrue(re.search(r"<<: \*(service|policy|learner)$", text, re.MULTILINE) or "read_only: true" in text)
                if name not in OTHERS:
                    self.assertRegex(text, r"target: \w+")

    def test_images_are_built_here_unless_env_names_a_registry(self):
        self.assertIn("pull_policy: &pull_policy ${MELLOW_PULL_POLICY:-never}", COMPOSE[:COMPOSE.index("x-build")])
        for name, text in compose_services().items():
            with self.subTest(name):
                image = re.search(r"^    image: (.+)$", text, re.MULTILINE)[1]
                if name in OTHERS:
                    # One that is not ours is of a version, and there is a variable for a mirror.
                    self.assertRegex(image, rf"^\$\{{MELLOW_{name.upper()}_IMAGE:-[\w/]+:v?\d[\w.-]+\}}$")
                else:
                    self.assertRegex(image, r"^\$\{MELLOW_REGISTRY:-mellow\}/\w+:\$\{MELLOW_VERSION:-dev\}(-gpu)?$")
                    self.assertTrue(re.search(r"<<: \*(service|policy|learner)$", text, re.MULTILINE) or "pull_policy: *pull_policy" in text)

    def test_ports_are_published_on_loopback_and_no_two_are_the_same(self):
        services = compose_services()
        published = {}
        for name, text in services.items():
            ports = re.search(r"^    ports:((?: .*)?\n(?:      .*\n)*)", text, re.MULTILINE)
            for entry in re.findall(r'"([^"]+)"', ports[1]) if ports else []:
                match = PORT.fullmatch(entry)
                self.assertIsNotNone(match, f"{name}: {entry}")
                # TLS on the others' ports does not make these three fit for a network.
                self.assertEqual(match[1], "MELLOW_MONITORING_BIND" if name in ("prometheus", "alertmanager", "grafana") else "MELLOW_BIND")
                published[match[2]] = (name, match[3], match[4])
        self.assertEqual(set(published), set(re.findall(r"^(MELLOW_\w+_PORT)=", ENV, re.MULTILINE)))
        self.assertEqual(len({port for _, port, _ in published.values()}), len(published))
        # Policy and reward come and go, and there are several: they are reached through the gateway.
        for role in ("policy", "reward"):
            name, _, port = published[f"MELLOW_{role.upper()}_PORT"]
            self.assertEqual(name, "gateway")
            self.assertIn(f"{port} {role};", GATEWAY)
            self.assertIn(f"listen {port} ", GATEWAY)
        self.assertIn("proxy_pass $service:50051;", GATEWAY)

    def test_tls_is_for_every_service_of_ours(self):
        override = (SOURCE / "deploy/docker/tls.yml").read_text(encoding="utf-8")
        for name in set(compose_services()) - set(OTHERS):
            self.assertRegex(override, rf"(?m)^  {name}:")
        # It hands connections on as they are.
        self.assertNotIn("ssl", GATEWAY)

    def test_grafana_has_no_password_that_everybody_knows(self):
        grafana = compose_services()["grafana"]
        self.assertIn("GF_SECURITY_ADMIN_PASSWORD: ${MELLOW_GRAFANA_PASSWORD:-}\n", grafana)
        script = re.search(r"entrypoint:\n      - sh\n      - -euc\n      - \|\n((?:        .*\n)+)", grafana)[1].replace("$$", "$")
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "run.sh").write_text('#!/bin/sh\nprintf %s "${GF_SECURITY_ADMIN_PASSWORD-}"\n')
            (folder / "run.sh").chmod(0o755)
            script = script.replace("/var/lib/grafana", str(folder)).replace("/run.sh", str(folder / "run.sh"))

            def start(password):
                return subprocess.run(["sh", "-euc", script], env={"PATH": os.environ["PATH"], "GF_SECURITY_ADMIN_PASSWORD": password},
                                      capture_output=True, text=True, check=True).stdout
            self.assertEqual(start("ours"), "ours")
            self.assertFalse((folder / "admin-password").exists())
            made = start("")
            self.assertGreaterEqual(len(made), 32)
            self.assertEqual((folder / "admin-password").read_text().strip(), made)
            self.assertEqual((folder / "admin-password").stat().st_mode & 0o777, 0o600)
            # Later Grafana has its users in its database, and this stays what it was.
            (folder / "grafana.db").touch()
            self.assertEqual(start(""), "")
            self.assertEqual((folder / "admin-password").read_text().strip(), made)

    def test_both_profiles_are_seen_by_what_must_see_everything(self):
        self.assertRegex(ENV, r"(?m)^COMPOSE_PROFILES=cpu$")
        profiles = set(re.findall(r"profiles: \[(\w+)\]", COMPOSE))
        self.assertEqual(profiles, {"cpu", "gpu", "cli"})
        self.assertIn("export COMPOSE_PROFILES=cpu,gpu\n", (SOURCE / "deploy/docker/backup.sh").read_text(encoding="utf-8"))


def run_with_docker(client, buildx, engine, *command, **variables):
    """Runs the command where docker is of this version, with or without buildx and an engine, and builds nothing."""
    with tempfile.TemporaryDirectory() as folder:
        docker = pathlib.Path(folder) / "docker"
        docker.write_text(f"""#!/bin/sh
case "$1" in
  version) echo {client}; exit {0 if engine else 1} ;;
  buildx) exit {0 if buildx else 1} ;;
  build) exit 1 ;;
  *) exit {0 if engine else 1} ;;
esac
""")
        docker.chmod(0o755)
        return subprocess.run(command, env={**os.environ, **variables, "PATH": f"{folder}:{os.environ['PATH']}"}, capture_output=True, text=True)


class WithoutBuildx(unittest.TestCase):
    def said_with(self, client, buildx):
        """What build.sh says without an engine."""
        result = run_with_docker(client, buildx, False, SOURCE / "deploy/docker/build.sh")
        self.assertEqual(result.returncode, 1)
        return result.stderr

    def test_the_build_says_what_is_missing(self):
        self.assertIn("docker 28.2.2 has no buildx", self.said_with("28.2.2", buildx=False))
        for client, buildx in (("28.2.2", True), ("20.10.24+dfsg1", False)):
            self.assertIn("no container engine answers", self.said_with(client, buildx))

    def test_the_test_with_containers_is_skipped_for_what_build_sh_refuses(self):
        def run(client, buildx):
            return run_with_docker(client, buildx, True, sys.executable, "-B", SOURCE / "tests/e2e/compose_test.py", MELLOW=str(BIN / "mellow"), MELLOW_SOURCE=str(SOURCE))

        skipped = run("28.2.2", buildx=False)
        self.assertEqual((skipped.returncode, skipped.stderr), (77, ""))
        self.assertIn("skipped: docker 28.2.2 has no buildx", skipped.stdout)
        # With it, or where the client needs none, the test goes on to the build, which fails here.
        for client, buildx in (("28.2.2", True), ("20.10.24+dfsg1", False)):
            self.assertIn("deploy/docker/build.sh: exit code 1", run(client, buildx).stderr)


if __name__ == "__main__":
    if not (BIN / "mellow_policy_server").exists():
        print(f"skipped: no programs in {BIN}")
        sys.exit(77)
    unittest.main()
