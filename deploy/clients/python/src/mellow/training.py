"""Following a run over crashes of anything."""
from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from mellow import errors, progress
from mellow._proto import orchestrator_pb2
from mellow.calls import ORCHESTRATOR, method
from mellow.channels import Channels
from mellow.records import Records, Run, Step

START_RUN = method("orchestrator", ORCHESTRATOR, "StartRun", orchestrator_pb2.StartRunRequest, orchestrator_pb2.StartRunResponse)
GET_RUN = method("orchestrator", ORCHESTRATOR, "GetRun", orchestrator_pb2.GetRunRequest, orchestrator_pb2.GetRunResponse)
WATCH_RUN = method("orchestrator", ORCHESTRATOR, "WatchRun", orchestrator_pb2.WatchRunRequest, orchestrator_pb2.WatchRunResponse)
STOP_RUN = method("orchestrator", ORCHESTRATOR, "StopRun", orchestrator_pb2.StopRunRequest, orchestrator_pb2.StopRunResponse)
RESUME_RUN = method("orchestrator", ORCHESTRATOR, "ResumeRun", orchestrator_pb2.ResumeRunRequest, orchestrator_pb2.ResumeRunResponse)

# An orchestrator that does not answer for that long is not coming back by itself.
PATIENCE_SECONDS = 180.0
_PAUSE_SECONDS = 0.3
# A watch that lasts longer begins again after the last step.
_WATCH_SECONDS = 3600.0
# After these the same call may succeed. CANCELLED and UNKNOWN say nothing of the request: the server's side of the call ended.
_PASSING = (errors.Unavailable, errors.ResourceExhausted, errors.Aborted, errors.DeadlineExceeded, errors.Cancelled)

Result = TypeVar("Result")


def persist(call: Callable[[], Result], patience: float = PATIENCE_SECONDS) -> Result:
    """Calls until the answer is one that another try would not change, for `patience` seconds at most."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return call()
        except _PASSING:
            if time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_SECONDS)


class Training(Iterator[Step]):
    """A run that is followed: iterating gives its steps as they are committed, each once, and ends with the run. A supervised run has a step 0 too.

    A broken connection or a restart of the orchestrator is waited out (PATIENCE_SECONDS). The run lives in the cluster: leaving the loop, an
    exception in it or the end of this process do not stop it; stop() does. RunFailed when it ends before its last step.
    """

    def __init__(self, channels: Channels, run_id: str, progress_wanted: bool | None = None, after_step: int = -1) -> None:
        self.run_id = run_id
        # Those that iterating has given so far.
        self.steps: Records[Step] = Records()
        self._channels = channels
        self._seen = after_step
        self._ended: Run | None = None
        self._activity = ""
        self._progress = progress.make(progress_wanted)
        self._total = self.run().steps
        self._iterator = self._follow()

    def __iter__(self) -> Training:
        return self

    def __next__(self) -> Step:
        return next(self._iterator)

    def run(self) -> Run:
        """The run as it is now."""
        response = persist(lambda: self._channels.call(GET_RUN, orchestrator_pb2.GetRunRequest(run_id=self.run_id)))
        return Run.of(response.run)

    def wait(self) -> Run:
        """Follows the run to its end, and returns it. RunFailed when that came before its last step."""
        for _ in self:
            pass
        assert self._ended is not None
        return self._ended

    def stop(self) -> Run:
        """Stops the run after the phase in progress; Mellow.resume goes on with it."""
        response = persist(lambda: self._channels.call(STOP_RUN, orchestrator_pb2.StopRunRequest(run_id=self.run_id)))
        return Run.of(response.run)

    def frame(self) -> Any:
        """The steps so far as a pandas.DataFrame. MissingPackage without pandas."""
        return self.steps.frame()

    def _follow(self) -> Iterator[Step]:
        try:
            while True:
                with contextlib.suppress(*_PASSING):
                    yield from self._watch()
                run = self.run()
                # Else the stream broke, or nobody drives the run just now, because its orchestrator starts or ends.
                if not run.running and max(self._seen, 0) >= run.committed_steps:
                    break
                self._show("waiting for the orchestrator")
                time.sleep(_PAUSE_SECONDS)
        finally:
            self._progress.close()
        self._ended = run
        if run.state != "DONE" or run.committed_steps < run.steps:
            how = "was stopped" if run.state == "STOPPED" else "failed"
            why = f": {run.error}" if run.error else ""
            raise errors.RunFailed(f"run {run.run_id} {how} after step {run.committed_steps} of {run.steps}{why}", run)

    def _watch(self) -> Iterator[Step]:
        request = orchestrator_pb2.WatchRunRequest(run_id=self.run_id, after_step=self._seen)
        with contextlib.closing(self._channels.stream(WATCH_RUN, request, _WATCH_SECONDS)) as events:
            for event in events:
                kind = event.WhichOneof("event")
                if kind == "step" and event.step.step > self._seen:
                    step = Step.of(event.step)
                    self._seen = step.step
                    self.steps.append(step)
                    self._show("")
                    yield step
                elif kind == "activity":
                    self._show(event.activity)

    def _show(self, activity: str) -> None:
        last = _words(self.steps[-1]) if self.steps else ""
        self._progress.show(max(self._seen, 0), self._total, "  ".join(part for part in (last, activity) if part))


def _words(step: Step) -> str:
    if step.sft is None:
        return f"toxicity {step.toxicity_mean:.3f}  KL {step.objective_kl:.3f}"
    losses = (("loss", step.sft.loss), ("dev loss", step.sft.dev_loss))
    return "  ".join(f"{name} {value:.4f}" for name, value in losses if value is not None)
