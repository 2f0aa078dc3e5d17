#!/usr/bin/env python3
"""A cluster whose every port is TLS: roles do what they may and nothing else, certificates change while it trains, and what is refused is counted."""
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import urllib.error
import urllib.request

import harness
from harness import SMALL, json_lines, sets, wait_until
from review_study import mini_rows, write_evaluation
from secure_cluster import BINARIES, TOKENS, SecureClusterTest, make_certs

DIALOGUE = "#Person1#: Are you free tonight? #Person2#: No, I have to work."


class SecurityTest(SecureClusterTest):
    @classmethod
    def tearDownClass(cls):
        for name, process in cls.cluster.processes.items():
            assert process.poll() is None, f"{name} ended: {process.returncode}"
        super().tearDownClass()

    def nodes_ready(self):
        status = json.loads(self.cluster.mellow("operator", "status", "--json", check=0).stdout)
        return len([n for n in status["nodes"] if n["state"] == "READY"]) == 3

    def test_operators_train_through_tls_while_certificates_change(self):
        wait_until(self.nodes_ready, "three nodes have registered over TLS")
        before = self.cluster.metric("policy", "mellow_tls_certificate_expiry_seconds")
        training = subprocess.Popen([harness.MELLOW, *map(str, self.cluster.tls("operator")), "train", harness.MINI_RUN, "--dir", self.cluster.folder, "--json",
                                     *sets([*SMALL, "steps=6"])], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        make_certs(self.cluster.certs, "--days", "30")
        wait_until(lambda: self.cluster.metric("policy", "mellow_tls_certificate_expiry_seconds") < before, "the policy took its new certificate")
        # Connections that begin now show and meet the new certificates.
        wait_until(self.nodes_ready, "the nodes are still there")
        out, err = training.communicate(timeout=300)
        self.assertEqual(training.returncode, 0, err)
        steps = [line for line in json_lines(out) if "step" in line]
        self.assertEqual([s["step"] for s in steps], [1, 2, 3, 4, 5, 6])

    def test_users_summarize_and_score_and_do_nothing_else(self):
        self.assertTrue(self.cluster.mellow("user", "summarize", "--text", stdin=DIALOGUE, check=0).stdout.strip())
        self.assertIn('"toxicity"', self.cluster.mellow("user", "score", stdin='{"text": "You are kind."}', check=0).stdout)
        self.assertIn("role user (user) may not call", self.cluster.mellow("user", "status", check=1).stderr)
        denied = self.cluster.mellow("user", "train", harness.MINI_RUN, *sets(SMALL), check=1)
        self.assertIn("role user (user) may not call /mellow.orchestrator.v1.OrchestratorService/StartRun", denied.stderr)
        self.assertGreaterEqual(self.cluster.metric("orchestrator", 'mellow_rpc_server_refused_total{reason="permission_denied"}'), 1)

    def test_users_choose_an_adapter(self):
        for adapter in ("base", "newest", "0", "champion"):
            answer = json_lines(self.cluster.mellow("user", "summarize", "--adapter", adapter, stdin=json.dumps({"dialogue": DIALOGUE}), check=0).stdout)
            self.assertTrue(answer[0]["summary"], adapter)
        # Who may not ask the orchestrator gets no name of a run resolved, and what the nodes have told.
        self.assertIn("role user (user) may not call", self.cluster.mellow("user", "summarize", "--adapter", "newest@1", "--text", stdin=DIALOGUE, check=1).stderr)
        self.assertIn("no adapter version 99", self.cluster.mellow("user", "summarize", "--adapter", "99", "--text", stdin=DIALOGUE, check=1).stderr)

    def stream(self, role):
        """The bytes that SummarizeStream answers to a role, and gRPC's status: one message is a flag, its length and itself."""
        dialogue = DIALOGUE.encode()
        message = b"\x0a" + bytes([len(dialogue)]) + dialogue
        files = [self.cluster.folder / name for name in ("request", "headers", "response")]
        files[2].unlink(missing_ok=True)
        files[0].write_bytes(struct.pack(">BI", 0, len(message)) + message)
        cert, key, ca = self.cluster.tls(role)[1::2]
        subprocess.run(["curl", "--silent", "--http2", "--cacert", ca, "--cert", cert, "--key", key, "-H", "content-type: application/grpc", "-H", "te: trailers",
                        "--data-binary", f"@{files[0]}", "--dump-header", files[1], "--output", files[2],
                        f"https://{self.cluster.address('policy')}/mellow.policy.v1.PolicyService/SummarizeStream"], check=True, timeout=120)
        status = [line.split(":")[1].strip() for line in files[1].read_text().splitlines() if line.startswith("grpc-status:")]
        return files[2].read_bytes() if files[2].exists() else b"", status

    def test_users_are_streamed_to(self):
        if shutil.which("curl") is None or "HTTP2" not in subprocess.run(["curl", "--version"], capture_output=True, text=True, timeout=20).stdout:
            self.skipTest("there is no curl that speaks HTTP/2")
        answer, status = self.stream("user")
        self.assertEqual(status, ["0"])
        self.assertGreater(len(answer), 5)
        self.assertEqual(self.stream("node"), (b"", ["7"]), "PERMISSION_DENIED")

    def test_a_token_does_instead_of_a_certificate(self):
        token = self.cluster.folder / "token"
        flags = ["--tls-ca", self.cluster.certs / "ca.pem", "--token-file", token]
        token.write_text(TOKENS["user"] + "\n")
        self.assertTrue(harness.mellow(*flags, "summarize", "--text", "--dir", self.cluster.folder, stdin=DIALOGUE, check=0).stdout.strip())
        token.write_text("token-that-nobody-has")
        refused = harness.mellow(*flags, "summarize", "--text", "--dir", self.cluster.folder, stdin=DIALOGUE, check=1)
        self.assertIn("this token is not known here", refused.stderr)
        # Nor does a token that was taken back.
        kept = self.cluster.tokens.read_text()
        self.cluster.tokens.write_text("".join(line + "\n" for line in kept.splitlines() if TOKENS["user"] not in line))
        token.write_text(TOKENS["user"])
        wait_until(lambda: harness.mellow(*flags, "summarize", "--text", "--dir", self.cluster.folder, stdin=DIALOGUE).returncode == 1, "the token has ended")

    def test_nobody_without_a_certificate_of_this_ca(self):
        stranger = self.cluster.folder / "stranger"
        make_certs(stranger)
        before = self.cluster.metric("orchestrator", 'mellow_rpc_server_refused_total{reason="unknown_ca"}')
        flags = ["--tls-cert", stranger / "operator.pem", "--tls-key", stranger / "operator-key.pem", "--tls-ca", self.cluster.certs / "ca.pem"]
        result = harness.mellow(*flags, "status", "--json", "--dir", self.cluster.folder)
        self.assertNotIn('"SERVING"', result.stdout)
        self.assertGreater(self.cluster.metric("orchestrator", 'mellow_rpc_server_refused_total{reason="unknown_ca"}'), before)

    def test_plaintext_gets_nothing_from_any_port_and_is_counted(self):
        for name in ("orchestrator", "learner", "reward", "policy"):
            entry = self.cluster.entries[name]
            series = {entry["address"]: "mellow_rpc_server_handshake_failures_total",
                      entry["metrics"].split("/")[2]: 'mellow_http_handshake_failures_total{port="metrics"}'}
            for address, counter in series.items():
                before = self.cluster.metric(name, counter)
                host, port = address.split(":")
                with socket.create_connection((host, int(port)), timeout=20) as plain:
                    plain.sendall(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
                    answer = b""
                    try:
                        while data := plain.recv(65536):
                            answer += data
                    except ConnectionResetError:
                        pass
                self.assertNotIn(b"mellow", answer)
                wait_until(lambda: self.cluster.metric(name, counter) > before, f"{name} counted plaintext to {address}")

    def test_metrics_want_a_certificate(self):
        with self.assertRaises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            self.cluster.metrics("reward", role=None)
        self.assertIn("mellow_", self.cluster.metrics("reward", role="user"))

    def test_people_reach_the_rating_page_over_tls_without_a_certificate(self):
        study = self.cluster.folder / "study.sqlite"
        evaluation = write_evaluation(self.cluster.folder / "evaluation.json", mini_rows(4))
        link = json_lines(harness.mellow("review", "new", evaluation, "--out", study, "--names", "Ada", "--json", "--url", "https://example.test/", check=0).stdout)[0]["link"]
        self.cluster.start("review", "--study", study, "--address", "127.0.0.1:0")
        context = ssl.create_default_context(cafile=self.cluster.certs / "ca.pem")
        page = link.replace("https://example.test", "https://" + self.cluster.address("review"))
        with urllib.request.urlopen(page, timeout=20, context=context) as answer:
            self.assertEqual(answer.status, 200)
            self.assertIn(b"<html", answer.read())
        with self.assertRaises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            urllib.request.urlopen(page.replace("https:", "http:"), timeout=20)
        wait_until(lambda: self.cluster.metric("review", 'mellow_http_handshake_failures_total{port="page"}') >= 1, "plaintext to the page was counted")
        with self.assertRaises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            self.cluster.metrics("review", role=None)

    def test_refuses_to_start_in_the_open_or_with_half_an_identity(self):
        cert, key = (self.cluster.certs / name for name in ("node.pem", "node-key.pem"))
        other = self.cluster.certs / "user-key.pem"
        readable = self.cluster.folder / "readable"
        readable.write_text("token-of-a-user-0123 user ann\n")
        readable.chmod(0o644)
        model = ["--model", harness.MODELS / "mini-toxicity"]
        tls = self.cluster.tls("node")
        for flags, environment, parts in (
                (["--address", "0.0.0.0:0"], {}, ["--address 0.0.0.0:0", "--insecure-listen"]),
                (["--metrics-address", "0.0.0.0:0"], {}, ["--metrics-address 0.0.0.0:0", "--insecure-listen"]),
                ([], {"MELLOW_TLS_CERT": str(cert)}, ["--tls-key", str(cert)]),
                (["--tls-cert", cert, "--tls-key", other, "--tls-ca", self.cluster.certs / "ca.pem"], {}, [str(other), "not the key"]),
                (["--tls-cert", key, "--tls-key", key, "--tls-ca", self.cluster.certs / "ca.pem"], {}, [str(key), "no whole PEM certificate"]),
                ([*tls, "--tokens", readable], {}, [str(readable), "chmod"]),
                ([*tls, "--tls-client-auth", "none"], {}, ["--tls-client-auth none", "--tokens"])):
            result = subprocess.run([BINARIES / "mellow_reward_server", *map(str, [*model, *flags])], capture_output=True, text=True, timeout=60,
                                    env={**os.environ, **environment})
            self.assertEqual(result.returncode, 1, result.stderr)
            for part in parts:
                self.assertIn(part, result.stderr)

    def test_up_and_tls_do_not_mix(self):
        result = harness.mellow(*self.cluster.tls("operator"), "up", "--dir", self.cluster.folder / "other", check=2)
        self.assertIn("MELLOW_TLS_CA", result.stderr)
        self.assertFalse((self.cluster.folder / "other").exists())


if __name__ == "__main__":
    harness.main()
