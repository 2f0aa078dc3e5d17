#!/usr/bin/env python3
"""The Kubernetes manifests without a cluster: every overlay and component renders, and everything that names something else is right.

usage: kubernetes_test.py ROOT BIN     BIN: folder of the built programs, whose --help is the truth about flags.
Ends with 77 (skipped) when there is no `kubectl`.
"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

from kubernetes_objects import can_leave, matches, objects_of_yaml, reachable, reachable_from_namespace, render

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve()
BIN = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "build/release/bin").resolve()
KUBERNETES = ROOT / "deploy/kubernetes"
OVERLAYS = [KUBERNETES / "overlays" / name for name in ("cpu", "gpu", "mixed")]
COMPONENTS = [KUBERNETES / "components" / name for name in ("learner-workers", "judge", "grafana-dashboards", "prometheus-operator", "queue-depth-autoscaling", "review", "image-pull-secret", "tls")]
TRAIN = KUBERNETES / "train"
TLS = KUBERNETES / "components/tls"
# What deploy/tools/make_certs.sh writes, and so what the secret mellow-tls holds.
TLS_FILES = {"ca.pem"} | {f"{role}{kind}.pem" for role in ("operator", "orchestrator", "node", "user") for kind in ("", "-key")}
PORTS = {"grpc": 50051, "metrics": 9090, "health": 50052, "http": 8080}
UID = 65532
ROLES = ("policy", "reward", "learner", "orchestrator")


def program_of(image):
    name = image.split(":")[0].rsplit("/", 1)[1]
    return BIN / ("mellow" if name == "cli" else f"mellow_{name}_server")


def help_of(*command):
    result = subprocess.run([str(word) for word in command] + ["--help"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, (command, result.stderr)
    return result.stdout


def seconds_of(arguments, flag):
    return next((float(a.split("=", 1)[1]) for a in arguments if a.startswith(f"{flag}=")), 0)


class Rendered:
    """The objects of one kustomization, and how they refer to each other."""

    def __init__(self, name, objects):
        self.name = name
        self.objects = objects

    def of(self, *kinds):
        return [o for o in self.objects if o["kind"] in kinds]

    def find(self, kind, name):
        return next((o for o in self.of(kind) if o["metadata"]["name"] == name), None)

    def workloads(self):
        return self.of("Deployment", "StatefulSet", "Job")

    @staticmethod
    def template(workload):
        return workload["spec"]["template"]

    @classmethod
    def pod(cls, workload):
        return cls.template(workload)["spec"]

    @classmethod
    def labels(cls, workload):
        return cls.template(workload)["metadata"]["labels"]

    @classmethod
    def containers(cls, workload):
        pod = cls.pod(workload)
        return pod.get("initContainers", []) + pod["containers"]

    def selected(self, selector):
        return [w for w in self.workloads() if matches(selector, self.labels(w))]

    def environment(self, container):
        """Name -> literal value, or None for one that the cluster fills in."""
        found = {}
        for source in container.get("envFrom", []):
            found.update(self.find("ConfigMap", source["configMapRef"]["name"])["data"])
        found.update({e["name"]: e.get("value") for e in container.get("env", [])})
        return found


def renderings():
    """Each overlay with the Job of a run; each component on the CPU overlay; all of them on each overlay."""
    for overlay in OVERLAYS:
        yield Rendered(overlay.name, render([overlay, TRAIN]))
        yield Rendered(f"{overlay.name} with everything", render([overlay, TRAIN], COMPONENTS))
    for component in COMPONENTS:
        yield Rendered(f"cpu with {component.name}", render([OVERLAYS[0], TRAIN], [component]))


class KubernetesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.all = list(renderings())

    def setUp(self):
        self.at("")

    def _formatMessage(self, msg, standardMsg):
        return f"{self.where}: {super()._formatMessage(msg, standardMsg)}"

    def at(self, *words):
        """Names what is looked at, for the message of a failure."""
        self.where = " ".join(words)

    def each(self, find):
        """The things that find(rendered) gives, of every rendering: (rendered, thing)."""
        for rendered in self.all:
            for thing in find(rendered):
                self.at(f"{rendered.name}:", thing["kind"], thing["metadata"]["name"])
                yield rendered, thing

    def each_container(self):
        for rendered, workload in self.each(Rendered.workloads):
            where = self.where
            for container in rendered.containers(workload):
                self.at(where, "container", container["name"])
                yield rendered, workload, container

    def each_rendering(self):
        for rendered in self.all:
            self.at(rendered.name)
            yield rendered

    def test_the_overlays_have_the_parts(self):
        for rendered in self.each_rendering():
            names = {(o["kind"], o["metadata"]["name"]) for o in rendered.objects}
            self.assertEqual(len(names), len(rendered.objects), "two objects of one name")
            for kind, name in (("Namespace", "mellow"), ("Deployment", "mellow-policy"), ("Deployment", "mellow-reward"), ("StatefulSet", "mellow-learner"),
                               ("StatefulSet", "mellow-orchestrator"), ("Job", "mellow-models"), ("Job", "mellow-train"), ("NetworkPolicy", "default-deny"),
                               *((kind, f"mellow-{role}") for role in ROLES for kind in ("Service", "PodDisruptionBudget"))):
                self.assertIn((kind, name), names)

    def test_everything_is_in_the_namespace(self):
        for rendered, thing in self.each(lambda r: r.objects):
            if thing["kind"] == "Namespace":
                self.assertEqual(thing["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted")
            else:
                self.assertEqual(thing["metadata"].get("namespace"), "mellow")

    def test_selectors_match_their_own_pods_and_no_others(self):
        for rendered, workload in self.each(lambda r: r.of("Deployment", "StatefulSet")):
            self.assertEqual([w["metadata"]["name"] for w in rendered.selected(workload["spec"]["selector"])], [workload["metadata"]["name"]])
            for constraint in rendered.pod(workload).get("topologySpreadConstraints", []):
                self.assertTrue(matches(constraint["labelSelector"], rendered.labels(workload)))

    def test_pods_are_restricted(self):
        for rendered, workload in self.each(Rendered.workloads):
            pod = rendered.pod(workload)
            self.assertIs(pod["automountServiceAccountToken"], False)
            account = rendered.find("ServiceAccount", pod["serviceAccountName"])
            self.assertIsNotNone(account, pod["serviceAccountName"])
            self.assertIs(account["automountServiceAccountToken"], False)
            context = pod["securityContext"]
            self.assertIs(context["runAsNonRoot"], True)
            self.assertEqual((context["runAsUser"], context["runAsGroup"], context["fsGroup"]), (UID, UID, UID))
            self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"})
        for _, _, container in self.each_container():
            context = container["securityContext"]
            self.assertEqual(context, {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
            for bound in ("requests", "limits"):
                self.assertLessEqual({"cpu", "memory"}, set(container["resources"][bound]))

    def test_volumes(self):
        for rendered, workload in self.each(Rendered.workloads):
            pod = rendered.pod(workload)
            volumes = {v["name"]: v for v in pod.get("volumes", [])}
            claims = {t["metadata"]["name"] for t in workload["spec"].get("volumeClaimTemplates", [])}
            self.assertFalse(set(volumes) & claims)
            used = set()
            for container in rendered.containers(workload):
                mounts = container.get("volumeMounts", [])
                self.assertEqual(len({m["mountPath"] for m in mounts}), len(mounts), "two mounts at one path")
                used |= {m["name"] for m in mounts}
                for mount in mounts:
                    source = volumes.get(mount["name"], {}).get("configMap")
                    if source and "subPath" in mount:
                        self.assertIn(mount["subPath"], rendered.find("ConfigMap", source["name"])["data"])
            self.assertEqual(used, set(volumes) | claims)
            for name, volume in volumes.items():
                if "persistentVolumeClaim" in volume:
                    self.assertIsNotNone(rendered.find("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]), name)
                elif "configMap" in volume:
                    self.assertIsNotNone(rendered.find("ConfigMap", volume["configMap"]["name"]), name)
                elif "secret" in volume:
                    self.assertEqual(volume["secret"]["secretName"], "mellow-tls")
                    self.assertLessEqual({item["key"] for item in volume["secret"]["items"]}, TLS_FILES)
                    self.assertEqual(sorted(item["path"] for item in volume["secret"]["items"]), ["ca.pem", "cert.pem", "key.pem"])
                else:
                    self.assertIn("sizeLimit", volume["emptyDir"], f"{name}: unbounded")

    def test_what_is_written_goes_to_a_volume(self):
        for _, _, container in self.each_container():
            writable = [m["mountPath"] for m in container.get("volumeMounts", []) if not m.get("readOnly")]
            for argument in container.get("args", []):
                flag, _, value = argument.partition("=")
                if flag in ("--data-dir", "--checkpoint-dir", "--study"):
                    self.assertTrue(any(value == path or value.startswith(path + "/") for path in writable), argument)

    def test_variables_are_set(self):
        for rendered, workload, container in self.each_container():
            environment = rendered.environment(container)
            for word in container.get("args", []) + container.get("command", []):
                self.assertLessEqual(set(re.findall(r"\$\((\w+)\)", word)), set(environment), word)
            for variable in container.get("env", []):
                source = variable.get("valueFrom", {}).get("resourceFieldRef")
                if source:
                    self.assertEqual(source["containerName"], container["name"])

    def test_flags_are_those_of_the_programs(self):
        known = {}
        for _, _, container in self.each_container():
            arguments = container.get("args")
            if not arguments or "command" in container:
                continue
            command = [program_of(container["image"])]
            if command[0].name == "mellow":
                command.append(arguments[0])
            key = tuple(command)
            if key not in known:
                known[key] = help_of(*command)
            text = known[key]
            flags = set(re.findall(r"^\s+(--[\w-]+)", text, re.MULTILINE))
            given = [a.split("=", 1)[0] for a in arguments if a.startswith("--")]
            self.assertEqual(len(given), len(set(given)), "a flag twice")
            self.assertLessEqual(set(given), flags, command)
            required = set(re.findall(r"^\s+(--[\w-]+).*REQUIRED", text, re.MULTILINE))
            self.assertLessEqual(required, set(given), command)

    def test_variables_are_those_of_the_programs(self):
        for rendered, _, container in self.each_container():
            # The global options of `mellow` are in its own help.
            if "command" in container and program_of(container["image"]).name != "mellow":
                continue
            variables = {name for name in rendered.environment(container) if name.startswith("MELLOW_")}
            if variables:
                self.assertLessEqual(variables, set(re.findall(r"MELLOW_\w+", help_of(program_of(container["image"])))))

    def test_ports(self):
        for rendered, workload, container in self.each_container():
            declared = {p["name"]: p["containerPort"] for p in container.get("ports", [])}
            self.assertEqual(declared, {name: PORTS[name] for name in declared})
            environment = rendered.environment(container)
            listening = {int(a.rsplit(":", 1)[1]) for a in container.get("args", []) if re.match(r"--(metrics-)?address=", a)}
            if "MELLOW_INSECURE_HEALTH_ADDRESS" in environment:
                listening.add(int(environment["MELLOW_INSECURE_HEALTH_ADDRESS"].rsplit(":", 1)[1]))
            self.assertEqual(set(declared.values()), listening)
            advertised = [a.rsplit(":", 1)[1] for a in container.get("args", []) if a.startswith("--advertise=")]
            self.assertIn(advertised, ([], [str(PORTS["grpc"])]))
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                for kind in ("grpc", "httpGet"):
                    port = container.get(probe, {}).get(kind, {}).get("port")
                    if port is not None:
                        self.assertIn(port, list(declared) + list(declared.values()), probe)

    def test_services_are_probed_and_end_in_time(self):
        for rendered, workload in self.each(lambda r: r.of("Deployment", "StatefulSet")):
            container = rendered.pod(workload)["containers"][0]
            if rendered.labels(workload)["app.kubernetes.io/component"] not in ROLES:
                continue
            secured = "MELLOW_TLS_CERT" in rendered.environment(container)
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                self.assertEqual(container[probe]["grpc"]["port"], PORTS["health" if secured else "grpc"])
            self.assertEqual(secured, "MELLOW_INSECURE_LISTEN" not in rendered.environment(container))
            pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            self.assertGreaterEqual(rendered.pod(workload)["terminationGracePeriodSeconds"], pause + seconds_of(container["args"], "--drain-seconds") + 10)
            if workload["kind"] == "Deployment":
                self.assertGreaterEqual(pause, 70, "callers need time to renew their connections and see that the pod has left DNS")
                self.assertEqual(workload["spec"]["strategy"]["rollingUpdate"], {"maxSurge": 1, "maxUnavailable": 0})

    def test_services_lead_to_the_pods(self):
        for rendered, service in self.each(lambda r: r.of("Service")):
            component = service["metadata"]["labels"]["app.kubernetes.io/component"]
            pods = rendered.selected({"matchLabels": service["spec"]["selector"]})
            self.assertTrue(pods)
            self.assertEqual({rendered.labels(p)["app.kubernetes.io/component"] for p in pods}, {component})
            self.assertEqual(service["metadata"]["name"], f"mellow-{component}")
            for port in service["spec"]["ports"]:
                self.assertEqual(port["port"], PORTS[port["name"]])
                for pod in pods:
                    self.assertIn(port["targetPort"], [p["name"] for p in rendered.pod(pod)["containers"][0]["ports"]])
            if component in ROLES:
                self.assertEqual(service["spec"]["clusterIP"], "None", "round_robin needs the pods' addresses")
        for rendered, workload in self.each(lambda r: r.of("StatefulSet")):
            self.assertIsNotNone(rendered.find("Service", workload["spec"]["serviceName"]))

    @staticmethod
    def filled(rendered, container, word):
        """The word with $(VARIABLES) filled in."""
        return re.sub(r"\$\((\w+)\)", lambda name: rendered.environment(container)[name[1]] or "", word)

    def service_at(self, rendered, address):
        name, port = re.fullmatch(r"([\w-]+)\.mellow\.svc\.cluster\.local\.:(\d+)", address).groups()
        service = rendered.find("Service", name)
        self.assertIsNotNone(service, address)
        self.assertIn(int(port), [p["port"] for p in service["spec"]["ports"]], address)
        return service

    def test_addresses_are_services(self):
        for rendered, _, container in self.each_container():
            for argument in container.get("args", []):
                if argument.startswith("--orchestrator="):
                    address = self.filled(rendered, container, argument.split("=", 1)[1])
                    self.assertEqual(self.service_at(rendered, address)["metadata"]["name"], "mellow-orchestrator")
        for rendered in self.each_rendering():
            services = dict(part.split("=") for part in rendered.find("ConfigMap", "mellow-connect")["data"]["MELLOW_CONNECT"].split(","))
            self.assertEqual(sorted(services), sorted(ROLES))
            for role, address in services.items():
                self.assertEqual(self.service_at(rendered, address)["metadata"]["name"], f"mellow-{role}")

    def test_images_are_pulled_with_the_secret_where_it_is_asked_for(self):
        for rendered, workload in self.each(Rendered.workloads):
            account = rendered.find("ServiceAccount", rendered.pod(workload)["serviceAccountName"])
            asked = "everything" in rendered.name or "image-pull-secret" in rendered.name
            self.assertEqual(account.get("imagePullSecrets"), [{"name": "mellow-registry"}] if asked else None)

    def test_the_dashboards_are_found(self):
        files = {path.name: json.loads(path.read_text()) for path in (ROOT / "deploy/grafana/dashboards").glob("*.json")}
        for rendered in self.each_rendering():
            maps = [m for m in rendered.of("ConfigMap") if m["metadata"].get("labels", {}).get("grafana_dashboard") == "1"]
            asked = "everything" in rendered.name or "grafana-dashboards" in rendered.name
            self.assertEqual([m["metadata"]["name"] for m in maps], ["mellow-dashboards"] if asked else [])
            for found in maps:
                self.assertEqual({name: json.loads(text) for name, text in found["data"].items()}, files)
                # What `kubectl apply` writes into an annotation must fit there.
                self.assertLess(len(json.dumps(found)), 250_000)

    def test_the_job_for_real_models(self):
        job, policy = objects_of_yaml((KUBERNETES / "hub-models/job.yaml").read_text())
        self.assertTrue(matches(policy["spec"]["podSelector"], Rendered.labels(job)))
        variables = {v["name"]: v for v in Rendered.containers(job)[0]["env"]}
        # The Hub's client reads it; who has none fetches what is for everybody.
        self.assertEqual(variables["HF_TOKEN"]["valueFrom"]["secretKeyRef"], {"name": "mellow-hub", "key": "token", "optional": True})

    def test_the_example_of_a_route_leads_users_to_what_they_may_call(self):
        route, = objects_of_yaml((KUBERNETES / "examples/grpc-route.yaml").read_text())
        self.assertEqual((route["apiVersion"], route["kind"], route["metadata"]["namespace"]), ("gateway.networking.k8s.io/v1", "GRPCRoute", "mellow"))
        rendered = self.all[0]
        access = (ROOT / "services/wire/methods.cc").read_text()
        open_to_users = {(role, name) for role, names in re.findall(r"{(policy|reward), (?:users|everybody), k\w+, {([^}]*)}", access)
                         for name in re.findall(r'"(\w+)"', names)}
        self.assertEqual({(match["method"]["service"].split(".")[1], match["method"]["method"]) for rule in route["spec"]["rules"] for match in rule["matches"]},
                         open_to_users)
        for rule in route["spec"]["rules"]:
            role, = {match["method"]["service"].split(".")[1] for match in rule["matches"]}
            for match in rule["matches"]:
                method = match["method"]
                self.assertRegex((ROOT / f"proto/mellow/{role}/v1/{role}.proto").read_text(), rf"rpc {method['method']}\(")
            for backend in rule["backendRefs"]:
                self.assertEqual(backend["name"], f"mellow-{role}")
                self.assertIn(backend["port"], [p["port"] for p in rendered.find("Service", backend["name"])["spec"]["ports"]])

    def test_budgets_and_autoscalers(self):
        for rendered, budget in self.each(lambda r: r.of("PodDisruptionBudget")):
            self.assertTrue(rendered.selected(budget["spec"]["selector"]))
        for rendered, workload in self.each(lambda r: r.of("Deployment", "StatefulSet")):
            if rendered.labels(workload)["app.kubernetes.io/component"] in ROLES:
                budgets = [b for b in rendered.of("PodDisruptionBudget") if matches(b["spec"]["selector"], rendered.labels(workload))]
                self.assertEqual(len(budgets), 1)
            scalers = [s for s in rendered.of("HorizontalPodAutoscaler") if s["spec"]["scaleTargetRef"]["name"] == workload["metadata"]["name"]]
            # Whoever applies the manifest again must not undo what the autoscaler did.
            self.assertEqual("replicas" in workload["spec"], not scalers)
        for rendered, scaler in self.each(lambda r: r.of("HorizontalPodAutoscaler")):
            target = scaler["spec"]["scaleTargetRef"]
            self.assertIsNotNone(rendered.find(target["kind"], target["name"]))
            self.assertIn(target["kind"], ("Deployment",), "the singletons do not scale")
            by_queue = "gpu" in rendered.name or "mixed" in rendered.name or "everything" in rendered.name or "queue" in rendered.name
            # A learner worker has no queue.
            by_queue = by_queue and target["name"] != "mellow-learner-worker"
            self.assertEqual([m["type"] for m in scaler["spec"]["metrics"]], ["Pods" if by_queue else "Resource"])
            for metric in scaler["spec"]["metrics"]:
                if metric["type"] == "Pods":
                    name = metric["pods"]["metric"]["name"]
                    sources = "".join(p.read_text() for p in (ROOT / "services").glob("*/*_engine.cc"))
                    self.assertIn(f'"{name}"', sources)
                    adapter = (KUBERNETES / "components/queue-depth-autoscaling/prometheus-adapter.yaml").read_text()
                    pattern = re.search(r'__name__=~"([^"]*)"', adapter)[1]
                    self.assertRegex(name, f"^(?:{pattern})$")

    def test_gpu_nodes(self):
        for rendered, workload in self.each(lambda r: r.of("Deployment", "StatefulSet")):
            container, pod = rendered.pod(workload)["containers"][0], rendered.pod(workload)
            device = rendered.environment(container).get("DEVICE", "cpu")
            name = workload["metadata"]["name"]
            expected = not rendered.name.startswith("cpu") and name in ("mellow-policy", "mellow-learner")
            self.assertEqual(device, "cuda:0" if expected else "cpu")
            self.assertEqual(container["resources"]["limits"].get("nvidia.com/gpu"), "1" if expected else None)
            self.assertEqual("nodeSelector" in pod, expected)
            self.assertEqual([t["key"] for t in pod.get("tolerations", [])], ["nvidia.com/gpu"] if expected else [])
            self.assertEqual(container["image"].endswith("-gpu"), expected)
            self.assertEqual({c["image"] for c in rendered.containers(workload)}, {container["image"]})

    def test_monitors_find_the_metrics(self):
        for rendered, monitor in self.each(lambda r: r.of("ServiceMonitor")):
            services = [s for s in rendered.of("Service") if matches(monitor["spec"]["selector"], s["metadata"]["labels"])]
            self.assertEqual(len(services), len(rendered.of("Service")))
            # The rules ask for job="mellow".
            self.assertEqual({s["metadata"]["labels"][monitor["spec"]["jobLabel"]] for s in services}, {"mellow"})
            for endpoint in monitor["spec"]["endpoints"]:
                for service in services:
                    self.assertIn(endpoint["port"], [p["name"] for p in service["spec"]["ports"]])
                secured = "everything" in rendered.name
                self.assertEqual(endpoint.get("scheme"), "https" if secured else None)
                for part in ("ca", "cert"):
                    if secured:
                        self.assertIn(endpoint["tlsConfig"][part]["secret"]["key"], TLS_FILES)
                        self.assertEqual(endpoint["tlsConfig"][part]["secret"]["name"], "mellow-tls")

    def test_the_rule_is_made_from_the_rules(self):
        result = subprocess.run([sys.executable, "-B", KUBERNETES / "components/prometheus-operator/make_rule.py", "--check"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        rendered = next(r for r in self.all if r.name == "cpu with prometheus-operator")
        groups = rendered.of("PrometheusRule")[0]["spec"]["groups"]
        alerts = re.findall(r"- alert: (\w+)", (ROOT / "deploy/prometheus/alerts.yml").read_text())
        self.assertEqual([r["alert"] for g in groups for r in g["rules"] if "alert" in r], alerts)

    def test_the_network_lets_through_what_is_needed_and_nothing_else(self):
        for rendered in self.each_rendering():
            policies = rendered.of("NetworkPolicy")
            pods = {w["metadata"]["name"]: rendered.labels(w) for w in rendered.workloads()}
            workers = [n for n in pods if n == "mellow-learner-worker"]
            judges = [n for n in pods if n == "mellow-judge"]
            nodes = [n for n in pods if n.startswith(("mellow-policy", "mellow-reward", "mellow-learner")) and n not in workers]
            callers = {"mellow-cli", "mellow-train"}
            wanted = {(n, "mellow-orchestrator") for n in nodes} | {("mellow-orchestrator", n) for n in nodes}
            wanted |= {(j, "mellow-orchestrator") for j in judges} | {("mellow-orchestrator", j) for j in judges}
            wanted |= {(w, "mellow-orchestrator") for w in workers} | {("mellow-learner", w) for w in workers}
            wanted |= {(c, n) for c in callers for n in [*nodes, "mellow-orchestrator"]}
            givers = [n for n in nodes if n.startswith("mellow-policy")]
            wanted |= {(a, b) for a in givers for b in givers}
            for source in pods:
                for target in pods:
                    self.at(f"{rendered.name}: {source} -> {target}")
                    self.assertEqual(reachable(policies, pods[source], pods[target], PORTS["grpc"]), (source, target) in wanted)
                    self.assertFalse(reachable(policies, pods[source], pods[target], PORTS["metrics"]))
            for name, labels in pods.items():
                self.at(f"{rendered.name}: {name} and other namespaces")
                self.assertTrue(can_leave(policies, labels, 53, "UDP"))
                self.assertFalse(can_leave(policies, labels, 443))
                for label, port, open_to in (("mellow/user", PORTS["grpc"], ("mellow-policy", "mellow-policy-cpu", "mellow-reward")),
                                             ("mellow/ingress", PORTS["http"], ("mellow-review",)),
                                             ("mellow/monitoring", PORTS["metrics"], tuple(pods))):
                    self.assertEqual(reachable_from_namespace(policies, {label: "true"}, labels, port), name in open_to, label)
                    self.assertFalse(reachable_from_namespace(policies, {}, labels, port))

    def test_the_run_is_that_of_the_demo(self):
        run = json.loads((TRAIN / "run.json").read_text())
        demo = json.loads((ROOT / "deploy/runs/mini.json").read_text())
        path = run["data"].pop("path")
        self.assertEqual(path, f"/models/runs/{demo['data'].pop('path')}")
        self.assertEqual(run, demo)
        for rendered in self.each_rendering():
            settings = next(o for o in rendered.of("ConfigMap") if o["metadata"]["name"].startswith("mellow-settings"))["data"]
            for variable in ("POLICY_MODEL", "REWARD_MODEL"):
                self.assertTrue((ROOT / "deploy/models" / pathlib.Path(settings[variable]).name / "config.json").is_file())

    def test_how_many_adapters_stay_is_a_setting(self):
        for rendered in self.each_rendering():
            settings = next(o for o in rendered.of("ConfigMap") if o["metadata"]["name"].startswith("mellow-settings"))["data"]
            self.assertEqual(settings["KEEP_ADAPTERS"], "0")
        keepers = {workload["metadata"]["name"] for _, workload, container in self.each_container() if "--keep-adapters=$(KEEP_ADAPTERS)" in container.get("args", [])}
        self.assertEqual(keepers, {"mellow-orchestrator", "mellow-learner"})

    def test_the_dockerfile_has_the_images(self):
        targets = set(re.findall(r"^FROM .* AS (\S+)$", (ROOT / "deploy/docker/Dockerfile").read_text(), re.MULTILINE | re.IGNORECASE))
        for _, _, container in self.each_container():
            self.assertIn(re.fullmatch(r"mellow/(\w+):dev(?:-gpu)?", container["image"])[1], targets)


if __name__ == "__main__":
    if shutil.which("kubectl") is None:
        print("skipped: there is no `kubectl` on the PATH, and it is what renders the manifests")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=1)
