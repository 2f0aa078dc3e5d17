"""Steps of a run for TensorBoard and MLflow, where those are installed."""
from __future__ import annotations

import importlib
import time
from collections.abc import Iterable, Mapping
from typing import Any

from mellow.connection import Path
from mellow.errors import MissingPackage
from mellow.records import Step
from mellow.training import Training


def _package(name: str, what: str, install: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackage(f"{what} needs {install} (pip install {install})") from error


def _steps(run: Training | Iterable[Step]) -> list[Step]:
    return list(run.steps if isinstance(run, Training) else run)


def to_tensorboard(run: Training | Iterable[Step], folder: Path) -> int:
    """Writes the steps (of a Training: those that it has given so far) as scalars into an event file in a folder; returns how many steps.

    Needs the package tensorboard, and neither TensorFlow nor torch. Steps have no time of their own: all get that of the call.
    """
    what = "to_tensorboard"
    event_pb2 = _package("tensorboard.compat.proto.event_pb2", what, "tensorboard")
    summary_pb2 = _package("tensorboard.compat.proto.summary_pb2", what, "tensorboard")
    writer = _package("tensorboard.summary.writer.event_file_writer", what, "tensorboard").EventFileWriter(str(folder))
    steps = _steps(run)
    now = time.time()
    for step in steps:
        values = [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in step.scalars().items()]
        writer.add_event(event_pb2.Event(wall_time=now, step=step.step, summary=summary_pb2.Summary(value=values)))
    writer.close()
    return len(steps)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat.update(_flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value})
    return flat


def to_mlflow(run: Training | Iterable[Step], name: str | None = None) -> int:
    """Logs the steps as metrics into MLflow's active run, or else into a new one, of that name (None: the run's id); returns how many steps.

    Of a Training also the run file, as parameters. Needs the package mlflow or mlflow-skinny; where to log to is MLflow's to know.
    """
    mlflow = _package("mlflow", "to_mlflow", "mlflow")
    steps = _steps(run)
    begun = mlflow.active_run() is None
    if begun:
        mlflow.start_run(run_name=name or (run.run_id if isinstance(run, Training) else None))
    try:
        if isinstance(run, Training):
            mlflow.log_params(_flat(run.run().spec))
        for step in steps:
            mlflow.log_metrics(step.scalars(), step=step.step)
    finally:
        if begun:
            mlflow.end_run()
    return len(steps)
