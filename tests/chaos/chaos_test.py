#!/usr/bin/env python3
"""The chaos suite: a small cluster trains, by PPO under a guard with a judge and supervised, and serves users while faults strike at random.

  chaos_test.py [--minutes M] [--seed S] [--kinds "kill,hang"]

It holds when every step of every run has the hash of the undisturbed run, every request of a user ends with an answer or a right status in
time, no process dies that was not made to, no run stalls once it is left alone, and memory does not grow. Exit code 1 says what did not.
"""
import argparse
import collections
import json
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

import harness  # noqa: E402
from chaos_cluster import ChaosCluster  # noqa: E402
from faults import KINDS, FailedAllocations, FullDisk, Kill, KillCommand, Terminate  # noqa: E402
from training import Training  # noqa: E402
from users import LONGEST_TIMEOUT, Users  # noqa: E402

TICK = 0.05
MEAN_PAUSE = 3.0       # between the beginnings of two faults
MOST_AT_ONCE = 3
LONGEST_RESTART = 3.0
# Without a step for that long, no further fault begins before there is one.
PATIENCE_SECONDS = 60
# Left alone for that long without a step: a stall.
STALL_SECONDS = 120
# A process that is asked to end has calls of 2 s to finish, and little more to do.
END_SECONDS = 40
# A process may still die of a fault that long after it.
EXCUSE_SECONDS = 30
MEMORY_EVERY = 5.0
# A life counts as warm when that many runs were completed in it.
WARM_RUNS = 2
MEMORY_FACTOR, MEMORY_MIB = 1.25, 64


def spared(name, share):
    """Who lives on, so that memory is seen to stay flat over long lives: one node of each kind, and half of the time each of the other two."""
    return name.endswith("-1") or name == ("learner" if share < 0.5 else "orchestrator")


