#!/usr/bin/env python3
"""docker-compose.yml on a real engine: images built from this tree, everything started, a run that finishes although a policy is killed,
and its KL in Prometheus. Without an engine, with a client that cannot build (no buildx), or where no base image can be had, it is skipped.

MELLOW_DEBIAN, DOCKER_BUILD_ARGS: as for deploy/docker/build.sh."""
import base64
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request
import uuid

import harness
from harness import SOURCE, json_lines, mellow, wait_until
from prometheus_server import Prometheus

TAG = "e2e"
BASE = os.environ.get("MELLOW_DEBIAN", "debian:bookworm-slim")
PROMETHEUS = "prom/prometheus:v2.53.2"
GRAFANA = "grafana/grafana:11.2.0"
GATEWAY = "nginx:1.27-alpine"
ALERTMANAGER = "prom/alertmanager:v0.27.0"
DIALOGUE = json.dumps({"dialogue": "#Person1#: Where is my parcel?\n#Person2#: In the depot, you moron."}) + "\n"
IMAGES = ["policy", "reward", "learner", "orchestrator", "review", "cli"]
STEPS = 3


def run(*command, check=True, env=None, timeout=3600):
    result = subprocess.run([str(c) for c in command], cwd=SOURCE, capture_output=True, text=True, timeout=timeout, check=False, env={**os.environ, **(env or {})})
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {result.returncode}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}")
    return result


def docker(*arguments, **options):
    return run("docker", *arguments, **options)


def obtainable(image):
    return docker("image", "inspect", image, check=False).returncode == 0 or docker("pull", "--quiet", image, check=False).returncode == 0


def compose_command():
    """Compose 2 is a part of docker, compose 1 a program of its own."""
    if docker("compose", "version", check=False).returncode == 0:
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else None


def client_without_buildx():
    """The version of a docker client that needs its plugin buildx for a Dockerfile with BuildKit and has none, as build.sh finds it; else None."""
    client = docker("version", "--format", "{{.Client.Version}}", check=False).stdout.strip()
    major = re.match(r"(\d+)\.", client)
    return client if major and int(major[1]) >= 23 and docker("buildx", "version", check=False).returncode != 0 else None


def reason_to_skip():
    if shutil.which("docker") is None:
        return "there is no docker on the PATH"
    if docker("info", check=False).returncode != 0:
        return "no container engine answers (docker info)"
    if client := client_without_buildx():
        return f"docker {client} has no buildx, which builds the images"
    if compose_command() is None:
        return "neither `docker compose` nor docker-compose is there"
    if not obtainable(BASE):
        return f"the base image {BASE} cannot be pulled (deploy/docker/make_base.sh makes one)"
    return ""


class Project:
    def __init__(self, *files):
        self.command = [*compose_command(), *(word for file in files for word in ("-f", file))]
        self.name = f"mellow-e2e-{uuid.uuid4().hex[:8]}"
        self.env = {"COMPOSE_PROJECT_NAME": self.name, "MELLOW_VERSION": TAG, "MELLOW_ORCHESTRATOR_PORT": "0", "MELLOW_REVIEW_PORT": "0",
                    "MELLOW_PROMETHEUS_PORT": "0", "MELLOW_GRAFANA_PORT": "0", "MELLOW_POLICY_PORT": "0", "MELLOW_REWARD_PORT": "0",
                    "MELLOW_ALERTMANAGER_PORT": "0", "MELLOW_PROMETHEUS_IMAGE": prometheus_image()}

    def __call__(self, *arguments, **options):
        return run(*self.command, *arguments, env=self.env, **options)

    def containers(self, service):
        """Ids of the running ones."""
        return self("ps", "-q", service).stdout.split()

    def address(self, service, port):
        return self("port", service, port).stdout.strip()

    def cli(self, *arguments, **options):
        return self("run", "--rm", "-T", "cli", *arguments, **options)

    def healthy(self, service, count=1):
        ids = self.containers(service)
        states = [docker("inspect", "--format", "{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}", i).stdout.strip() for i in ids]
        return len(ids) == count and set(states) <= {"healthy", "running"}


def prometheus_image():
    if obtainable(PROMETHEUS):
        return PROMETHEUS
    name = f"mellow-e2e/prometheus:{TAG}"
    arguments = os.environ.get("DOCKER_BUILD_ARGS", "").split()
    with open(SOURCE / "tests/e2e/compose/prometheus.Dockerfile", encoding="utf-8") as file:
        subprocess.run(["docker", "build", *arguments, "--build-arg", f"DEBIAN={BASE}", "--tag", name, "-"], stdin=file, check=True, capture_output=True, timeout=900)
    return name


@contextlib.contextmanager
def project(*files):
    p = Project(*files)
    try:
        yield p
    except BaseException:
        print(p("logs", "--no-color", "--tail", "40", check=False).stdout[-20000:], file=sys.stderr)
        raise
    finally:
        p("down", "--volumes", "--timeout", "5", check=False)


