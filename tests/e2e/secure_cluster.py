"""Services with TLS as a deployment starts them: one process each, certificates of deploy/tools/make_certs.sh, and a cluster.json for `mellow`."""
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import tempfile
import unittest
import urllib.request

import harness

BINARIES = pathlib.Path(harness.MELLOW).parent
MAKE_CERTS = harness.SOURCE / "deploy/tools/make_certs.sh"
TOKENS = {"user": "token-of-a-user-0123", "operator": "token-of-an-operator-0123"}


def make_certs(folder, *flags):
    subprocess.run([MAKE_CERTS, folder, *flags], check=True, capture_output=True, timeout=120)


class SecureCluster:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="mellow-tls."))
        self.certs = self.folder / "certs"
        self.processes = {}
        self.entries = {}
        make_certs(self.certs)
        self.tokens = self.folder / "tokens"
        self.tokens.write_text("".join(f"{token} {role} {role}-by-token\n" for role, token in TOKENS.items()))
        self.tokens.chmod(0o600)

    def tls(self, role):
        return ["--tls-cert", self.certs / f"{role}.pem", "--tls-key", self.certs / f"{role}-key.pem", "--tls-ca", self.certs / "ca.pem"]

    def start(self, name, *flags, environment=()):
        """Starts a service with the certificate of its role and waits until it serves."""
        role = name.rsplit("-", 1)[0]
        log = self.folder / f"{name}.log"
        flags = [*self.tls("orchestrator" if role == "orchestrator" else "node"), "--node-id", name, "--drain-seconds", "1", *flags]
        if role not in ("orchestrator", "review") and "orchestrator" in self.entries:
            flags += ["--orchestrator", self.entries["orchestrator"]["address"]]
        with log.open("w") as out:
            process = subprocess.Popen([BINARIES / f"mellow_{role}_server", *map(str, flags)], stdout=out, stderr=out, env={**os.environ, **dict(environment)})
        self.processes[name] = process

        def up():
            if process.poll() is not None:
                raise AssertionError(f"{name} ended with {process.returncode}:\n{log.read_text()[-2000:]}")
            return harness.serving(log)
        entry = harness.wait_until(up, f"{name} serves")
        self.entries[name] = {"name": name, "role": role, "pid": process.pid, "address": entry["address"], "metrics": entry["metrics"], "log": str(log), "restarts": 0}
        (self.folder / "cluster.json").write_text(json.dumps({"services": list(self.entries.values()), "supervisor": {"pid": os.getpid()}}))

    def start_all(self):
        models = harness.MODELS
        self.start("orchestrator", "--data-dir", self.folder / "ledger", "--policy-model", models / "mini-summarizer")
        self.start("learner", "--model", models / "mini-summarizer", "--checkpoint-dir", self.folder / "checkpoints", "--threads", "2")
        self.start("reward", "--model", models / "mini-toxicity", "--threads", "1")
        self.start("policy", "--model", models / "mini-summarizer", "--threads", "1", "--tls-client-auth", "optional", "--tokens", self.tokens,
                   "--insecure-health-address", "127.0.0.1:0")

    def address(self, name):
        return self.entries[name]["address"]

    def mellow(self, role, *args, **kwargs):
        """The CLI with the certificate of a role."""
        return harness.mellow(*self.tls(role), *args, "--dir", self.folder, **kwargs)

    def metrics(self, name, role="operator"):
        context = ssl.create_default_context(cafile=self.certs / "ca.pem")
        if role:
            context.load_cert_chain(self.certs / f"{role}.pem", self.certs / f"{role}-key.pem")
        with urllib.request.urlopen(self.entries[name]["metrics"], timeout=20, context=context) as answer:
            return answer.read().decode()

    def metric(self, name, series):
        """The value of a series; 0 when it is not there."""
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.metrics(name).splitlines() if line.startswith(series + " "))

    def stop(self, failed):
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for name, process in self.processes.items():
            process.wait(60)
            if failed:
                print(f"---- end of {name}'s log\n" + "\n".join((self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-8:]), flush=True)
        shutil.rmtree(self.folder)


class SecureClusterTest(unittest.TestCase):
    """With a cluster for all its tests."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = SecureCluster()
        try:
            cls.cluster.start_all()
        except BaseException:
            cls.cluster.stop(failed=True)
            raise

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop(failed=False)
