"""The person who trains: one run after the other by `mellow train` and `mellow sft`, each step compared with the undisturbed run of its method."""
import collections
import itertools
import json
import subprocess
import threading
import time

import harness

# Some seconds of computing each. The guard looks at every step, with a judge, and has nothing to find.
PPO = ["train", str(harness.MINI_RUN), *harness.sets([
    "steps=10", "seed=5", "ppo.batch_size=16", "ppo.mini_batch_size=8", "generation.sampling.max_new_tokens=32", "shard_prompts=2",
    "guard.judge.share=0.5", "guard.max_repetition=0", "guard.kl_max=1000", "guard.score_drop=0", "guard.judge_gap=100", "guard.min_response_tokens=1"])]
SFT = ["sft", str(harness.SOURCE / "deploy/runs/mini-sft.json"), *harness.sets(["epochs=", "max_steps=6", "eval_every=2", "checkpoint_every=2"])]
ORDER = [PPO, PPO, SFT]
RETRY_PAUSE = 1.0


class Training:
    def __init__(self, folder):
        self.folder = folder
        self.expected = {}  # the verb -> step -> what the undisturbed run has there: PPO a sha256, supervised runs the losses, and the sha256 at the end
        self.violations = []
        self.runs_done = 0
        self.steps_seen = 0
        self.resumed = collections.Counter()  # why a command had to be given again
        self.last_commit = time.monotonic()
        self._killed = self._began = False  # the command, the run
        self._process = None
        self._last_run = threading.Event()

    def run(self, command):
        """One whole run, resumed as often as it takes. Gives what its steps have."""
        hashes = {}
        resume = []
        self._began = False
        while True:
            self._killed = False
            self._process = subprocess.Popen([harness.MELLOW, *command, "--dir", str(self.folder), "--json", *resume],
                                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            errors = []
            reader = threading.Thread(target=lambda: errors.append(self._process.stderr.read()))
            reader.start()
            for line in self._process.stdout:
                if line.endswith("\n"):  # else it was killed while it wrote
                    self._take(json.loads(line), self.expected.get(command[0], {}), hashes)
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
            # The run before was of the other method: this one was never made.
            resume = [] if lines and "had other settings" in lines[-1] else ["--resume"]
            time.sleep(RETRY_PAUSE)

    def _take(self, line, expected, hashes):
        if line.get("done"):
            step, value = "done", line["adapter"]["sha256"] if "adapter" in line else line["sha256"]
        elif "step" in line:
            step, value = line["step"], line["adapter"]["sha256"] if "adapter" in line else (line.get("loss"), line.get("dev_loss"))
            self._began = True
            self.last_commit = time.monotonic()
            self.steps_seen += 1
        else:
            return
        hashes[step] = value
        if expected and value != expected[step]:
            self.violations.append(f"step {step} has {value}, undisturbed it has {expected[step]}")

    def start(self):
        """The undisturbed runs, and then runs in a thread until finish()."""
        for command in (PPO, SFT):
            self.expected[command[0]] = self.run(command)

        def forever():
            for command in itertools.cycle(ORDER):
                if self._last_run.is_set():
                    return
                try:
                    hashes = self.run(command)
                except Exception as error:  # of ours: the thread must not end in silence
                    self.violations.append(f"following a run: {error!r}")
                    return
                if missing := set(self.expected[command[0]]) - set(hashes):
                    self.violations.append(f"a run ended without the steps {sorted(missing, key=str)}")
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
