"""Steps of a run for TensorBoard and MLflow, where those are installed."""
from __future__ import annotations

import contextlib
import importlib
import time
from collections.abc import Iterable, Mapping
from typing import Any

from mellow.client import Mellow
from mellow.connection import Path
from mellow.errors import MissingPackage, RunFailed
from mellow.records import Run, Step
from mellow.training import Training


def _package(name: str, what: str, install: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackage(f"{what} needs {install} (pip install {install})") from error


def _given(run: Training | Run | str | Iterable[Step], client: Mellow | None) -> Training | list[Step]:
    """Steps, or a Training that has given those that are there. TypeError: the cluster has them, and there is no client."""
    if isinstance(run, Training):
        return run
    if not isinstance(run, Run | str):
        return list(run)
    name = run if isinstance(run, str) else run.run_id
    if client is None:
        raise TypeError(f"the steps of run {name} are in the cluster: give client=, or the steps themselves (client.steps(RUN))")
    training = client.watch(name, progress=False)
    now = training.run()
    if now.committed_steps > 0 or not now.running:
        with contextlib.suppress(RunFailed):
            for step in training:
                if now.running and step.step >= now.committed_steps:
                    break
    return training


def _times(steps: list[Step], end: float) -> list[float]:
    """When each step was over."""
    times = []
    for step in reversed(steps):
        at = end if step.committed is None else step.committed.timestamp()
        times.append(at)
        end = at - step.seconds
    return times[::-1]


def to_tensorboard(run: Training | Run | str | Iterable[Step], folder: Path, client: Mellow | None = None) -> int:
    """Writes the steps (of a Training: those that it has given so far) as scalars into an event file in a folder; returns how many steps.

    A Run or its name ("newest") needs the `client`; of one that is in progress the steps of now are written. Needs the package tensorboard, and neither
    TensorFlow nor torch. An event has the time at which its step was committed. Steps of before the ledger kept that are counted back by their durations,
    from the first one with a time, from the end of the run, or from the call.
    """
    what = "to_tensorboard"
    event_pb2 = _package("tensorboard.compat.proto.event_pb2", what, "tensorboard")
    summary_pb2 = _package("tensorboard.compat.proto.summary_pb2", what, "tensorboard")
    writer = _package("tensorboard.summary.writer.event_file_writer", what, "tensorboard").EventFileWriter(str(folder))
    given = _given(run, client)
    steps = list(given.steps if isinstance(given, Training) else given)
    ended = given.ended if isinstance(given, Training) else None
    times = _times(steps, ended.timestamp() if ended is not None else time.time())
    for step, at in zip(steps, times, strict=True):
        values = [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in step.scalars().items()]
        writer.add_event(event_pb2.Event(wall_time=at, step=step.step, summary=summary_pb2.Summary(value=values)))
    writer.close()
    return len(steps)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(_flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value})
    return flat


def to_mlflow(run: Training | Run | str | Iterable[Step], name: str | None = None, client: Mellow | None = None) -> int:
    """Logs the steps as metrics into MLflow's active run, or else into a new one, of that name (None: the run's id); returns how many steps.

    `run` and `client` as of to_tensorboard(). Of all but mere steps also the run file, as parameters. Needs the package mlflow or mlflow-skinny; where to log to is MLflow's to know.
    """
    mlflow = _package("mlflow", "to_mlflow", "mlflow")
    given = _given(run, client)
    steps = given.steps if isinstance(given, Training) else given
    begun = mlflow.active_run() is None
    if begun:
        mlflow.start_run(run_name=name or (given.run_id if isinstance(given, Training) else None))
    try:
        if isinstance(given, Training):
            mlflow.log_params(_flat(given.run().spec))
        for step in steps:
            mlflow.log_metrics(step.scalars(), step=step.step)
    finally:
        if begun:
            mlflow.end_run()
    return len(steps)
