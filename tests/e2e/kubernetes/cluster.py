"""A cluster that KUBECONFIG names, the volumes of the test on one of its nodes, and Mellow in it.

Standard library only, and `kubectl`.
"""
import contextlib
import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[2]
sys.path += [str(SOURCE / "tests/lint"), str(SOURCE / "tests/e2e")]
from kubernetes_objects import compose  # noqa: E402
import waiting  # noqa: E402

NAMESPACE = "mellow"
VOLUMES = "mellow-e2e-volumes"
# "{}" stands for policy, reward, ...: registry.example/mellow/{}:1.0
IMAGES = os.environ.get("MELLOW_IMAGES", "mellow/{}:dev")
FOLDER = f"/var/lib/mellow-e2e-{os.getpid()}"
UID = 65532
# Each look is a process.
wait_until = functools.partial(waiting.wait_until, pause=0.5)


def kubectl(*arguments, stdin=None, check=True, timeout=600):
    result = subprocess.run(["kubectl", *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=timeout)
    if check and result.returncode != 0:
        raise AssertionError(f"kubectl {' '.join(map(str, arguments))}: exit code {result.returncode}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}")
    return result


def mellow(*arguments, **options):
    return kubectl("-n", NAMESPACE, *arguments, **options)


def get(*arguments):
    return json.loads(mellow("get", *arguments, "-o", "json").stdout)


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
    wait_until(lambda: not set(names) & {p["metadata"]["name"] for p in get("pods")["items"]}, f"the pods {names} are gone", 300)


def volume(name, claim, node):
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"{VOLUMES}-{name}", "labels": {"made-by": VOLUMES}},
            "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany", "ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Retain",
                     "storageClassName": "", "claimRef": {"namespace": NAMESPACE, "name": claim}, "hostPath": {"path": f"{FOLDER}/{name}"},
                     "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                         {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}}}}


CLAIMS = {"models": "mellow-models", "orchestrator": "data-mellow-orchestrator-0", "learner": "data-mellow-learner-0", "results": "mellow-results"}


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
    for pod in json.loads(mellow("get", "pods", "-o", "json", check=False).stdout or '{"items": []}')["items"]:
        for container in pod["status"].get("containerStatuses", []):
            for state in (container["state"], container["lastState"]):
                if state.get("terminated", {}).get("message"):
                    print(f"{pod['metadata']['name']}: {state['terminated']['message']}", flush=True)
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


class Watch:
    """What `kubectl get --watch` prints, as it comes: `text` of each change."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(["kubectl", "-n", NAMESPACE, "get", "--watch", *map(str, arguments)], stdout=subprocess.PIPE, text=True)
        self.lines = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def end(self):
        self.process.kill()
        self.thread.join()
        self.process.wait()
        self.process.stdout.close()
        return self.lines


def metrics(pod):
    """The samples of a pod's /metrics, by way of the API server: {(name, labels): value}."""
    answer = kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}:9090/proxy/metrics", check=False)
    found = {}
    for line in answer.stdout.splitlines() if answer.returncode == 0 else []:
        sample = re.fullmatch(r"(\w+)(?:{(.*)})? (\S+)", line)
        if sample:
            found[sample[1], frozenset(re.findall(r'(\w+)="([^"]*)"', sample[2] or ""))] = float(sample[3])
    return found


def total(samples, name, **labels):
    return sum(value for (found, with_labels), value in samples.items() if found == name and labels.items() <= dict(with_labels).items())


def said(pod):
    """What the first container of a pod that has ended left as its message; None while it has not."""
    for status in pod["status"].get("containerStatuses", []):
        ended = status["state"].get("terminated")
        if ended:
            assert ended["exitCode"] == 0, (pod["metadata"]["name"], ended)
            return ended.get("message", "")
    return None


def start_script(name, script):
    """A pod like mellow-cli that runs a shell script. What it writes to /dev/termination-log is its answer: a cluster need not let us read logs."""
    template = get("deploy", "mellow-cli")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app.kubernetes.io/name": "mellow", "app.kubernetes.io/component": "cli"}},
           "spec": {**template["spec"], "restartPolicy": "Never", "terminationGracePeriodSeconds": 300}}
    pod["spec"]["containers"][0]["command"] = ["sh", "-euc", script]
    kubectl("apply", "-f", "-", stdin=json.dumps({**pod, "metadata": {**pod["metadata"], "namespace": NAMESPACE}}))


def answer_of(name, seconds=300):
    """The answer of a script, after its end."""
    answer = wait_until(lambda: [said(get("pod", name))] if said(get("pod", name)) is not None else None, f"the pod {name} ends", seconds)[0]
    mellow("delete", "pod", name, "--wait")
    return answer


def run_script(name, script, seconds=300):
    start_script(name, script)
    return answer_of(name, seconds)