class Images(unittest.TestCase):
    def test_hold_what_runs_and_nothing_to_build_with(self):
        for name in IMAGES:
            image = f"mellow/{name}:{TAG}"
            with self.subTest(image):
                shell = "id -u; for p in cc gcc g++ c++ cmake python3 perl5 pip git; do command -v $p; done; ls /data; touch /x 2>/dev/null && echo writable"
                said = docker("run", "--rm", "--read-only", "--entrypoint", "sh", image, "-c", shell, check=False).stdout.split()
                self.assertEqual(said, ["65532", "learner", "orchestrator", "results"])
                config = json.loads(docker("image", "inspect", image).stdout)[0]["Config"]
                self.assertEqual(config["User"], "65532:65532")
                self.assertEqual(config["Labels"]["org.opencontainers.image.version"], TAG)
                self.assertTrue(name == "cli" or config["Healthcheck"]["Test"])
                usage = docker("run", "--rm", "--read-only", image, "--help")
                self.assertIn("--help", usage.stdout)

    def test_say_what_is_in_them(self):
        for name in IMAGES:
            with self.subTest(name):
                sbom = json.loads(docker("run", "--rm", "--entrypoint", "cat", f"mellow/{name}:{TAG}", "/usr/share/mellow/sbom.spdx.json").stdout)
                self.assertEqual(sbom["spdxVersion"], "SPDX-2.3")
                packages = {package["name"]: package for package in sbom["packages"]}
                self.assertLess({"libc6", "sentencepiece"}, set(packages))
                self.assertEqual("torch" in packages, name in ("policy", "reward", "learner", "cli"))
                ids = {package["SPDXID"] for package in sbom["packages"]} | {"SPDXRef-DOCUMENT"}
                self.assertEqual(len(ids), len(sbom["packages"]) + 1)
                self.assertIn("mellow" if name == "cli" else f"mellow_{name}_server", packages)
                for relation in sbom["relationships"]:
                    self.assertLess({relation["spdxElementId"], relation["relatedSpdxElement"]}, ids)
                installed = docker("run", "--rm", "--entrypoint", "dpkg-query", f"mellow/{name}:{TAG}", "-W", "-f", "${Package}\n").stdout.split()
                self.assertLessEqual(set(installed), set(packages))


