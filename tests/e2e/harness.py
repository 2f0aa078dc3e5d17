"""What the end-to-end tests share: the built `mellow`, clusters in folders of their own, waiting for conditions.

Standard library only. Environment: MELLOW (the program), MELLOW_SOURCE (the tree).
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from waiting import wait_until

MELLOW = os.environ["MELLOW"]
SOURCE = pathlib.Path(os.environ["MELLOW_SOURCE"])
# Data that we may not ship (CONTRIBUTING.md); may be absent.
OUTSIDE_DATA = pathlib.Path(os.environ.get("MELLOW_TEST_DATA", SOURCE.parent / "shared/data"))
MODELS = SOURCE / "deploy/models"
MINI_RUN = SOURCE / "deploy/runs/mini.json"
HELDOUT = SOURCE / "deploy/runs/mini/heldout.jsonl"
# A run of a few seconds with everything in it.
SMALL = ["steps=5", "seed=5", "ppo.batch_size=8", "ppo.mini_batch_size=4", "generation.sampling.max_new_tokens=24", "shard_prompts=2"]


def mellow(*args, stdin="", timeout=300, check=None):
    """Runs the program to its end; `check` is the exit code that it must have."""
    result = subprocess.run([MELLOW, *map(str, args)], input=stdin, capture_output=True, text=True, timeout=timeout)
    if check is not None and result.returncode != check:
        raise AssertionError(f"mellow {' '.join(map(str, args))}: exit code {result.returncode}, not {check}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}")
    return result


def shell(command, folder, check=0, timeout=600):
    """Runs what was printed as a person would who copies it."""
    result = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, timeout=timeout)
    if result.returncode != check:
        raise AssertionError(f"{command}: exit code {result.returncode}, not {check}\n{result.stdout[-2000:]}\n{result.stderr[-2000:]}")
    return result


def commands_in(text):
    """The indented lines: commands to run as they stand."""
    return [line.strip() for line in text.splitlines() if line.startswith("  ") and MELLOW in line]


def assert_narrow(test, text):
    """Lines fit 80 columns, but for a path, a link or a command to copy, which would be none when it is broken."""
    for line in text.splitlines():
        if max(map(len, line.split()), default=0) <= 60 and not line.strip().startswith(MELLOW):
            test.assertLessEqual(len(line), 80, line)


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def sets(assignments):
    return [word for assignment in assignments for word in ("--set", assignment)]


def alive(pid):
    """True for a process that runs; a zombie (nobody has asked for its exit code) is dead."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def serving(log):
    """What a service logged when it began to serve, or None."""
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("{") and (entry := json.loads(line))["message"] == "serving":
            return entry
    return None


class Cluster:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def up(self, *flags):
        # Nothing is in flight at the end of a test, so nothing needs a long drain.
        return mellow("up", "--dir", self.folder, "--drain-seconds", "1", *flags, check=0)

    def down(self):
        return mellow("down", "--dir", self.folder, check=0)

    def file(self):
        return json.loads((self.folder / "cluster.json").read_text())

    def unreachable(self, folder):
        """Writes a cluster file into `folder` that points to a port where nobody listens, and returns that address."""
        file = self.file()
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{closed.getsockname()[1]}"
        for service in file["services"]:
            service["address"] = address
        (pathlib.Path(folder) / "cluster.json").write_text(json.dumps(file))
        return address

    def services(self):
        return {s["name"]: s for s in self.file()["services"]}

    def status(self):
        return json.loads(mellow("status", "--dir", self.folder, "--json", check=0).stdout)

    def kill(self, name, sig=signal.SIGKILL):
        """Kills a service and returns its pid."""
        pid = self.services()[name]["pid"]
        os.kill(pid, sig)
        return pid

    def wait_restarted(self, name, old_pid):
        def back():
            entry = self.services()[name]
            return entry["pid"] not in (0, old_pid) and alive(entry["pid"])
        wait_until(back, f"{name} is started again")

    def pids(self):
        file = self.file()
        return [file["supervisor"]["pid"], *[s["pid"] for s in file["services"]]]

    def train_args(self, assignments, *flags):
        return ["train", MINI_RUN, "--dir", self.folder, "--json", *sets(assignments), *flags]

    def train(self, assignments, *flags, check=0):
        """Steps and the last object of a whole run."""
        lines = json_lines(mellow(*self.train_args(assignments, *flags), check=check).stdout)
        return lines[:-1], lines[-1]

    def start_train(self, assignments, *flags):
        return subprocess.Popen([MELLOW, *map(str, self.train_args(assignments, *flags))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextlib.contextmanager
def cluster(*flags):
    """A cluster that runs, and is stopped and removed at the end. Its logs stay when the test fails."""
    folder = tempfile.mkdtemp(prefix="mellow-e2e.")
    c = Cluster(folder)
    try:
        c.up(*flags)
        yield c
        c.down()
        shutil.rmtree(folder)
    except BaseException:
        print(f"cluster of the failed test: {folder}", flush=True)
        for log in sorted(pathlib.Path(folder).glob("logs/*.log")):
            print(f"---- end of {log}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-8:]), flush=True)
        mellow("down", "--dir", folder)
        raise


def main():
    unittest.main(verbosity=2)
