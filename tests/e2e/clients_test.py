#!/usr/bin/env python3
"""deploy/clients/README.md: every command in it runs as it stands, against services with and without TLS; and the calls of the other pages."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import harness
from secure_cluster import TOKENS, SecureCluster

README = harness.SOURCE / "deploy/clients/README.md"


def blocks():
    return re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def grpcurl_folder():
    found = shutil.which("grpcurl")
    places = [pathlib.Path(found).parent] if found else []
    for place in (*places, pathlib.Path.home() / "go/bin", pathlib.Path(os.environ.get("GOPATH", "/nowhere")) / "bin"):
        if (place / "grpcurl").exists():
            return place
    return None


class ClientsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = pathlib.Path(tempfile.mkdtemp(prefix="mellow-client."))
        cls.cluster = SecureCluster()
        try:
            cls.plain = cls.enterClassContext(harness.cluster("--policies", "1"))
            cls.cluster.start("policy", "--model", harness.MODELS / "mini-summarizer", "--threads", "1", "--tls-client-auth", "optional",
                              "--tokens", cls.cluster.tokens)
        except BaseException:
            cls.cluster.stop(failed=True)
            raise
        services = cls.plain.services()
        cls.environment = {**os.environ, "POLICY": services["policy-0"]["address"], "REWARD": services["reward-0"]["address"],
                           "SECURE_POLICY": cls.cluster.address("policy"), "CERTS": str(cls.cluster.certs), "TOKEN": TOKENS["user"], "CLIENT": str(cls.client)}

    @classmethod
    def tearDownClass(cls):
        cls.cluster.stop(failed=False)
        shutil.rmtree(cls.client)

    def run_block(self, block, folder=None):
        environment = dict(self.environment)
        if folder:
            environment["PATH"] = f"{folder}:{environment['PATH']}"
        result = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=harness.SOURCE, env=environment, capture_output=True, text=True, timeout=600)
        self.assertEqual(result.returncode, 0, f"{block}\n{result.stdout}\n{result.stderr}")
        return result.stdout

    def test_grpcurl(self):
        folder = grpcurl_folder()
        if folder is None:
            self.skipTest("there is no grpcurl (go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3)")
        plain, secure = [block for block in blocks() if block.startswith("grpcurl")]
        out = self.run_block(plain, folder)
        self.assertIn('"summary":', out)
        self.assertIn('"toxicity":', out)
        self.assertIn("mellow.policy.v1.PolicyService.Summarize", out)
        out = self.run_block(secure, folder)
        self.assertIn('"summary":', out)
        self.assertEqual(out.count('"parameters":'), 2)
        # What the lines above need is needed.
        address = self.environment["SECURE_POLICY"]
        for flags, code in ((["-plaintext"], "context deadline exceeded"), (["-cacert", self.environment["CERTS"] + "/ca.pem"], "Unauthenticated"),
                            (["-cacert", self.environment["CERTS"] + "/ca.pem", "-H", "authorization: Bearer wrong"], "Unauthenticated")):
            result = subprocess.run([folder / "grpcurl", "-connect-timeout", "5", *flags, address, "list"], capture_output=True, text=True, timeout=60)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn(code, result.stderr + result.stdout)

    def test_the_calls_of_the_other_pages(self):
        folder = grpcurl_folder()
        if folder is None:
            self.skipTest("there is no grpcurl")
        calls = []
        for page in ("README.md", "deploy/README.md"):
            text = (harness.SOURCE / page).read_text().replace("\\\n", "")
            calls += [line.strip() for line in text.splitlines() if line.startswith("    grpcurl ")]
        self.assertGreaterEqual(len(calls), 4)
        for call in calls:
            address = "$POLICY" if "PolicyService" in call else "$REWARD"
            self.assertIn('"summary":' if "PolicyService" in call else '"toxicity":', self.run_block(re.sub(r"127\.0\.0\.1:\S+", address, call), folder))

    def test_limits_and_no_reflection(self):
        folder = grpcurl_folder()
        if folder is None:
            self.skipTest("there is no grpcurl")
        self.cluster.start("policy-1", "--model", harness.MODELS / "mini-summarizer", "--threads", "1", "--client-rate", "0.5", "--max-message-mib", "1", "--no-reflection")
        certs = self.cluster.certs
        command = [folder / "grpcurl", "-v", "-cacert", certs / "ca.pem", "-cert", certs / "user.pem", "-key", certs / "user-key.pem"]
        address = self.cluster.address("policy-1")
        unknown = subprocess.run([*command, address, "list"], capture_output=True, text=True, timeout=60)
        self.assertIn("does not support the reflection API", unknown.stderr)
        command += ["-import-path", harness.SOURCE / "proto", "-proto", "mellow/policy/v1/policy.proto"]

        def get_info():
            return subprocess.run([*command, address, "mellow.policy.v1.PolicyService/GetInfo"], capture_output=True, text=True, timeout=60)
        self.assertEqual(get_info().returncode, 0)
        refused = get_info()
        self.assertIn("ResourceExhausted", refused.stderr)
        self.assertIn("client user/user: more than 0.5 calls per second; try again in", refused.stderr)
        self.assertRegex(refused.stdout, r"grpc-retry-pushback-ms: \d+")
        self.assertEqual(self.cluster.metric("policy-1", 'mellow_rpc_server_refused_total{reason="rate"}'), 1)

    def test_python(self):
        block = next(block for block in blocks() if "pip" in block)
        pin = re.search(r'"(grpcio-tools==[^"]+)"', (harness.SOURCE / "deploy/clients/python/pyproject.toml").read_text()).group(1)
        pip = subprocess.run(["python3", "-m", "pip", "download", "-q", "--no-deps", "-d", self.client / "wheels", pin], capture_output=True, text=True, timeout=300)
        if pip.returncode != 0:
            self.skipTest(f"pip cannot get grpcio-tools: {pip.stderr[-200:]}")
        lines = self.run_block(block).splitlines()
        self.assertEqual(len(lines), 2, lines)
        self.assertTrue(lines[0])
        self.assertEqual(lines[0], lines[1], "the same weights, with and without TLS")


if __name__ == "__main__":
    harness.main()
