"""A cluster that KUBECONFIG names, the volumes of the test on one of its nodes, and Mellow in it.

Standard library only, and `kubectl`.
"""
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[2]
sys.path.append(str(SOURCE / "tests/lint"))
from kubernetes_objects import compose  # noqa: E402

NAMESPACE = "mellow"
VOLUMES = "mellow-e2e-volumes"
# "{}" stands for policy, reward, ...: registry.example/mellow-{}:1.0
IMAGES = os.environ.get("MELLOW_IMAGES", "mellow/{}:dev")
FOLDER = f"/var/lib/mellow-e2e-{os.getpid()}"
UID = 65532


def kubectl(*arguments, stdin=None, check=True, timeout=600):
    result = subprocess.run(["kubectl", *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=timeout)
    if check and result.returncode != 0:
        raise AssertionError(f"kubectl {' '.join(map(str, arguments))}: exit code {result.returncode}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}")
    return result


def mellow(*arguments, **options):
    return kubectl("-n", NAMESPACE, *arguments, **options)


def get(*arguments):
    return json.loads(mellow("get", *arguments, "-o", "json").stdout)


def wait_until(condition, what, seconds=180):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.3)
    raise AssertionError(f"not within {seconds} s: {what}")


def image(name):
    return IMAGES.format(name)


def images():
    """The field `images` of a kustomization."""
    lines = ["images:"]
    for name in ("policy", "reward", "learner", "orchestrator", "cli", "review"):
        repository, tag = re.fullmatch(r"(.+?)(?::([^:/]+))?", image(name)).groups()
        lines.append(f"  - {{name: mellow/{name}, newName: {repository}, newTag: {json.dumps(tag or 'latest')}}}")
    return "\n".join(lines) + "\n"


def kustomize(*resources, components=(), extra=""):
    """The YAML of these kustomizations with the images of this test."""
    with tempfile.TemporaryDirectory(prefix="mellow-kustomize.") as folder:
        compose(folder, resources, components, images() + extra)
        return kubectl("kustomize", folder).stdout


def pods(component, alive=True):
    """Pods of a component, by name; `alive`: only those that nobody has asked to end."""
    found = get("pods", "-l", f"app.kubernetes.io/component={component}")["items"]
    return {p["metadata"]["name"]: p for p in found if not alive or "deletionTimestamp" not in p["metadata"]}


def is_ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def complain_of_images(component):
    for pod in pods(component).values():
        for status in pod["status"].get("initContainerStatuses", []) + pod["status"].get("containerStatuses", []):
            waiting = status["state"].get("waiting", {})
            if waiting.get("reason") in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"):
                raise AssertionError(f"the cluster cannot get {status['image']}: bring it there, or say in MELLOW_IMAGES where the images are (now {IMAGES})")


def wait_ready(component, count):
    def ready():
        complain_of_images(component)
        found = pods(component)
        return found if len(found) == count and all(is_ready(p) for p in found.values()) else None
    return wait_until(ready, f"{count} ready pods of {component}", 300)


def wait_gone(names):
    wait_until(lambda: not set(names) & {p["metadata"]["name"] for p in get("pods")["items"]}, f"the pods {names} are gone")


def volume(name, claim, node):
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"{VOLUMES}-{name}", "labels": {"made-by": VOLUMES}},
            "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
                     "storageClassName": "", "claimRef": {"namespace": NAMESPACE, "name": claim}, "hostPath": {"path": f"{FOLDER}/{name}"},
                     "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                         {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}}}}


CLAIMS = {"models": "mellow-models", "orchestrator": "data-mellow-orchestrator-0", "learner": "data-mellow-learner-0", "work": "mellow-work"}


def on_the_node(node, script):
    """Runs a shell script as root with the node's /var/lib at /node: the pods' user may not make folders there."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "folders", "namespace": VOLUMES},
           "spec": {"nodeSelector": {"kubernetes.io/hostname": node}, "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{"name": "sh", "image": image("cli"), "command": ["sh", "-ec", script], "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
                                    "volumeMounts": [{"name": "node", "mountPath": "/node"}]}],
                    "volumes": [{"name": "node", "hostPath": {"path": "/var/lib"}}]}}
    kubectl("apply", "-f", "-", stdin=json.dumps(pod))

    def ended():
        phase = kubectl("-n", VOLUMES, "get", "pod", "folders", "-o", "jsonpath={.status.phase}").stdout
        assert phase != "Failed", kubectl("-n", VOLUMES, "logs", "folders", check=False).stdout
        return phase == "Succeeded"
    wait_until(ended, f"a pod with {image('cli')} has run on {node}", 300)
    kubectl("-n", VOLUMES, "delete", "pod", "folders", "--wait")


def diagnose():
    """Prints what a person would look at first."""
    print(mellow("get", "pods", "-o", "wide", check=False).stdout, flush=True)
    print(mellow("get", "events", "--sort-by=.lastTimestamp", check=False).stdout[-4000:], flush=True)
    for component in ("orchestrator", "learner", "policy", "reward", "cli", "models"):
        logs = mellow("logs", "--tail=15", "--all-containers", "--prefix", "-l", f"app.kubernetes.io/component={component}", check=False).stdout
        print(f"---- {component}\n{logs}", flush=True)


@contextlib.contextmanager
def installed():
    """Mellow by the CPU overlay, all of it removed at the end."""
    for namespace in (NAMESPACE, VOLUMES):
        if kubectl("get", "namespace", namespace, check=False).returncode == 0:
            raise AssertionError(f"the cluster has a namespace {namespace} already: this test makes and removes it, and will not touch yours")
    nodes = json.loads(kubectl("get", "nodes", "-o", "json").stdout)["items"]
    node = next(n["metadata"]["labels"]["kubernetes.io/hostname"] for n in nodes if is_ready(n) and not n["spec"].get("unschedulable"))
    folder = FOLDER.removeprefix("/var/lib")
    try:
        kubectl("create", "namespace", VOLUMES)
        kubectl("label", "namespace", VOLUMES, "pod-security.kubernetes.io/enforce=privileged")
        on_the_node(node, f"for f in {' '.join(CLAIMS)}; do mkdir -p /node{folder}/$f; chown {UID}:{UID} /node{folder}/$f; done")
        kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [volume(n, c, node) for n, c in CLAIMS.items()]}))
        kubectl("apply", "-f", "-", stdin=kustomize(HERE))
        yield
    except BaseException:
        diagnose()
        raise
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait", check=False)
        kubectl("delete", "pv", "-l", f"made-by={VOLUMES}", check=False)
        with contextlib.suppress(AssertionError):
            on_the_node(node, f"rm -rf /node{folder}")
        kubectl("delete", "namespace", VOLUMES, "--ignore-not-found", "--wait", check=False)


class Lines:
    """The lines of a command that runs in the background, as they come."""

    def __init__(self, *arguments, on_line=lambda line: None, **options):
        self.process = subprocess.Popen(["kubectl", "-n", NAMESPACE, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        self.lines = []
        self.errors = []
        self.threads = [threading.Thread(target=self._read, args=(self.process.stdout, self.lines, on_line), daemon=True),
                        threading.Thread(target=self._read, args=(self.process.stderr, self.errors, lambda line: None), daemon=True)]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def _read(stream, lines, on_line):
        for line in stream:
            lines.append(line.rstrip("\n"))
            on_line(lines[-1])

    def end(self, timeout=60):
        """All lines, after the command's end."""
        for thread in self.threads:
            thread.join(timeout)
            if thread.is_alive():
                self.process.kill()
                thread.join()
        self.process.wait()
        return self.lines
