"""The users: starts mellow_chaos_users, counts its answers by code, and judges them."""
import collections
import json
import subprocess
import threading
import time

import harness
from chaos_cluster import BINARIES

PROGRAM = BINARIES.parent / "tests/mellow_chaos_users"
CODES = {"OK", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "CANCELLED"}
# A service in which allocations fail may also say that it broke.
CODES_WITHOUT_MEMORY = CODES | {"INTERNAL", "UNKNOWN"}
# How much later than its deadline a status may come, on a machine that computes more than it has cores for.
SLACK_SECONDS = 5
LONGEST_TIMEOUT = 20


class Users:
    def __init__(self, cluster, seed):
        self.cluster = cluster
        self.codes = collections.Counter()
        self.codes_without_memory = collections.Counter()
        self.violations = []
        self.ended = 0
        self.started = None
        self.longest_over = 0.0
        addresses = [word for s in cluster.of_role("policy", "reward") for word in (f"--{s.role}", s.link.address)]
        self.process = subprocess.Popen([PROGRAM, *addresses, "--dialogues", harness.HELDOUT, "--seed", str(seed)], stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            if "started" in answer:
                self.started = answer["started"]
            else:
                self._take(answer)

    def _take(self, answer):
        self.ended += 1
        over = answer["seconds"] - answer["timeout"]
        self.longest_over = max(self.longest_over, over)
        without_memory = time.monotonic() < self.cluster.services[answer["target"]].without_memory_until
        codes, allowed = (self.codes_without_memory, CODES_WITHOUT_MEMORY) if without_memory else (self.codes, CODES)
        codes[answer["code"]] += 1
        if answer["code"] not in allowed:
            self.violations.append(f"{answer['target']} answered a user with {answer['code']}: {answer['message']}")
        if over > SLACK_SECONDS:
            self.violations.append(f"{answer['target']} left a user waiting for {answer['seconds']:.1f} s; the deadline was {answer['timeout']} s")
        if answer["wrong"]:
            self.violations.append(f"{answer['target']} gave another answer to the same question under the same weights")

    def stop(self):
        """Every request that has begun must end, and be counted."""
        self.process.terminate()
        try:
            code = self.process.wait(LONGEST_TIMEOUT + SLACK_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.violations.append("a request of a user never ended")
            return
        self._reader.join()
        if code != 0 or self.started != self.ended:
            self.violations.append(f"users began {self.started} requests, and {self.ended} ended (exit code {code})")
