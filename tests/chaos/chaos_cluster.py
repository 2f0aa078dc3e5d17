"""The cluster under chaos: its services, each behind a link and with faults inside, started again when they die."""
import json
import os
import pathlib
import signal
import subprocess
import time

import harness
from fault_control import FaultControl
from link_proxy import LinkProxy

BINARIES = pathlib.Path(harness.MELLOW).parent
SHIM = BINARIES.parent / "tests/mellow_fault_shim.so"
# Where it is not named as the role is.
PROGRAMS = {"judge": "reward", "learner-worker": "learner"}
# The services log errors of their own, and the driver prints ends of logs.
LOG_TAIL_LINES = 15


class Service:
    """One service over all its lives."""

    def __init__(self, name, folder, link, program, flags, disk):
        self.name, self.role = name, name.rsplit("-", 1)[0]
        self.folder, self.link, self.program, self.flags, self.disk = folder, link, program, flags, disk
        self.lives = 0
        self.process = None
        self.restart_at = None  # when it is dead
        self.serves = False
        # What was done in this life that may end it; None: nothing.
        self.excuse = None
        self.excuse_until = 0.0
        self.may_end_badly = False  # although it was asked to end
        self.without_memory_until = 0.0  # its answers may be odd until then
        self.end_before = 0.0  # when it was asked to end
        self.runs_before = 0  # runs that were completed when this life began
        self.memory = []  # (seconds of this life, MiB)

    @property
    def pid(self):
        return self.process.pid

    @property
    def log(self):
        return self.folder / f"logs/{self.name}.{self.lives}.log"

    def start(self):
        self.lives += 1
        self.restart_at = self.excuse = None
        self.serves = False
        self.memory = []
        control = self.folder / f"faults/{self.name}"
        self.control = FaultControl(control)
        environment = {**os.environ, "LD_PRELOAD": str(SHIM), "MELLOW_FAULTS": str(control), "MELLOW_FAULTS_DISK": f"{self.disk}/",
                       # As `mellow up` does: OpenMP's threads do not take the cores of the others.
                       "GOMP_SPINCOUNT": "20000"}
        with self.log.open("w") as out:
            self.process = subprocess.Popen([self.program, *map(str, self.flags)], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment)
        self.started = time.monotonic()

    def look(self):
        """Notices that it serves or has died; returns how it died."""
        if self.restart_at is not None:
            return None
        code = self.process.poll()
        if code is not None:
            self.link.lead_to(None)
            self.serves = False
            return code
        if not self.serves and (entry := harness.serving(self.log)):
            self.link.lead_to(entry["address"])
            self.metrics = entry["metrics"]
            self.serves = True
        return None

    def send(self, sig):
        if self.process.poll() is None:
            self.process.send_signal(sig)

    def resident_mib(self):
        try:
            for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        except (FileNotFoundError, ProcessLookupError):
            pass
        return None

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])


class ChaosCluster:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        for part in ("logs", "faults", "ledger", "checkpoints"):
            (self.folder / part).mkdir(parents=True)
        self.proxy = LinkProxy()
        self.services = {}
        models = harness.MODELS
        orchestrator = self._add("orchestrator", "--data-dir", self.folder / "ledger", "--policy-model", models / "mini-summarizer", disk="ledger")
        there = ("--orchestrator", orchestrator.link.address)
        self._add("learner", "--model", models / "mini-summarizer", "--checkpoint-dir", self.folder / "checkpoints", "--threads", "1", *there, disk="checkpoints")
        for i in (0, 1):
            self._add(f"reward-{i}", "--model", models / "mini-toxicity", "--threads", "1", *there)
            self._add(f"judge-{i}", "--judge", "--model", models / "mini-toxicity", "--threads", "1", *there)
            self._add(f"policy-{i}", "--model", models / "mini-summarizer", "--threads", "1", *there)
            self._add(f"learner-worker-{i}", "--worker", "--model", models / "mini-summarizer", "--threads", "1", *there)

    def _add(self, name, *flags, disk="none"):
        link = self.proxy.link()
        flags = ["--node-id", name, "--advertise", link.address, "--drain-seconds", "2", *flags]
        program = PROGRAMS.get(name.rsplit("-", 1)[0], name.split("-")[0])
        service = Service(name, self.folder, link, BINARIES / f"mellow_{program}_server", flags, self.folder / disk)
        self.services[name] = service
        return service

    def start(self):
        for service in self.services.values():
            service.start()

            def up(service=service):
                code = service.look()
                if code is not None:
                    raise AssertionError(f"{service.name} ended with {code}:\n{service.tail()}")
                return service.serves
            harness.wait_until(up, f"{service.name} serves")
        entries = [{"name": s.name, "role": s.role, "pid": s.pid, "address": s.link.address, "metrics": s.metrics, "log": str(s.log), "restarts": 0}
                   for s in self.services.values()]
        (self.folder / "cluster.json").write_text(json.dumps({"services": entries, "supervisor": {"pid": os.getpid()}}))

    def of_role(self, *roles):
        return [s for s in self.services.values() if s.role in roles]

    def stop(self, seconds=40):
        """Asks every service to end; returns the names of those that do not, and kills them."""
        for service in self.services.values():
            service.send(signal.SIGCONT)
            service.send(signal.SIGTERM)
        late = []
        deadline = time.monotonic() + seconds
        for service in self.services.values():
            try:
                service.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                late.append(service.name)
                service.process.kill()
                service.process.wait()
        return late
