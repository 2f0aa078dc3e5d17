"""What `kubectl kustomize` makes of deploy/kubernetes, as Python values, and how Kubernetes reads selectors and network policies.

Standard library only; `kubectl` does the YAML, without a cluster.
"""
import json
import os
import pathlib
import subprocess
import tempfile


class KustomizeError(Exception):
    pass


def run_kubectl(*arguments, stdin=None):
    # An unreadable or absent configuration of the user must not matter: nothing here talks to a cluster.
    environment = {**os.environ, "KUBECONFIG": os.devnull}
    result = subprocess.run(["kubectl", *map(str, arguments)], input=stdin, capture_output=True, text=True, env=environment)
    if result.returncode != 0:
        raise KustomizeError(f"kubectl {' '.join(map(str, arguments))}: {result.stderr.strip()}")
    return result.stdout


def json_values(text):
    """The JSON values that stand one after the other in `text`."""
    decoder, at, values = json.JSONDecoder(), 0, []
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        value, at = decoder.raw_decode(text, at)
        values.append(value)
    return values


def objects_of_yaml(text):
    # The cheapest command that reads any YAML, asks no server and writes JSON.
    return json_values(run_kubectl("annotate", "--local", "-f", "-", "read=by-test", "-o", "json", stdin=text))


def compose(folder, resources, components=(), extra=""):
    """Writes a kustomization of other folders into `folder`; kustomize takes relative paths only."""
    folder = pathlib.Path(folder).resolve()
    lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization"]
    for key, paths in (("resources", resources), ("components", components)):
        if paths:
            lines += [f"{key}:"] + [f"  - {os.path.relpath(path, folder)}" for path in paths]
    (folder / "kustomization.yaml").write_text("\n".join(lines) + "\n" + extra, encoding="utf-8")


def render(resources, components=()):
    """The objects of these kustomizations with these components."""
    with tempfile.TemporaryDirectory(prefix="mellow-kustomize.") as folder:
        compose(folder, resources, components)
        return objects_of_yaml(run_kubectl("kustomize", folder))


def matches(selector, labels):
    """A LabelSelector (or a Service's plain map under matchLabels); an empty one matches everything."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions", []):
        value, operator = labels.get(term["key"]), term["operator"]
        holds = {"In": value in term.get("values", []), "NotIn": value not in term.get("values", []),
                 "Exists": value is not None, "DoesNotExist": value is None}[operator]
        if not holds:
            return False
    return True


def peer_matches(peer, labels, namespace_labels, same_namespace):
    if "namespaceSelector" in peer:
        if not matches(peer["namespaceSelector"], namespace_labels):
            return False
    elif not same_namespace:
        return False
    return "podSelector" not in peer or matches(peer["podSelector"], labels)


def one_side(policies, direction, pod, other, other_namespace, same_namespace, port, protocol):
    """What the policies of `pod` say about one direction; without a policy for it everything is allowed."""
    kind, peers = ("Ingress", "from") if direction == "in" else ("Egress", "to")
    applying = [p["spec"] for p in policies if matches(p["spec"]["podSelector"], pod) and kind in p["spec"]["policyTypes"]]
    for spec in applying:
        for rule in spec.get(kind.lower(), []):
            ports = rule.get("ports")
            if ports and not any(p.get("port") == port and p.get("protocol", "TCP") == protocol for p in ports):
                continue
            if peers not in rule or any(peer_matches(p, other, other_namespace, same_namespace) for p in rule[peers]):
                return True
    return not applying


def reachable(policies, source, target, port, protocol="TCP"):
    """May a pod with the labels `source` of the policies' namespace connect to the pod `target` there?"""
    return (one_side(policies, "out", source, target, {}, True, port, protocol)
            and one_side(policies, "in", target, source, {}, True, port, protocol))


def reachable_from_namespace(policies, namespace_labels, target, port):
    """May any pod of another namespace with these labels connect to the pod `target`?"""
    return one_side(policies, "in", target, {}, namespace_labels, False, port, "TCP")


def can_leave(policies, source, port, protocol="TCP"):
    """May the pod connect to an address outside of the namespace?"""
    return one_side(policies, "out", source, {}, {}, False, port, protocol)
