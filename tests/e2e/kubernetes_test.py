#!/usr/bin/env python3
"""Mellow on a real cluster: a run from a Job, disturbed in every way; user requests through a rollout; probes, DNS, endings.

KUBECONFIG names the cluster (Kubernetes 1.30 or newer), MELLOW_IMAGES where it finds the images ("registry.example/mellow-{}:1.0";
default "mellow/{}:dev"). The test makes the namespaces mellow and mellow-e2e-volumes and removes them. Ends with 77 (skipped) without a cluster.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent / "kubernetes"))
from cluster import HERE, SOURCE, Lines, diagnose, get, installed, is_ready, kubectl, kustomize, mellow, pods, wait_gone, wait_ready, wait_until  # noqa: E402
from make_schemas import write_schemas  # noqa: E402

KUBERNETES = SOURCE / "deploy/kubernetes"
STEPS = 30
SETTINGS = [f"steps={STEPS}", "seed=5", "ppo.batch_size=16", "ppo.mini_batch_size=8", "generation.sampling.max_new_tokens=32", "shard_prompts=2"]
SETS = [word for setting in SETTINGS for word in ("--set", setting)]


def cli(*arguments, stdin=None):
    """Runs `mellow` in the pod that is there to type in."""
    return mellow("exec", "-i", "deploy/mellow-cli", "--", "mellow", *arguments, "--dir", "/work", stdin=stdin).stdout


def status():
    return json.loads(cli("status", "--json"))


def nodes(role, state="READY"):
    return sorted(n["node_id"] for n in status()["nodes"] if n["role"] == role and n["state"] == state)


def scale(count):
    # The autoscaler owns the number: it goes up to its least number at once, with or without a metrics server.
    mellow("patch", "hpa", "mellow-policy", "--type=merge", "-p", json.dumps({"spec": {"minReplicas": count}}))


def summaries_of(pod):
    """Summaries that a policy pod has answered, from its metrics."""
    text = kubectl("get", "--raw", f"/api/v1/namespaces/mellow/pods/{pod}:9090/proxy/metrics").stdout
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
               if line.startswith("mellow_rpc_server_handled_total") and "Summarize" in line and 'code="OK"' in line)


def dialogue(i):
    return json.dumps({"dialogue": f"#Person1#: Where is parcel {i}?\n#Person2#: In the depot, you moron."}) + "\n"


class Users:
    """Some users at once who ask one thing after the other, without a second try, in one process with one channel."""
    AT_ONCE = 8

    def __init__(self):
        self.free = threading.Semaphore(self.AT_ONCE)
        self.sent = 0
        self.stop = threading.Event()
        self.lines = Lines("exec", "-i", "deploy/mellow-cli", "--", "mellow", "summarize", "--dir", "/work", "--patience", "0",
                           stdin=subprocess.PIPE, on_line=lambda line: self.free.release())
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()

    def _ask(self):
        while not self.stop.is_set():
            if self.free.acquire(timeout=0.1):
                self.lines.process.stdin.write(dialogue(self.sent))
                self.lines.process.stdin.flush()
                self.sent += 1
        self.lines.process.stdin.close()

    def end(self):
        """(requests, answers)"""
        self.stop.set()
        self.thread.join()
        return self.sent, [json.loads(line) for line in self.lines.end()]


class Kubernetes(unittest.TestCase):
    """In the order of the names, each on what the one before left."""

    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(installed())

    def run(self, result=None):
        super().run(result)
        if result.failures or result.errors:
            diagnose()

    def test_1_the_pods_become_ready(self):
        wait_until(lambda: get("job", "mellow-models")["status"].get("succeeded"), "the model volume is filled", 300)
        for component in ("orchestrator", "learner", "reward", "policy", "cli"):
            for name, pod in wait_ready(component, 1).items():
                for container in pod["status"]["containerStatuses"]:
                    self.assertEqual(container["restartCount"], 0, name)
                    self.assertTrue(container["started"], name)
        wait_until(lambda: [len(nodes(role)) for role in ("policy", "reward", "learner")] == [1, 1, 1], "a node of each role has registered")
        self.assertEqual({s["role"]: s["health"] for s in status()["services"]}, dict.fromkeys(("policy", "reward", "learner", "orchestrator"), "SERVING"))

    def test_2_the_server_takes_every_manifest(self):
        served = kubectl("get", "--raw", "/apis").stdout
        components = [c for c in sorted((KUBERNETES / "components").iterdir()) if c.name not in ("server", "prometheus-operator") or '"monitoring.coreos.com"' in served]
        components = [c for c in components if c.name not in ("server", "tls")] + [KUBERNETES / "components/tls"]
        documents = [kustomize(KUBERNETES / "overlays" / name, KUBERNETES / "train", components=chosen) for name in ("cpu", "gpu", "mixed") for chosen in ([], components)]
        for document in documents:
            # Claims and volume templates cannot be changed, and those of this cluster are the test's own.
            fresh = document.replace("namespace: mellow\n", "namespace: mellow-e2e-volumes\n")
            kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=fresh)
        broken = documents[0].replace("readOnlyRootFilesystem:", "readOnlyRootFileSystem:")
        self.assertNotEqual(kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=broken, check=False).returncode, 0)
        if shutil.which("kubeconform") is None:
            print("no `kubeconform` on the PATH: the server alone has checked the manifests", flush=True)
            return
        with tempfile.TemporaryDirectory(prefix="mellow-schemas.") as folder:
            write_schemas(json.loads(kubectl("get", "--raw", "/openapi/v2").stdout), folder)

            def conform(document):
                return subprocess.run(["kubeconform", "-strict", "-summary", "-schema-location", folder + "/{{ .ResourceKind }}{{ .KindSuffix }}.json"],
                                      input=document, capture_output=True, text=True)
            for document in documents:
                result = conform(document)
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
                self.assertRegex(result.stdout, "Invalid: 0, Errors: 0, Skipped: 0")
            self.assertNotEqual(conform(broken).returncode, 0)

    def start_run(self):
        patch = json.dumps([{"op": "add", "path": f"/spec/template/spec/containers/0/args/{2 + i}", "value": word} for i, word in enumerate(SETS)])
        extra = f"patches:\n  - target: {{kind: Job, name: mellow-train}}\n    patch: '{patch}'\n"
        kubectl("apply", "-f", "-", stdin=kustomize(HERE / "train", extra=extra))
        wait_until(lambda: get("job", "mellow-train")["status"].get("ready") or get("job", "mellow-train")["status"].get("succeeded"), "the run's pod is there")
        return Lines("logs", "-f", "job/mellow-train")

    def test_3_a_run_ends_with_every_step_once_whatever_happens(self):
        log = self.start_run()

        def wait_for_more_steps():
            seen = len(log.lines)
            wait_until(lambda: len(log.lines) > seen, f"a step after {seen}", 300)
            self.assertLess(len(log.lines), STEPS, "the run was over too soon to be disturbed")

        wait_for_more_steps()
        first = list(wait_ready("policy", 1))
        scale(3)
        wait_ready("policy", 3)
        wait_until(lambda: len(nodes("policy")) == 3, "three policies work")
        wait_for_more_steps()
        # Killed, as by a node that dies.
        mellow("delete", "pod", first[0], "--grace-period=1", "--wait=false")
        wait_for_more_steps()
        mellow("delete", "pod", next(iter(pods("reward"))), "--wait=false")
        wait_ready("reward", 1)
        wait_for_more_steps()
        before = pods("orchestrator")["mellow-orchestrator-0"]["metadata"]["uid"]
        mellow("delete", "pod", "mellow-orchestrator-0", "--wait")
        self.assertNotEqual(wait_ready("orchestrator", 1)["mellow-orchestrator-0"]["metadata"]["uid"], before)
        wait_for_more_steps()
        wait_until(lambda: get("job", "mellow-train")["status"].get("succeeded"), "the run is done", 600)
        self.assertEqual(get("job", "mellow-train")["status"].get("failed", 0), 0)
        lines = [json.loads(line) for line in log.end()]
        self.assertEqual([line.get("step") for line in lines[:-1]], list(range(1, STEPS + 1)))
        self.assertIs(lines[-1]["done"], True)
        # The same run without a disturbance, with the same weights after each step.
        quiet = [json.loads(line) for line in cli("train", "/models/runs/mini.json", "--json", *SETS).splitlines()]
        self.assertEqual([line["adapter"]["sha256"] for line in quiet], [line["adapter"]["sha256"] for line in lines])
        wait_ready("policy", 3)
        wait_until(lambda: nodes("policy") == sorted(pods("policy")), "the policies that are there work, and only those")

    def test_4_every_pod_behind_the_name_answers(self):
        found = wait_ready("policy", 3)
        before = {name: summaries_of(name) for name in found}

        def resolved():
            text = mellow("exec", "deploy/mellow-cli", "--", "getent", "ahostsv4", "mellow-policy", check=False).stdout
            return {line.split()[0] for line in text.splitlines()} == {p["status"]["podIP"] for p in found.values()}
        wait_until(resolved, "the name stands for the three pods")
        answers = cli("summarize", stdin="".join(dialogue(i) for i in range(90))).splitlines()
        self.assertEqual(sum("summary" in json.loads(line) for line in answers), 90)
        shares = [summaries_of(name) - before[name] for name in found]
        self.assertEqual(sum(shares), 90)
        self.assertGreater(min(shares), 15, "round_robin gives each its part")

    def test_5_a_rollout_loses_no_request_and_pods_end_in_order(self):
        old = wait_ready("policy", 3)
        logs = {name: Lines("logs", "-f", name) for name in old}
        users = Users()
        wait_until(lambda: len(users.lines.lines) > 50, "users get answers")
        mellow("rollout", "restart", "deploy/mellow-policy")
        mellow("rollout", "status", "deploy/mellow-policy", "--timeout=600s")
        wait_gone(old)
        new = wait_ready("policy", 3)
        self.assertFalse(set(new) & set(old))
        # The same channel, never told of them.
        wait_until(lambda: min(summaries_of(name) for name in new) > 0, "users have found all of the new pods")
        sent, answers = users.end()
        print(f"{sent} requests during the rollout", flush=True)
        self.assertEqual([a for a in answers if "summary" not in a], [])
        self.assertEqual(len(answers), sent)
        for name, log in logs.items():
            lines = "\n".join(log.end())
            for event in ("draining", "stopped"):
                self.assertRegex(lines, rf"\b{event}\b", name)
        wait_until(lambda: nodes("policy") == sorted(new) and nodes("policy", "LOST") == [], "who left in order is not mourned")

    def test_6_a_pod_that_restarts_is_taken_out_and_comes_back(self):
        name = sorted(wait_ready("policy", 3))[0]
        seen = []

        def watch():
            pod = pods("policy")[name]
            seen.append(is_ready(pod))
            return seen[-1] and pod["status"]["containerStatuses"][0]["restartCount"] == 1
        mellow("exec", name, "-c", "server", "--", "sh", "-c", "kill -TERM 1")
        wait_until(watch, f"{name} is back")
        self.assertIn(False, seen)


if __name__ == "__main__":
    if shutil.which("kubectl") is None or not os.environ.get("KUBECONFIG"):
        print("skipped: this test needs `kubectl` and a cluster that KUBECONFIG names, with Mellow's images (MELLOW_IMAGES)")
        sys.exit(77)
    unittest.main(verbosity=2, failfast=True)
