"""What the `mellow` program does and no service: evaluations, the gates of a promotion, and reports.

An evaluation compares arms with statistics that are part of the program, in its process; so it must be on this machine.
"""
from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import html
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mellow.connection import Connection, Path
from mellow.errors import ProgramError
from mellow.records import frame_of, table_html

_ERROR_CHARACTERS = 2000

# Who sets it finds there the programs that run in this context, and may interrupt them from another thread.
running: contextvars.ContextVar[list[subprocess.Popen[str]]] = contextvars.ContextVar("running")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What `mellow evaluate` wrote. Notebooks show its comparisons."""

    # evaluation.json.
    path: pathlib.Path
    # All of it (deploy/runs/README.md explains the fields).
    data: Mapping[str, Any] = dataclasses.field(repr=False)
    # False: a demand (require_drop, max_rouge_loss) was not met, or no step is to be promoted (steps_of).
    demands_met: bool = True
    # With steps_of: what there is of each step, with its gates (the fields of `mellow evaluate --json`), and the one to promote, "RUN_ID@STEP"; None: none is.
    steps: Sequence[Mapping[str, Any]] = ()
    best: str | None = None

    @classmethod
    def read(cls, path: Path) -> Evaluation:
        """From an evaluation.json."""
        return cls(pathlib.Path(path), json.loads(pathlib.Path(path).read_text()))

    @property
    def arms(self) -> list[str]:
        return [arm["name"] for arm in self.data["arms"]]

    def differences(self) -> list[dict[str, Any]]:
        """A flat row for each measure of each comparison: means of baseline and arm, the difference with its interval, p and the verdict."""
        rows = []
        for comparison in self.data["comparisons"]:
            for found in comparison["differences"]:
                scoring = found.get("scoring")
                measure = found["measure"] + (f", {scoring['text']}" if scoring else "") + (f" ({scoring['judge']})" if scoring else "")
                difference = found["difference"]
                rows.append({
                    "arm": comparison["arm"], "against": comparison["baseline"], "measure": measure, "baseline": found["baseline"], "value": found["arm"],
                    "difference": difference["mean"], "lower": difference["lower"], "upper": difference["upper"], "p": found["p_value"],
                    "verdict": found["verdict"],
                })  # fmt: skip
        return rows

    def frame(self) -> Any:
        """differences() as a pandas.DataFrame. MissingPackage without pandas."""
        return frame_of(self.differences())

    def _repr_html_(self) -> str:
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.data.get("notes", []))
        return table_html(self.differences()) + notes


@dataclasses.dataclass(frozen=True)
class Report:
    """What `mellow report` wrote. Notebooks show the page."""

    # With report.html, report.md and report.json.
    folder: pathlib.Path
    html: str = dataclasses.field(repr=False)

    def _repr_html_(self) -> str:
        # In a frame of its own: the page's style is not the notebook's.
        return f'<iframe srcdoc="{html.escape(self.html)}" style="width: 100%; height: 40em; border: 1px solid #ccc"></iframe>'


def find_program(program: Path | None) -> str:
    """The path of `mellow`: the one given, else what MELLOW in the environment says, else the one on PATH. ProgramError when there is none."""
    wanted = os.fspath(program) if program is not None else os.environ.get("MELLOW") or "mellow"
    found = shutil.which(wanted)
    if found is None:
        raise ProgramError(
            f"the `mellow` program is needed for this and was not found ({wanted}): build it, and put it on PATH, or name it by "
            "Mellow.connect(program=...) or the variable MELLOW"
        )
    return found


@contextlib.contextmanager
def _global_flags(connection: Connection) -> Iterator[list[str]]:
    """How the program reaches what this connection reaches."""
    flags: list[str] = []
    if connection.folder is None:
        services = [f"{role}={address}" for role, addresses in connection.addresses().items() for address in addresses]
        flags += ["--connect", ",".join(services)]
    if connection.tls is not None:
        flags += ["--tls-ca", os.fspath(connection.tls.ca)]
        if connection.tls.cert is not None and connection.tls.key is not None:
            flags += ["--tls-cert", os.fspath(connection.tls.cert), "--tls-key", os.fspath(connection.tls.key)]
    with contextlib.ExitStack() as stack:
        if connection.token is not None:
            # The program takes a token from a file only, and only its owner may read that.
            file = stack.enter_context(tempfile.NamedTemporaryFile("w", prefix="mellow-token."))
            file.write(connection.token)
            file.flush()
            flags += ["--token-file", file.name]
        yield flags


def run_program(connection: Connection, program: Path | None, command: str, arguments: Sequence[Path], accepted: Sequence[int] = (0,)) -> tuple[int, str]:
    """Exit code and standard output of `mellow COMMAND ARGUMENTS`. What it says on standard error appears on ours as it comes.

    ProgramError, with the end of that, for an exit code that is not `accepted`. An interrupt is passed on, and waits until the program has ended.
    """
    with _global_flags(connection) as flags:
        place = [] if connection.folder is None else ["--dir", str(connection.folder)]
        line = [find_program(program), *flags, command, *[os.fspath(argument) for argument in arguments], *place]
        # In a session of its own an interrupt from the terminal reaches it once, through us.
        with tempfile.TemporaryFile("w+") as out, subprocess.Popen(
            line, stdout=out, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True
        ) as process:
            assert process.stderr is not None
            running.get([]).append(process)
            said = ""
            try:
                for text in process.stderr:
                    said = (said + text)[-_ERROR_CHARACTERS:]
                    sys.stderr.write(text)
                code = process.wait()
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)
                process.wait()
                raise
            out.seek(0)
            output = out.read()
    if code not in accepted:
        raise ProgramError(f"mellow {command} ended with {code}: {said.strip()}", code)
    return code, output
