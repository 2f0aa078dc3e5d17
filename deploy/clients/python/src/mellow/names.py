"""Runs and their adapters by the names that people give them: the grammar and the errors of the `mellow` program."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from mellow.errors import InvalidArgument, NotFound
from mellow.records import KeptAdapter, Run

# The word for a run, or an adapter, that is not named.
NEWEST = "newest"
_MOST_NAMED = 8


def step_name(name: str) -> tuple[str, int] | None:
    """The parts of "RUN@STEP", RUN as find_run takes it. None: a name of another kind (one of the Hub with its revision has a slash)."""
    found = re.fullmatch(r"([^/]+)@([0-9]+)", name)
    return (found[1], int(found[2])) if found is not None and int(found[2]) < 2**31 else None


def find_run(runs: Sequence[Run], name: str, prefer: Callable[[Run], bool] = lambda run: True) -> Run:
    """The run of that id, or the only one whose id begins so or whose name it is. "newest": the newest that `prefer` takes, or if it takes none the newest.

    `runs`: the newest first. NotFound: none, and those that there are. InvalidArgument: several, which are named.
    """
    if not runs:
        raise NotFound("there is no run yet")
    for run in runs:
        if run.run_id == name:
            return run
    if name == NEWEST:
        return next(filter(prefer, runs), runs[0])
    found = [run for run in runs if run.run_id.startswith(name) or run.name == name]
    if len(found) > 1:
        raise InvalidArgument(f"RUN {name}: may be {_named(found)}; give more of the id")
    if not found:
        raise NotFound(f"RUN {name}: no such run; there are {_named(runs)}")
    return found[0]


def find_kept(runs: Sequence[Run], adapters: Iterable[KeptAdapter], name: str, step: int) -> KeptAdapter:
    """The adapter of that step of a run. As find_run ("newest": the newest with a committed step); NotFound also when it is not kept, with those that are."""
    whole = f"{name}@{step}"
    try:
        run = find_run(runs, name, lambda run: run.committed_steps > 0)
    except (NotFound, InvalidArgument) as error:
        raise type(error)(f"{whole}: {error.message}") from None
    if run.method == "sft":
        raise InvalidArgument(f"{whole}: a supervised run keeps no adapters of its steps; its result is {run.adapter_path or 'not there yet'}")
    kept = {adapter.step: adapter for adapter in adapters if adapter.run_id == run.run_id and adapter.has_files}
    if step in kept:
        return kept[step]
    why = ": no such step is committed" if step > run.committed_steps else " is not kept"
    raise NotFound(f"{whole}{why}; kept are {f'steps {_ranges(kept)}' if kept else 'none'} of {run.run_id}")


def newest_kept(adapters: Iterable[KeptAdapter]) -> KeptAdapter:
    """The newest adapter of a step that its guard has not withdrawn. NotFound: there is none."""
    steps = [adapter for adapter in adapters if adapter.step > 0 and not adapter.withdrawn]
    if not steps:
        raise NotFound("newest: no run of this cluster has an adapter yet")
    return max(steps, key=lambda adapter: adapter.adapter.version)


def _named(runs: Sequence[Run]) -> str:
    text = ", ".join(f"{run.run_id} ({run.name})" for run in runs[:_MOST_NAMED])
    return text + (f" and {len(runs) - _MOST_NAMED} more" if len(runs) > _MOST_NAMED else "")


def _ranges(steps: Iterable[int]) -> str:
    """Steps as "1 to 50, 60"."""
    ranges: list[list[int]] = []
    for step in sorted(steps):
        if ranges and step == ranges[-1][1] + 1:
            ranges[-1][1] = step
        else:
            ranges.append([step, step])
    return ", ".join(f"{first} to {last}" if last > first else str(first) for first, last in ranges)
