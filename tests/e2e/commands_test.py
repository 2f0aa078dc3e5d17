#!/usr/bin/env python3
"""Every command of the documents and of the examples in --help: the program takes it, and, where it can run here, it runs.

The commands are read from the pages at the root, deploy/**/*.md and from `--help` of every subcommand. Each is parsed by the real program
(`mellow --check-syntax`, hidden). Then they run, one after the other, in a folder that looks like the tree, with the models that ship and data sets
that are cut short; of a command in a container or pod its `mellow` part runs. A command that is new runs too, unless NOT_RUN says why it cannot.
In the place of models and data of the Hub it gets the small ones. What stands within a sentence runs if it is a whole command; a part of one is not
run: its subcommands and flags must exist.
"""
import functools
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import unittest

import harness
from harness import MELLOW, SOURCE, json_lines, serving
from secure_cluster import SecureCluster
from waiting import wait_until

BIN = pathlib.Path(MELLOW).parent
DOCUMENTS = [*(SOURCE / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")), *sorted((SOURCE / "deploy").rglob("*.md"))]
# Parsed here, not run: what a command has in it, why, and the test that runs it; None: none does.
NOT_RUN = {
    "deploy/demo.sh": ("minutes, and a build", "demo_test.py"),
    "deploy/docker/build.sh": ("needs Docker", "compose_test.py"),
    "deploy/docker/backup.sh": ("needs Docker, and containers with a run", "compose_test.py"),
    "deploy/docker/make_base.sh": ("needs root, and makes a Debian of packages", None),
    "deploy/setup.sh": ("installs packages as root; demo.sh begins with it, without --tools", None),
    "deploy/test.sh": ("runs this test", None),
}
if shutil.which("nvidia-smi"):  # without one it says so and ends with 77, which is run
    NOT_RUN["deploy/tools/gpu_check.sh"] = ("builds, and measures the GPU for minutes", None)
# As MELLOW_CACHE's client of the Hub: puts the small models and data where those of the Hub would lie.
HUB_CLIENT = """#!/usr/bin/env python3
import csv, json, pathlib, shutil, sys

source, words = pathlib.Path({source!r}), sys.argv[2:]
name = next(word for word in words if "/" in word and words[words.index(word) - 1] != "--local-dir")
small = source / "models" / ("mini-toxicity" if "roberta" in name else "mini-summarizer")
if "--local-dir" not in words:
    print(small)
    sys.exit()
folder = pathlib.Path(words[words.index("--local-dir") + 1])
folder.mkdir(parents=True, exist_ok=True)
if "dataset" not in words:
    shutil.copytree(small, folder, dirs_exist_ok=True)
    sys.exit()
rows = [json.loads(line) for line in (source / "runs/mini/train.jsonl").read_text().splitlines()[:200]]
for part in ("train", "validation", "test"):
    with (folder / f"{{part}}.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["dialogue", "summary"], extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
"""
# What the documents leave to the reader, when it is run here.
MEANS = {
    "MODEL": "deploy/models/mini-summarizer", "T5": "deploy/models/mini-summarizer", "ROBERTA": "deploy/models/mini-toxicity", "dialogsum.train.jsonl": "deploy/runs/mini/train.jsonl",
    "~/models/flan-t5-base": "deploy/models/mini-summarizer", "~/models/roberta-hate": "deploy/models/mini-toxicity",
    "/runs/mini.json": "deploy/runs/mini.json", "/runs/mini-eval.json": "deploy/runs/mini-eval.json", "EVAL.json": "deploy/runs/mini-eval.json",
    "FOLDER": "deploy/models/mini-toxicity", "EVALUATION.json": "eval/evaluation.json", "evaluation.json": "eval/evaluation.json", "RUN.json": "deploy/runs/mini.json",
    "FILE": "deploy/runs/mini.json", "field=value": "seed=4", "DIR": "certs-2", "NAME_OR_IP": "localhost", "/tmp/c": "c", "/tmp/adapter": "adapter-of-probe", "28": "newest", "40": "1", "N": "2",
}
# Exit codes besides 0 that are an answer too.
ANSWERS = {"promote": [3], "evaluate": [1, 3],  # gates that do not hold
           "stop": [1], "resume": [1],  # a run that is done
           "gpu_check.sh": [77]}  # there is no GPU


class Command:
    def __init__(self, text, where, inline=False):
        self.text, self.where, self.inline = text, where, inline
        lexer = shlex.shlex(re.sub(r"^source <\((.*)\)$", r"\1", text), posix=True, punctuation_chars="|<>&;()")
        lexer.whitespace_split = True
        self.words = list(lexer)  # without the comment
        self.stdin, self.file = None, None
        if self.words[:1] == ["echo"] and "|" in self.words:
            self.stdin, self.words = self.words[1] + "\n", self.words[3:]
        for end in ("|", "&&", ";", ">"):
            if end in self.words:
                self.words = self.words[:self.words.index(end)]
        if "<" in self.words:
            at = self.words.index("<")
            self.file, self.words = self.words[at + 1], self.words[:at] + self.words[at + 2:]
        # In a container or a pod.
        for prefix in (["docker", "compose", "run", "--rm", "cli"], ["kubectl"]):
            if self.words[:len(prefix)] == prefix:
                self.elsewhere = True
                self.words = ["mellow", *self.words[len(prefix):]] if prefix[0] == "docker" else self.words[self.words.index("--") + 1:] if "--" in self.words else []
                break
        else:
            self.elsewhere = False
        self.words = [re.sub(r"^\$(\{build\}|build)/", "", word) for word in self.words]

    @property
    def program(self):
        return pathlib.Path(self.words[0]).name if self.words else ""

    @property
    def verb(self):
        return self.words[1] if self.program == "mellow" and len(self.words) > 1 else ""

    def is_ours(self):
        return self.program == "mellow" or self.program.startswith("mellow_") or (self.words and self.words[0].startswith("deploy/") and self.program.endswith(".sh"))

    def __str__(self):
        return f"{self.where}: {self.text}"


def code_lines(text):
    """Lines of code of a Markdown text, continued ones joined, with their number."""
    fenced = False
    pending, at = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip().startswith("```"):
            fenced = not fenced
            continue
        if not fenced and not line.startswith("    ") and not pending:
            continue
        at = at or number
        pending += line.strip()
        if pending.endswith("\\"):
            pending = pending[:-1] + " "
            continue
        yield at, pending
        pending, at = "", 0


def commands_of_documents():
    for path in DOCUMENTS:
        text = path.read_text()
        lines = [(number, line, False) for number, line in code_lines(text)]
        lines += [(text[:match.start()].count("\n") + 1, match.group(1), True) for match in re.finditer(r"`(mellow [^`\n]+|deploy/\S+\.sh[^`\n]*)`", text)]
        for number, line, inline in lines:
            # A form, not a command.
            if not re.search("mellow|deploy/|rm cli ", line) or "..." in re.sub(r"'[^']*'", "", line) or re.search(r"\[[A-Z]|\w\|\w|<[A-Z]", line):
                continue
            for part in line.split(" && "):
                try:
                    command = Command(part, f"{path.relative_to(SOURCE)}:{number}", inline)
                except ValueError:
                    continue  # prose with an apostrophe
                if command.is_ours():
                    yield command


@functools.cache
def help_of(program, *path):
    return subprocess.run([program, *path, "--help"], capture_output=True, text=True, check=True).stdout


def subcommands():
    """Every path of subcommands that is not hidden, as the completion knows them; it has labels of options, too ("mellow up --device")."""
    script = subprocess.run([MELLOW, "completion", "bash"], capture_output=True, text=True, check=True).stdout
    return [path.split()[1:] for path in re.findall(r'^    "(mellow(?: \w[^" ]*)*)"\)', script, re.MULTILINE)]


def commands_of_help():
    for path in subcommands():
        # What is too long for a terminal goes on after a backslash.
        text = help_of(MELLOW, *path).replace("\\\n", " ")
        if re.search(r"^Examples?:$", text, re.MULTILINE):
            for line in re.split(r"^Examples?:$", text, flags=re.MULTILINE)[1].strip().splitlines():
                yield Command(line.strip(), f"mellow {' '.join(path)} --help")


def all_commands():
    return [*commands_of_documents(), *commands_of_help()]


class Syntax(unittest.TestCase):
    def test_the_documents_and_the_help_have_commands(self):
        self.assertGreater(len(list(commands_of_documents())), 40)
        self.assertGreater(len(list(commands_of_help())), 30)

    def test_help_fits_a_terminal_and_every_command_has_an_example(self):
        paths = subcommands()
        for path in paths:
            text = help_of(MELLOW, *path)
            self.assertEqual([line for line in text.splitlines() if len(line) > 80], [], path)
            if not any(other[:-1] == path for other in paths):
                self.assertRegex(text, r"(?m)^Examples?:$", path)
        for program in BIN.glob("mellow_*_server"):
            text = help_of(program)
            self.assertEqual([line for line in text.splitlines() if len(line) > 80], [], program)

    def test_every_command_is_taken(self):
        paths = subcommands()
        for command in all_commands():
            with self.subTest(str(command)):
                words = [MEANS.get(word, word) for word in command.words]
                if command.inline and command.program == "mellow":
                    path = next((words[1:end] for end in range(len(words), 0, -1) if words[1:end] in paths), [])
                    self.assertTrue(path or words[1].startswith("-"), "no such subcommand")
                    known = "".join(help_of(MELLOW, *p) for p in ([], path))
                    for flag in (word.split("=")[0] for word in words[1:] if word.startswith("--")):
                        self.assertRegex(known, rf"{flag}\b")
                elif command.program == "mellow":
                    result = subprocess.run([MELLOW, "--check-syntax", *words[1:]], capture_output=True, text=True, cwd=SOURCE, timeout=60)
                    self.assertEqual((result.returncode, result.stderr), (0, ""))
                elif command.program.startswith("mellow_"):
                    self.assertTrue((BIN / command.program).is_file())
                    known = help_of(BIN / command.program)
                    for flag in (word.split("=")[0] for word in words[1:] if word.startswith("--")):
                        self.assertRegex(known, rf"{flag}\b")
                else:
                    script = SOURCE / words[0]
                    self.assertTrue(os.access(script, os.X_OK), f"{script} is no program")
                    for flag in (word.split("=")[0] for word in words[1:] if word.startswith("--")):
                        self.assertIn(flag, script.read_text())

    def test_what_does_not_run_here_has_a_reason_and_the_test_that_it_names_runs_it(self):
        not_run = [command for command in all_commands() if reason_not_to_run(command) is not None]
        whole = [command for command in not_run if not command.inline or command.words[0] in NOT_RUN]
        for command in whole:
            self.assertIn(command.words[0], NOT_RUN, f"{command}: why does it not run?")
        for program, (_, test) in NOT_RUN.items():
            self.assertIn(program, [command.words[0] for command in whole], "no document has it anymore")
            if test is not None:
                self.assertIn(f'"{program}"', (SOURCE / "tests/e2e" / test).read_text())

    def test_what_is_not_taken_is_seen(self):
        for words in (["train"], ["train", "a.json", "--sets", "steps=1"], ["frobnicate"], ["up", "--policies", "two"]):
            self.assertEqual(subprocess.run([MELLOW, "--check-syntax", *words], capture_output=True, timeout=60).returncode, 2, words)


class Workspace:
    """A folder that looks like the tree from which people type commands."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        (self.folder / "build/release").mkdir(parents=True)
        (self.folder / "build/release/bin").symlink_to(BIN)
        (self.folder / "deploy/models").mkdir(parents=True)
        for entry in [*(SOURCE / "deploy").iterdir(), *(SOURCE / "deploy/models").iterdir()]:
            if entry.name not in ("runs", "models"):
                (self.folder / entry.relative_to(SOURCE)).symlink_to(entry)
        runs = self.folder / "deploy/runs"
        shutil.copytree(SOURCE / "deploy/runs", runs)
        for name, rows in (("train", 96), ("heldout", 60)):
            lines = (runs / f"mini/{name}.jsonl").read_text().splitlines(keepends=True)
            (runs / f"mini/{name}.jsonl").write_text("".join(lines[:rows]))
        self.change("mini.json", lambda run: (run.update(steps=3), run["ppo"].update(batch_size=8, mini_batch_size=4)))
        self.change("mini-eval.json", lambda run: run["data"].update(limit=12))
        self.change("dialogsum-flan-t5-base.json", lambda run: (run.update(steps=2), run["ppo"].update(batch_size=4), run["generation"].update(length_sampler_min=10, length_sampler_max=20)))
        self.change("dialogsum-flan-t5-base-sft.json", lambda run: (run.pop("epochs"), run.update(max_steps=3)))
        client = self.folder / "cache/hub-client-0.26.2/bin/huggingface-cli"
        client.parent.mkdir(parents=True)
        client.write_text(HUB_CLIENT.format(source=str(SOURCE / "deploy")))
        client.chmod(0o755)
        self.write("dialogue.txt", "Anna: Is the car ready?\nTom: On Friday, you moron.\n")
        self.write("predictions.jsonl", json.dumps({"prediction": "Tom is late.", "references": ["Tom comes late."]}) + "\n")
        self.write("inputs.jsonl", json.dumps({"source_ids": [5, 6, 1], "target_ids": [7, 1]}) + "\n")
        self.write("steps.jsonl", json.dumps({"queries": [[5, 6, 1], [7, 8, 1]], "responses": [[9, 1], [10, 11, 1]], "scores": [0.5, -0.5]}) + "\n")
        self.write("ppo.json", json.dumps({"batch_size": 2, "mini_batch_size": 2, "lora": {"r": 2, "lora_alpha": 4, "target_modules": ["q", "v"]}}))
        self.environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "MELLOW_CACHE": str(self.folder / "cache")}
        self.means = dict(MEANS)

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def change(self, name, edit):
        path = self.folder / "deploy/runs" / name
        run = json.loads(path.read_text())
        edit(run)
        path.write_text(json.dumps(run))

    def words(self, words):
        if words[1:2] == ["sft"]:
            words = ["deploy/runs/mini-sft.json" if word == "FILE" else word for word in words]
        if "--until-eos" in words:  # most prompts do not end where they must for it
            words = [str(SOURCE / word) if word == "deploy/runs/mini/train.jsonl" else word for word in words]
        # A field of --set is NAME=VALUE, a list has commas.
        return [re.sub(r"[^=,]+", lambda part: self.means.get(part.group(), part.group()), word) if word not in self.means else self.means[word] for word in words]

    def run(self, words, stdin="", timeout=600):
        return subprocess.run(words, cwd=self.folder, env=self.environment, input=stdin, capture_output=True, text=True, timeout=timeout)


@functools.cache
def is_whole(words):
    """Whether the program takes what stands in a sentence as it is."""
    return words[0] == "mellow" and subprocess.run([MELLOW, "--check-syntax", *words[1:]], capture_output=True, cwd=SOURCE, timeout=60).returncode == 0


def reason_not_to_run(command):
    for part, (why, _) in NOT_RUN.items():
        if command.words[:1] == [part] and (len(command.words) > 1 or not command.inline):
            return why
    if command.inline and (len(command.words) == 1 or not is_whole(tuple(MEANS.get(word, word) for word in command.words))):
        return "a name, or a part of a command, in a sentence"
    return None


def phase(command):
    """Clusters of their own, what needs none, training, what uses what was trained, the end."""
    verb = command.verb
    if command.program == "fetch_models.sh":  # before a cluster has what it brings
        return -1
    if "--tls-cert" in command.words:
        return 5
    if command.program != "mellow":
        return 5 if command.program.startswith("mellow_") else 1
    if verb in ("up", "down"):
        return 6 if command.words[-1] == ".mellow" and verb == "down" else 2 if command.words[-1] == ".mellow" else 0
    if verb in ("data", "tokenize", "detokenize", "rouge", "probe", "bench", "completion"):
        return 1
    if verb == "sft":
        return 3
    if verb == "train":
        # The newest adapter is to differ from the base model when evaluations compare them.
        return 5 if "--from" in command.words else 4 if "start_adapter" in " ".join(command.words) else 3
    return {"evaluate": 4, "promote": 5}.get(verb, 5)


class Runs(unittest.TestCase):
    def setUp(self):
        self.work = Workspace(tempfile.mkdtemp(prefix="mellow-commands."))
        self.addCleanup(shutil.rmtree, self.work.folder, ignore_errors=True)
        for dir in (".mellow", ".real", "c"):
            self.addCleanup(self.work.run, [MELLOW, "down", "--dir", dir])

    def run_one(self, command):
        work = self.work
        words = work.words(command.words)
        stdin = command.stdin or ""
        if command.file is not None:
            stdin = (work.folder / work.means.get(command.file, command.file)).read_text()
        if command.program == "mellow":
            words[0] = MELLOW
            verb = words[1]
            if verb == "up":
                work.run([MELLOW, "down", "--dir", words[words.index("--dir") + 1] if "--dir" in words else ".mellow"])
                words += ["--drain-seconds", "1"]
            if "--resume" in words:  # with what the same command began
                work.run([word for word in words if word != "--resume"])
            if words[1:3] == ["review", "new"]:  # a study is never written over
                (work.folder / words[words.index("--out") + 1]).unlink(missing_ok=True)
        elif command.program == "mellow_review_server":
            return self.serve_review(words)
        elif command.program.startswith("mellow_"):
            words[0] = str(BIN / command.program)
        if "--tls-cert" in words:
            return self.ask_over_tls(words)
        result = work.run(words, stdin)
        codes = [0, *ANSWERS.get(command.verb or command.program, [])]
        self.assertIn(result.returncode, codes, f"{words}\n{result.stdout[-1500:]}\n{result.stderr[-1500:]}")
        if result.returncode == 1 and command.verb == "evaluate":
            self.assertIn("--require-drop", command.text, result.stderr)
        elif result.returncode == 1:
            self.assertIn(" is done", result.stderr)
        return result

    def ask_over_tls(self, words):
        """With the certificates in `certs`, as deploy/tools/make_certs.sh made them for these services."""
        secure, failed = SecureCluster(), True
        try:
            secure.start_all()
            result = subprocess.run(words + ["--dir", "."], cwd=secure.folder, capture_output=True, text=True, timeout=60)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("READY", result.stdout)
            failed = False
        finally:
            secure.stop(failed)

    def serve_review(self, words):
        """The page's server runs until it is told to stop; on a free port, because somebody may have the usual one."""
        log = self.work.folder / "review.log"
        with log.open("w") as stderr:
            server = subprocess.Popen([BIN / "mellow_review_server", *words[1:], "--address", "127.0.0.1:0"], cwd=self.work.folder, stderr=stderr)
        try:
            wait_until(lambda: server.poll() is not None or serving(log), "the review server serves")
            self.assertIsNone(server.poll(), log.read_text())
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=60)

    def learn_what_was_trained(self):
        """The adapters that later commands name."""
        done = json_lines(self.work.run([MELLOW, "sft", "deploy/runs/mini-sft.json", "--set", "epochs=", "--set", "max_steps=2", "--json"]).stdout)[-1]
        self.work.means |= {"ADAPTER": done["path"]}
        shutil.copytree(done["path"], self.work.folder / "build/demo-adapter")
        adapters = json.loads(self.work.run([MELLOW, "adapters", "--json"]).stdout)
        newest = str(max(a["version"] for a in adapters))
        self.work.means |= {version: newest for version in ("VERSION", "38", "50")}
        runs = json.loads(self.work.run([MELLOW, "runs", "--json"]).stdout)
        run_id = next(run["run_id"] for run in runs if run["method"] == "ppo")
        self.work.means |= {"RUN": run_id, "RUN@STEP": f"{run_id}@1", "newest@STEP": f"{run_id}@1"}

    def test_what_can_run_runs(self):
        seen, todo = set(), []
        for command in all_commands():
            if reason_not_to_run(command) is None and (key := (tuple(self.work.words(command.words)), command.stdin, command.file)) not in seen:
                seen.add(key)
                todo.append(command)
        todo.sort(key=phase)  # stable: in the order of the documents
        self.assertGreater(len(todo), 40)
        for at, command in enumerate(todo):
            if at and phase(todo[at - 1]) == 3 and phase(command) > 3:
                self.learn_what_was_trained()
            if command.verb == "rollback" or "champion" in command.text:
                # An evaluation of a few prompts need not hold its gates; there must be a champion to go back from, or to compare.
                self.work.run([MELLOW, "promote", self.work.means["ADAPTER"], "--force", "--reason", "test"])
            if command.verb == "report" and "--review" in command.words:
                self.work.run([MELLOW, "review", "summary", "review.sqlite", "--json", "--out", "review.json"])
            with self.subTest(str(command)):
                self.run_one(command)


if __name__ == "__main__":
    harness.main()
