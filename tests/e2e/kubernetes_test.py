#!/usr/bin/env python3
"""Mellow on a real cluster: a run from a Job, disturbed in every way; user requests through a rollout; probes, DNS, endings.

KUBECONFIG names the cluster (Kubernetes 1.30 or newer), MELLOW_IMAGES where it finds the images ("registry.example/mellow/{}:1.0";
default "mellow/{}:dev"). The test makes the namespaces mellow and mellow-e2e-volumes and removes them. Ends with 77 (skipped) without a cluster.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent / "kubernetes"))
from cluster import (HERE, SOURCE, Watch, diagnose, get, installed, is_ready, kubectl, kustomize, mellow, metrics, pods, run_script,  # noqa: E402
                     said, start_script, total, wait_gone, wait_ready, wait_until)
from make_schemas import write_schemas  # noqa: E402

KUBERNETES = SOURCE / "deploy/kubernetes"
STEPS = 80
SETTINGS = [f"steps={STEPS}", "seed=5", "ppo.batch_size=16", "ppo.mini_batch_size=8", "generation.sampling.max_new_tokens=32", "shard_prompts=2"]
SETS = [word for setting in SETTINGS for word in ("--set", setting)]
# Reads a file of `mellow train --json`: its steps, the hash of all adapters in order, how often it says that it is done.
DIGEST = r"""
digest() {
  { sed -n 's/.*"step":\([0-9]*\).*/\1/p' "$1" | tr '\n' ' '; echo
    sed -n 's/.*"sha256":"\([0-9a-f]*\)".*/\1/p' "$1" | sha256sum | cut -c -64
    grep -c '"done":true' "$1"; } >/dev/termination-log
}
"""
# Some users at once who ask one thing after the other, without a second try, in one process with one channel; until SIGTERM.
USERS = r"""
trap 'touch /tmp/stop' TERM
{ i=0
  while [ ! -e /tmp/stop ]; do
    i=$((i+1)); printf '{"dialogue": "#Person1#: Where is parcel %d?\\n#Person2#: In the depot, you moron."}\n' $i
  done
  echo $i >/tmp/sent
} | mellow summarize --patience 0 >/tmp/answers &
users=$!
while kill -0 $users 2>/dev/null; do wait $users || true; done
{ cat /tmp/sent; grep -c '"summary"' /tmp/answers; grep -v '"summary"' /tmp/answers | head -n 3 | cut -c -300 || true; } >/dev/termination-log
"""


def orchestrator_metrics():
    return metrics("mellow-orchestrator-0")


def nodes(role, state="ready"):
    return total(orchestrator_metrics(), "mellow_orchestrator_nodes", role=role, state=state)


def scale(count):
    # The autoscaler owns the number: it goes up to its least number at once, with or without a metrics server.
    mellow("patch", "hpa", "mellow-policy", "--type=merge", "-p", json.dumps({"spec": {"minReplicas": count}}))


def summaries_of(pod):
    """Summaries that a policy pod has answered."""
    return sum(value for (name, labels), value in metrics(pod).items()
               if name == "mellow_rpc_server_handled_total" and "Summarize" in dict(labels)["method"] and dict(labels)["code"] == "OK")


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
        for component in ("orchestrator", "learner", "reward", "policy", "cli"):
            for name, pod in wait_ready(component, 1).items():
                for container in pod["status"]["containerStatuses"]:
                    self.assertEqual(container["restartCount"], 0, name)
                    self.assertTrue(container["started"], name)
        wait_until(lambda: [nodes(role) for role in ("policy", "reward", "learner")] == [1, 1, 1], "a node of each role has registered")
        health = run_script("status", "mellow status --json | grep -o '\"health\":\"[A-Z_]*\"' >/dev/termination-log")
        self.assertEqual(health.split(), ['"health":"SERVING"'] * 4)

    def documents(self):
        """What people may apply, as YAML."""
        parts = {c.name: c for c in (KUBERNETES / "components").iterdir() if c.name != "server"}
        if "monitoring.coreos.com" not in kubectl("get", "--raw", "/apis").stdout:
            print("the cluster has no Prometheus Operator: its component is not checked", flush=True)
            del parts["prometheus-operator"]
        # TLS changes what the others add.
        components = sorted(parts.values(), key=lambda c: (c.name == "tls", c.name))
        yield (KUBERNETES / "hub-models/job.yaml").read_text()
        for overlay in ("cpu", "gpu", "mixed"):
            for chosen in ([], components):
                yield kustomize(KUBERNETES / "overlays" / overlay, KUBERNETES / "train", components=chosen)

    def test_2_the_server_takes_every_manifest(self):
        documents = list(self.documents())

        def dry_run(document):
            # Claims and the templates of volumes cannot be changed, and those of the namespace mellow are the test's own.
            elsewhere = document.replace("namespace: mellow\n", "namespace: mellow-e2e-volumes\n")
            return kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=elsewhere, check=False)
        broken = documents[1].replace("readOnlyRootFilesystem:", "readOnlyRootFileSystem:")
        for document in documents:
            result = dry_run(document)
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotEqual(dry_run(broken).returncode, 0)
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
                self.assertIn("Invalid: 0, Errors: 0, Skipped: 0", result.stdout)
            self.assertNotEqual(conform(broken).returncode, 0)

    def start_run(self):
        """The Job, with a small run, and its lines kept for a digest."""
        script = DIGEST + 'mellow "$@" >>steps.jsonl; digest steps.jsonl'
        changes = [{"op": "add", "path": "/spec/template/spec/containers/0/command", "value": ["sh", "-euc", script, "mellow"]}]
        changes += [{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": word} for word in SETS]
        patches = {"patches": [{"target": {"kind": "Job", "name": "mellow-train"}, "patch": json.dumps(changes)}]}
        # JSON is YAML, and the field stands on a line of its own.
        extra = "patches: " + json.dumps(patches["patches"]) + "\n"
        kubectl("apply", "-f", "-", stdin=kustomize(HERE / "train", extra=extra))

    def test_3_a_run_ends_with_every_step_once_whatever_happens(self):
        self.start_run()
        seen = 0

        def wait_for_more_steps():
            before = seen

            def more():
                nonlocal seen
                seen = max(seen, total(orchestrator_metrics(), "mellow_orchestrator_step"))
                return seen > before
            wait_until(more, f"a step after {before}", 300)
            self.assertLess(seen, STEPS, "the run was over too soon to be disturbed")

        wait_for_more_steps()
        first = list(wait_ready("policy", 1))
        scale(3)
        wait_ready("policy", 3)
        wait_until(lambda: nodes("policy") == 3, "three policies work")
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
        wait_until(lambda: get("job", "mellow-train")["status"].get("succeeded"), "the run is done", 900)
        self.assertEqual(get("job", "mellow-train")["status"].get("failed", 0), 0)
        disturbed = said(get("pods", "-l", "job-name=mellow-train")["items"][0])
        self.assertEqual(disturbed.splitlines()[0].split(), [str(step) for step in range(1, STEPS + 1)])
        self.assertEqual(disturbed.splitlines()[2], "1")
        # The same run without a disturbance has the same weights after each step.
        command = " ".join(["mellow train /models/runs/mini.json --json", *SETS])
        self.assertEqual(run_script("quiet", DIGEST + f"{command} >/tmp/steps.jsonl; digest /tmp/steps.jsonl", 900), disturbed)
        wait_ready("policy", 3)
        wait_until(lambda: nodes("policy") == 3 and nodes("reward") == 1, "the nodes that are there work")

    def test_4_every_pod_behind_the_name_answers(self):
        found = wait_ready("policy", 3)
        before = {name: summaries_of(name) for name in found}
        script = """for i in $(seq 90); do printf '{"dialogue": "#Person1#: Where is parcel %d?"}\\n' $i; done | mellow summarize >/tmp/answers
        { getent ahostsv4 mellow-policy | cut -d ' ' -f 1 | sort -u | tr '\\n' ' '; grep -c '"summary"' /tmp/answers; } >/dev/termination-log"""
        *addresses, answers = run_script("round-robin", script).split()
        self.assertEqual(sorted(addresses), sorted(p["status"]["podIP"] for p in found.values()), "the name stands for the pods")
        self.assertEqual(int(answers), 90)
        shares = [summaries_of(name) - before[name] for name in found]
        self.assertEqual(sum(shares), 90)
        self.assertGreater(min(shares), 15, "round_robin gives each its part")

    def test_5_a_rollout_loses_no_request_and_pods_end_in_order(self):
        old = wait_ready("policy", 3)
        watch = Watch("pods", "-l", "app.kubernetes.io/component=policy", "-o",
                      r"jsonpath={.metadata.name} {.status.containerStatuses[0].state.terminated.exitCode}{'\n'}")
        start_script("users", USERS)
        before = sum(summaries_of(name) for name in old)
        wait_until(lambda: sum(summaries_of(name) for name in old) > before + 50, "users get answers")
        mellow("rollout", "restart", "deploy/mellow-policy")
        mellow("rollout", "status", "deploy/mellow-policy", "--timeout=600s")
        wait_gone(old)
        new = wait_ready("policy", 3)
        self.assertFalse(set(new) & set(old))
        # By the same channel, which nobody told of them.
        wait_until(lambda: min(summaries_of(name) for name in new) > 0, "users have found all of the new pods")
        ends = Watch("pod", "users", "-o", r"jsonpath={.status.containerStatuses[0].state.terminated.message}{'\n---\n'}")
        mellow("delete", "pod", "users", "--wait", "--timeout=300s")
        answer = max("\n".join(ends.end()).split("---"), key=len).split("\n", 3)
        answer = [line for line in answer if line]
        print(f"requests and summaries during the rollout: {answer}", flush=True)
        self.assertEqual(answer[0], answer[1], "answers other than summaries: " + " ".join(answer[2:]))
        self.assertGreater(int(answer[0]), 100)
        codes = dict(line.split(" ", 1) for line in watch.end() if not line.endswith(" "))
        self.assertEqual({name: codes.get(name) for name in old}, dict.fromkeys(old, "0"), "each ended by itself, not by SIGKILL")
        wait_until(lambda: nodes("policy") == 3 and nodes("policy", "lost") == 0, "who left in order is not missed")

    def test_6_a_pod_that_restarts_is_taken_out_and_comes_back(self):
        name, pod = sorted(wait_ready("policy", 3).items())[0]
        seen = []

        def back():
            now = pods("policy")[name]
            seen.append(is_ready(now))
            return seen[-1] and now["status"]["containerStatuses"][0]["restartCount"] == 1
        image = pod["spec"]["containers"][0]["image"]
        mellow("debug", name, f"--image={image}", "--target=server", "--profile=restricted", "--", "sh", "-c", "kill -TERM 1")
        wait_until(back, f"{name} is back")
        self.assertIn(False, seen)
        wait_until(lambda: nodes("policy") == 3, "it works again")

    def test_7_the_same_over_tls(self):
        with tempfile.TemporaryDirectory(prefix="mellow-certs.") as folder:
            subprocess.run([SOURCE / "deploy/tools/make_certs.sh", folder], check=True, capture_output=True)
            files = [f"--from-file={path}" for path in sorted(pathlib.Path(folder).glob("*.pem")) if path.name != "ca-key.pem"]
            mellow("create", "secret", "generic", "mellow-tls", *files)
        kubectl("apply", "-f", "-", stdin=kustomize(HERE, components=[KUBERNETES / "components/tls"]))
        for workload in ("statefulset/mellow-orchestrator", "statefulset/mellow-learner", "deploy/mellow-reward", "deploy/mellow-policy", "deploy/mellow-cli"):
            mellow("rollout", "status", workload, "--timeout=600s")
        run = " ".join(["mellow train /models/runs/mini.json --json", *SETS, "--set seed=6 --set steps=2"])
        self.assertEqual(run_script("secure", f"{DIGEST}\n{run} >/tmp/steps.jsonl; digest /tmp/steps.jsonl").splitlines()[0].split(), ["1", "2"])
        ask = """printf '{"dialogue": "#Person1#: Hello."}\\n' | mellow summarize --patience 0 | cut -c -200 >/dev/termination-log"""
        self.assertIn('"summary"', run_script("with-certificate", ask))
        self.assertIn('"error"', run_script("without-certificate", f"unset MELLOW_TLS_CERT MELLOW_TLS_KEY MELLOW_TLS_CA; {ask}"))


if __name__ == "__main__":
    if shutil.which("kubectl") is None or not os.environ.get("KUBECONFIG"):
        print("skipped: this test needs `kubectl` and a cluster that KUBECONFIG names, with Mellow's images (MELLOW_IMAGES)")
        sys.exit(77)
    unittest.main(verbosity=2, failfast=True)
