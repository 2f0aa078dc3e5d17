"""The person who trains: one run after the other by `mellow train`, each step compared with the undisturbed run."""
import collections
import json
import subprocess
import threading
import time

import harness

# Some seconds of computing in all.
RUN = ["steps=10", "seed=5", "ppo.batch_size=16", "ppo.mini_batch_size=8", "generation.sampling.max_new_tokens=32", "shard_prompts=2"]
RETRY_PAUSE = 1.0


class Training:
    def __init__(self, folder):
        self.folder = folder
        self.expected = {}  # step -> sha256 of the undisturbed run
        self.violations = []
        self.runs_done = 0
        self.steps_seen = 0
        self.resumed = collections.Counter()  # why a command had to be given again
        self.last_commit = time.monotonic()
        self._killed = self._began = False  # the command, the run
        self._process = None
        self._last_run = threading.Event()

    def run(self):
        """One whole run, resumed as often as it takes. Gives the hashes of its steps."""
        hashes = {}
        resume = []
        self._began = False
        while True:
            self._killed = False
            self._process = subprocess.Popen([harness.MELLOW, "train", str(harness.MINI_RUN), "--dir", str(self.folder), "--json", *harness.sets(RUN), *resume],
                                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            errors = []
            reader = threading.Thread(target=lambda: errors.append(self._process.stderr.read()))
            reader.start()
            for line in self._process.stdout:
                if line.endswith("\n"):  # else it was killed while it wrote
                    self._take(json.loads(line), hashes)
            reader.join()
            if self._process.wait() == 0 and self._began:
                self.runs_done += 1
                return hashes
            # The run was refused, and `--resume` found the one before it, which is done.
            if self._process.returncode == 0:
                resume = []
                continue
            lines = errors[0].strip().splitlines()
            self.resumed["the command was killed" if self._killed else lines[-1] if lines else f"exit code {self._process.returncode}"] += 1
            resume = ["--resume"]
            time.sleep(RETRY_PAUSE)

    def _take(self, line, hashes):
        step, sha = line.get("step"), line["adapter"]["sha256"]
        if line.get("done"):
            step = len(self.expected) or max(hashes)
        else:
            self._began = True
            self.last_commit = time.monotonic()
            self.steps_seen += 1
        hashes[step] = sha
        if self.expected and sha != self.expected[step]:
            self.violations.append(f"step {step} has the hash {sha}, undisturbed it has {self.expected[step]}")

    def start(self):
        """The undisturbed run, and then runs in a thread until finish()."""
        self.expected = self.run()

        def forever():
            while not self._last_run.is_set():
                try:
                    hashes = self.run()
                except Exception as error:  # of ours: the thread must not end in silence
                    self.violations.append(f"following a run: {error!r}")
                    return
                if missing := set(self.expected) - set(hashes):
                    self.violations.append(f"a run ended without the steps {sorted(missing)}")
        self._thread = threading.Thread(target=forever, daemon=True)
        self._thread.start()

    def finish(self):
        """No run begins after the one in progress."""
        self._last_run.set()

    def finished(self):
        return not self._thread.is_alive()

    def kill_command(self):
        self._killed = True
        if self._process.poll() is None:
            self._process.kill()
