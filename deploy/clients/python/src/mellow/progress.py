"""A bar for something that has steps: in a terminal, in a notebook, and nowhere else."""
from __future__ import annotations

import html
import importlib
import shutil
import sys
import time
from typing import Any, Protocol

_CELLS = 24


class Progress(Protocol):
    def show(self, done: int, total: int, text: str) -> None:
        """`text` says more than the counts do."""

    def close(self) -> None:
        """What was shown last stays."""


class Silence:
    def show(self, done: int, total: int, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class TerminalBar:
    """One line of standard error."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._first: int | None = None

    def show(self, done: int, total: int, text: str) -> None:
        self._first = done if self._first is None else self._first
        filled = _CELLS * done // max(total, 1)
        eta = ""
        if self._first < done < total:
            eta = f"  ETA {(time.monotonic() - self._begin) / (done - self._first) * (total - done):.0f} s"
        line = f"[{'#' * filled}{'.' * (_CELLS - filled)}] {done}/{total}  {text}{eta}"
        # A full line would make some terminals begin the next one.
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write("\r\033[K" + "".join(character for character in line if character.isprintable())[:width])
        sys.stderr.flush()

    def close(self) -> None:
        if self._first is not None:
            sys.stderr.write("\n")


class NotebookBar:
    """One output of the running cell, changed in place."""

    def __init__(self) -> None:
        self._display: Any = importlib.import_module("IPython.display")
        self._handle: Any = None

    def show(self, done: int, total: int, text: str) -> None:
        bar = self._display.HTML(f"<progress value='{done}' max='{max(total, 1)}'></progress> {done}/{total} {html.escape(text)}")
        if self._handle is None:
            self._handle = self._display.display(bar, display_id=True)
        else:
            self._handle.update(bar)

    def close(self) -> None:
        pass


def in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")


def make(wanted: bool | None) -> Progress:
    """True and None: where somebody sees it (in a terminal or notebook). False: never."""
    if wanted is False:
        return Silence()
    if in_notebook():
        return NotebookBar()
    return TerminalBar() if sys.stderr.isatty() else Silence()