class Compose(unittest.TestCase):
    def test_a_run_survives_a_policy_and_is_seen_by_prometheus(self):
        with project() as p:
            others = [name for name, image in (("grafana", GRAFANA), ("gateway", GATEWAY), ("alertmanager", ALERTMANAGER)) if obtainable(image)]
            services = ["orchestrator", "reward", "policy", "learner", "review", "prometheus", *others]
            p("up", "--detach", "--no-build", "--scale", "policy=2", *services)
            for service in services:
                wait_until(lambda s=service: p.healthy(s, 2 if s == "policy" else 1), f"{service} is healthy", 180)

            if "gateway" in others:
                self.users_are_served(p)
            if "grafana" in others:
                self.grafana_has_a_password_of_its_own(p)
            command = [*p.command, "run", "--rm", "-T", "cli", "train", "/runs/mini.json", "--json", "--set", f"steps={STEPS}"]
            with subprocess.Popen(command, cwd=SOURCE, env={**os.environ, **p.env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as train:
                first = train.stdout.readline()
                victim = p.containers("policy")[0]
                docker("kill", victim)
                self.assertIsNone(train.poll(), "the run was over before the policy was killed")
                rest, errors = train.communicate(timeout=600)
            self.assertEqual(train.returncode, 0, errors[-3000:])
            events = json_lines(first + rest)
            self.assertEqual([e["step"] for e in events if "step" in e and "kl" in json.dumps(e)][:STEPS], list(range(1, STEPS + 1)), events)

            server = Prometheus(int(p.address("prometheus", 9090).rsplit(":", 1)[1]))
            seen = wait_until(lambda: server.instant('mellow_ppo_objective_kl{job="mellow"}'), "Prometheus has scraped the KL", 60)
            self.assertEqual(len(seen), 1)
            wait_until(lambda: {labels["service"] for labels, value in server.instant('up{job="mellow"} == 1')} == {"orchestrator", "reward", "policy", "learner"},
                       "every service is scraped", 60)

            answer = json_lines(p("run", "--rm", "-T", "cli", "status", "--json").stdout)[0]
            self.assertEqual((answer["run"]["state"], answer["run"]["step"]), ("DONE", STEPS))
            # The results of one command are there for the next, and the page takes the study that one of them makes.
            p.cli("evaluate", "/runs/mini-eval.json", "--out", "evaluation", "--set", "data.limit=12", "--set", "statistics.resamples=200")
            p.cli("review", "new", "evaluation/evaluation.json", "--out", "review.sqlite", "--annotators", "1")
            page = urllib.request.urlopen(f"http://{p.address('review', 8080)}/healthz", timeout=20).read()
            self.assertEqual(page, b"ok\n")
            self.backup_and_restore(p, services)

    @unittest.skipUnless(os.geteuid() == 0, "gives the keys the group of the containers")
    def test_over_tls(self):
        with tempfile.TemporaryDirectory() as certs, project("docker-compose.yml", "deploy/docker/tls.yml") as p:
            run("deploy/tools/make_certs.sh", certs)
            # Their group is what the containers run as.
            os.chmod(certs, 0o755)
            for key in pathlib.Path(certs).glob("*-key.pem"):
                os.chown(key, -1, 65532)
                key.chmod(0o640)
            p.env["MELLOW_CERTS"] = certs
            gateway = ["gateway"] if obtainable(GATEWAY) else []
            services = ["orchestrator", "reward", "policy", "learner", "review", "prometheus", *gateway]
            p("up", "--detach", "--no-build", *services)
            for service in services:
                wait_until(lambda s=service: p.healthy(s), f"{service} is healthy", 180)
            if gateway:
                self.users_are_served(p, "--tls-cert", f"{certs}/user.pem", "--tls-key", f"{certs}/user-key.pem", "--tls-ca", f"{certs}/ca.pem")
            p.cli("train", "/runs/mini.json", "--json", "--set", "steps=1")
            server = Prometheus(int(p.address("prometheus", 9090).rsplit(":", 1)[1]))
            wait_until(lambda: len(server.instant('up{job="mellow"} == 1')) == 4, "every service is scraped", 60)
            plain = p("run", "--rm", "-T", "-e", "MELLOW_TLS_CERT=", "-e", "MELLOW_TLS_KEY=", "-e", "MELLOW_TLS_CA=", "cli", "status", "--json")
            self.assertEqual({service["health"] for service in json_lines(plain.stdout)[0]["services"]}, {"NOT_SERVING"})
            user = p("run", "--rm", "-T", "-e", "MELLOW_TLS_CERT=/certs/user.pem", "-e", "MELLOW_TLS_KEY=/certs/user-key.pem",
                     "cli", "train", "/runs/mini.json", "--json", "--set", "steps=1", check=False)
            self.assertEqual(user.returncode, 1)
            self.assertIn("role user (user) may not call /mellow.orchestrator.v1.OrchestratorService/StartRun", user.stderr)

    def users_are_served(self, p, *credentials):
        """From the host, by a port that does not say which of the policies answers."""
        connect = f"policy={p.address('gateway', 50052)},reward={p.address('gateway', 50053)}"
        answer = json_lines(mellow(*credentials, "--connect", connect, "summarize", stdin=DIALOGUE, check=0).stdout)[0]
        self.assertIn("summary", answer)
        self.assertEqual(mellow(*credentials, "--connect", connect, "score", stdin='{"text": "You are kind."}\n', check=0).returncode, 0)

    def grafana_has_a_password_of_its_own(self, p):
        password = p("exec", "-T", "grafana", "cat", "/var/lib/grafana/admin-password").stdout.strip()

        def status(secret):
            header = {"Authorization": "Basic " + base64.b64encode(f"admin:{secret}".encode()).decode()}
            try:
                return urllib.request.urlopen(urllib.request.Request(f"http://{p.address('grafana', 3000)}/api/user", headers=header), timeout=20).status
            except urllib.error.HTTPError as error:
                return error.code
            except OSError:
                return 0
        wait_until(lambda: status(password) == 200, "Grafana takes the password that it made", 60)
        self.assertEqual(status("admin"), 401)

    def backup_and_restore(self, p, services):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "mellow.tar.gz"
            before = self.history(p)
            run("deploy/docker/backup.sh", "save", file, env=p.env)
            wait_until(lambda: p.healthy("orchestrator") and p.healthy("learner"), "they run again after the copy", 180)
            self.assertIn("is up", run("deploy/docker/backup.sh", "restore", file, env=p.env, check=False).stderr)
            p("down", "--volumes", "--timeout", "5")
            run("deploy/docker/backup.sh", "restore", file, env=p.env)
            p("up", "--detach", "--no-build", *services)
            for service in ("orchestrator", "learner", "policy", "reward"):
                wait_until(lambda s=service: p.healthy(s), f"{service} is healthy again", 180)
            self.assertEqual(self.history(p), before)
            p.cli("review", "status", "review.sqlite")
            # The next run starts where nothing is in its way, and ends.
            self.assertEqual(p.cli("train", "/runs/mini.json", "--json", "--set", "steps=1", "--set", "seed=3").returncode, 0)

    @staticmethod
    def history(p):
        status = json_lines(p.cli("status", "--json").stdout)[0]
        return status["run"]


if __name__ == "__main__":
    if reason := reason_to_skip():
        print(f"skipped: {reason}")
        sys.exit(77)
    run("deploy/docker/build.sh", env={"MELLOW_VERSION": TAG, "MELLOW_DEBIAN": BASE, "MELLOW_REGISTRY": "mellow"})
    harness.main()