class Chaos:
    def __init__(self, minutes, seed, kinds, folder):
        self.seconds = minutes * 60
        self.random = random.Random(seed)
        self.kinds = kinds
        self.cluster = ChaosCluster(folder)
        self.training = Training(folder)
        self.active = []  # (end, fault)
        self.counts = collections.Counter()
        self.effects = collections.Counter()  # what the shims say has struck
        self.deaths = collections.Counter()
        self.violations = []
        self.memory = []  # (service, life, first, last, seconds)
        self.next_memory = 0.0
        self.seed = seed

    def log(self, text):
        print(f"[{time.monotonic() - self.begin:7.1f} s] {text}", flush=True)

    def run(self):
        self.begin = time.monotonic()
        self.cluster.start()
        self.log("the undisturbed run")
        self.training.start()
        for verb, steps in self.training.expected.items():
            self.log(f"undisturbed, {verb}: {len(steps) - 1} steps, adapter {steps['done']}")
        self.users = Users(self.cluster, self.seed)
        self.begin = self.undisturbed_since = time.monotonic()
        next_fault = self.begin
        finishing = False
        while not (finishing and self.training.finished()) and not self.violations:
            now = time.monotonic()
            self.end_faults(now)
            self.look_after_services(now)
            finishing = now - self.begin > self.seconds
            if finishing:
                self.training.finish()
            elif now >= next_fault and len(self.active) < MOST_AT_ONCE and now - self.training.last_commit < PATIENCE_SECONDS:
                self.begin_fault(now)
                next_fault = now + min(self.random.expovariate(1 / MEAN_PAUSE), 3 * MEAN_PAUSE)
            self.judge(now)
            time.sleep(TICK)
        self.end_faults(float("inf"))
        self.finish()

    def begin_fault(self, now):
        share = (now - self.begin) / self.seconds
        name = self.random.choice(self.kinds)
        kind = KINDS[name]
        if kind is KillCommand:
            fault = KillCommand(self.training, self.random)
        else:
            busy = {fault.service for _, fault in self.active}
            targets = [s for s in self.cluster.of_role(*kind.roles)
                       if s not in busy and s.restart_at is None and s.excuse != "terminate" and (s.serves or kind is Kill)
                       and not (kind.deadly and spared(s.name, share))]
            if not targets:
                return
            fault = kind(self.random.choice(targets), self.random)
            if kind.deadly or kind is FullDisk:
                # A fault that may end a process may do so while it was asked to end, and then not in order.
                fault.service.may_end_badly = fault.service.excuse == "clock jump"
                fault.service.excuse = name
                fault.service.excuse_until = now + fault.duration + EXCUSE_SECONDS
            if kind is FailedAllocations:
                fault.service.without_memory_until = now + fault.duration + LONGEST_TIMEOUT
            if kind is Terminate:
                fault.service.end_before = now + END_SECONDS
        fault.begin()
        self.counts[name] += 1
        self.active.append((now + fault.duration, fault))
        whom = fault.service.name if fault.service else "mellow train"
        self.log(f"fault {sum(self.counts.values())}: {name}, {whom}" + (f" for {fault.duration:.1f} s" if fault.duration else "") +
                 (f" ({fault.detail})" if fault.detail else ""))

    def end_faults(self, now):
        for entry in [e for e in self.active if e[0] <= now]:
            self.active.remove(entry)
            entry[1].end()

    def look_after_services(self, now):
        for service in self.cluster.services.values():
            if service.excuse != "terminate" and now > service.excuse_until:
                service.excuse = None
            code = service.look()
            if code is not None:
                self.count_effects(service)
                self.close_memory(service)
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                self.deaths[f"{service.excuse}: {how}"] += 1
                self.log(f"{service.name} ended ({how}; {service.excuse})")
                if service.excuse is None:
                    self.violations.append(f"{service.name} died by itself ({how})\n{service.tail()}")
                # A call that gRPC lost with a failed allocation, however long ago, is waited for until the drain's limit.
                may_end_badly = service.may_end_badly or service.control.failed_allocations
                if service.excuse == "terminate" and code != 0 and not may_end_badly:
                    self.violations.append(f"{service.name} was asked to end and did so with {how}\n{service.tail()}")
                service.restart_at = now + self.random.uniform(0, LONGEST_RESTART)
            elif service.restart_at is not None and now >= service.restart_at:
                service.start()
                service.runs_before = self.training.runs_done
            elif service.excuse == "terminate" and now > service.end_before:
                self.violations.append(f"{service.name} was asked to end and did not\n{service.tail()}")

    def quiet(self):
        return not self.active and all(s.serves for s in self.cluster.services.values())

    def judge(self, now):
        if not self.quiet():
            self.undisturbed_since = now
        elif now >= self.next_memory:
            self.next_memory = now + MEMORY_EVERY
            for service in self.cluster.services.values():
                mib = service.resident_mib()
                if mib and self.training.runs_done >= service.runs_before + WARM_RUNS:
                    service.memory.append((now - service.started, mib))
        if now - max(self.undisturbed_since, self.training.last_commit) > STALL_SECONDS:
            self.violations.append(f"no step for {now - self.training.last_commit:.0f} s, of which {now - self.undisturbed_since:.0f} s without a fault")
        self.violations += self.training.violations + self.users.violations

    def close_memory(self, service):
        if len(service.memory) < 2:
            return
        (since, first), (until, last) = service.memory[0], service.memory[-1]
        self.memory.append((service.name, service.lives, first, last, until - since))
        if last > first * MEMORY_FACTOR + MEMORY_MIB:
            self.violations.append(f"{service.name} grew from {first:.0f} to {last:.0f} MiB in {until - since:.0f} s")

    def count_effects(self, service):
        for field in ("failed_allocations", "refused_writes", "hung_threads", "wrong_times"):
            self.effects[field] += getattr(service.control, field)

    def status(self):
        return json.loads(harness.mellow("status", "--dir", self.cluster.folder, "--json").stdout or "{}")

    def finish(self):
        """The last rules: every node works again, every request has ended, every process ends when it is asked to."""
        if self.violations:
            print(json.dumps(self.status(), indent=1))
            for service in self.cluster.services.values():
                print(f"---- {service.log}\n{service.tail()}")
        else:
            harness.wait_until(lambda: {n["state"] for n in self.status().get("nodes", [])} == {"READY"}, "every node is ready again")
        self.users.stop()
        self.violations += self.users.violations
        for service in self.cluster.services.values():
            self.count_effects(service)
            self.close_memory(service)
        self.violations += [f"{name} was asked to end and did not" for name in self.cluster.stop(END_SECONDS)]

    def summary(self):
        training, users = self.training, self.users
        print(f"\nseed {self.seed}, {(time.monotonic() - self.begin) / 60:.1f} minutes, {sum(self.counts.values())} faults, "
              f"{training.runs_done - len(training.expected)} runs after the undisturbed ones, {training.steps_seen} steps seen")
        print(table("faults", self.counts))
        print(table("what struck inside", self.effects))
        print(table("deaths, by what was done before", self.deaths))
        print(table("why `mellow train` had to be given again", training.resumed))
        print(table(f"requests of users ({users.ended} ended of {users.started}; the latest {users.longest_over:.1f} s after its deadline)", users.codes))
        print(table("requests while allocations failed there", users.codes_without_memory))
        print("memory of lives seen warm for longest, MiB at first and at last")
        for name in self.cluster.services:
            lives = [row for row in self.memory if row[0] == name]
            if lives:
                _, life, first, last, seconds = max(lives, key=lambda row: row[4])
                print(f"  {name:14} {first:6.0f} {last:6.0f}   life {life}, {seconds:.0f} s")


def table(title, counts):
    return "\n".join([title, *(f"  {counts[key]:7}  {key}" for key in sorted(counts, key=lambda k: -counts[k]))])


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--kinds", default=",".join(KINDS), help="faults to choose from (default: all: %(default)s)")
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    if unknown := set(kinds) - set(KINDS):
        parser.error(f"--kinds: unknown: {', '.join(unknown)}")
    signal.signal(signal.SIGTERM, interrupted)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mellow-chaos."))
    print(f"seed {options.seed}, {options.minutes:g} minutes, {folder}", flush=True)
    chaos = Chaos(options.minutes, options.seed, kinds, folder / "cluster")
    try:
        chaos.run()
    except BaseException:
        chaos.cluster.stop(1)
        raise
    chaos.summary()
    for violation in dict.fromkeys(chaos.violations):
        print(f"VIOLATED: {violation}")
    if chaos.violations:
        print(f"the cluster's files: {folder}")
        return 1
    shutil.rmtree(folder)
    print("everything held")
    return 0


if __name__ == "__main__":
    sys.exit(main())
