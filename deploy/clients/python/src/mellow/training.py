"""Following a run over crashes of anything."""
from __future__ import annotations

import asyncio
import contextlib
import datetime
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, TypeVar

from mellow import errors, progress
from mellow._proto import orchestrator_pb2
from mellow.calls import ORCHESTRATOR, method
from mellow.channels import AsyncChannels, Channels
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


def retry(call: Callable[[], Result], patience: float = PATIENCE_SECONDS) -> Result:
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
    exception in it or the end of this process do not stop it; stop() does. Whoever iterates again goes on after the last step that was given.
    RunFailed when it ends before its last step.
    """

    def __init__(self, channels: Channels, run_id: str, progress_wanted: bool | None = None, after_step: int = -1) -> None:
        self.run_id = run_id
        # Those that iterating has given so far.
        self.steps: Records[Step] = Records()
        self._channels = channels
        self._seen = after_step
        self._ended: Run | None = None
        self._progress = progress.make(progress_wanted)
        self._total = self.run().steps
        self._iterator = self._follow()

    def __iter__(self) -> Training:
        return self

    def __next__(self) -> Step:
        try:
            return next(self._iterator)
        except BaseException:
            if self._ended is None:
                # The generator has ended, as after an interrupt; the run has not.
                self._iterator = self._follow()
            raise

    def run(self) -> Run:
        """The run as it is now."""
        response = retry(lambda: self._channels.call(GET_RUN, orchestrator_pb2.GetRunRequest(run_id=self.run_id)))
        return Run.of(response.run)

    def wait(self) -> Run:
        """Follows the run to its end, and returns it. RunFailed when that came before its last step."""
        for _ in self:
            pass
        assert self._ended is not None
        return self._ended

    @property
    def ended(self) -> datetime.datetime | None:
        """When the run ended; None: not yet, or iterating has not come to that."""
        return self._ended.ended if self._ended is not None else None

    def stop(self) -> Run:
        """Stops the run after the phase in progress; Mellow.resume goes on with it."""
        response = retry(lambda: self._channels.call(STOP_RUN, orchestrator_pb2.StopRunRequest(run_id=self.run_id)))
        return Run.of(response.run)

    def frame(self) -> Any:
        """The steps so far as a pandas.DataFrame. MissingPackage without pandas."""
        return self.steps.frame()

    def _follow(self) -> Iterator[Step]:
        try:
            while True:
                with contextlib.suppress(*_PASSING), contextlib.closing(self._channels.stream(WATCH_RUN, self._watch(), _WATCH_SECONDS)) as events:
                    for event in events:
                        self._total = self._total or self.run().steps
                        if (step := self._take(event)) is not None:
                            yield step
                if self._over(self.run()):
                    return
                time.sleep(_PAUSE_SECONDS)
        finally:
            self._progress.close()

    def _watch(self) -> orchestrator_pb2.WatchRunRequest:
        return orchestrator_pb2.WatchRunRequest(run_id=self.run_id, after_step=self._seen)

    def _take(self, event: orchestrator_pb2.WatchRunResponse) -> Step | None:
        """Shows an event, and returns its step, if it is a new one."""
        kind = event.WhichOneof("event")
        if kind == "activity":
            self._show(event.activity)
        if kind != "step" or event.step.step <= self._seen:
            return None
        step = Step.of(event.step)
        self._seen = step.step
        self.steps.append(step)
        self._show("")
        return step

    def _over(self, run: Run) -> bool:
        """Whether the run, as it is when a watch has ended, is at its end with all of its steps seen. RunFailed when that came before its last one."""
        if run.running or max(self._seen, 0) < run.committed_steps:
            # The stream broke, or nobody drives the run just now, because its orchestrator starts or ends.
            self._show("waiting for the orchestrator")
            return False
        self._ended = run
        if run.state != "DONE" or run.committed_steps < run.steps:
            how = "was stopped" if run.state == "STOPPED" else "failed"
            why = f": {run.error}" if run.error else ""
            raise errors.RunFailed(f"run {run.run_id} {how} after step {run.committed_steps} of {run.steps}{why}", run)
        return True

    def _show(self, activity: str) -> None:
        last = _words(self.steps[-1]) if self.steps else ""
        self._progress.show(max(self._seen, 0), self._total, "  ".join(part for part in (last, activity) if part))


class AsyncTraining(AsyncIterator[Step]):
    """As Training, for asyncio:

        async for step in client.train("deploy/runs/mini.json"):
            print(step.step, step.toxicity_mean)

        training = await client.train("deploy/runs/mini.json")   # has begun, and has a run_id
        run = await training.wait()

    Nothing is begun before it is awaited or iterated; both begin it once. Cancelling the task that waits, a timeout or leaving the loop do not stop the
    run (stop() does), also while it begins: then it may be in the cluster, and awaiting again answers with it. Iterating again goes on after the last
    step that was given. One task at a time may wait for steps.
    """

    def __init__(self, channels: AsyncChannels, begin: Callable[[], Training]) -> None:
        """`begin` is called in a thread."""
        self._channels = channels
        self._begin = begin
        self._begun: asyncio.Task[Training] | None = None
        self._iterator: AsyncGenerator[Step, None] | None = None

    def __await__(self) -> Generator[Any, None, AsyncTraining]:
        yield from self._training().__await__()
        return self

    def __aiter__(self) -> AsyncTraining:
        return self

    async def __anext__(self) -> Step:
        training = await self._training()
        if self._iterator is None:
            self._iterator = self._follow(training)
        try:
            return await anext(self._iterator)
        except BaseException:
            if training._ended is None:
                # The generator has ended, as after a cancellation; the run has not.
                self._iterator = None
            raise

    @property
    def run_id(self) -> str:
        """RuntimeError before it has begun."""
        return self._known().run_id

    @property
    def steps(self) -> Records[Step]:
        """Those that iterating has given so far. RuntimeError before it has begun."""
        return self._known().steps

    async def run(self) -> Run:
        """The run as it is now."""
        request = orchestrator_pb2.GetRunRequest(run_id=(await self._training()).run_id)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return Run.of((await self._channels.call(GET_RUN, request)).run)
            except _PASSING:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_PAUSE_SECONDS)

    async def wait(self) -> Run:
        """Follows the run to its end, and returns it. RunFailed when that came before its last step."""
        async for _ in self:
            pass
        ended = self._known()._ended
        assert ended is not None
        return ended

    async def stop(self) -> Run:
        """Stops the run after the phase in progress; AsyncMellow.resume goes on with it."""
        return await asyncio.to_thread((await self._training()).stop)

    def frame(self) -> Any:
        """The steps so far as a pandas.DataFrame. MissingPackage without pandas."""
        return self.steps.frame()

    async def _training(self) -> Training:
        if self._begun is None:
            self._begun = asyncio.create_task(asyncio.to_thread(self._begin))
        return await asyncio.shield(self._begun)

    def _known(self) -> Training:
        if self._begun is None or not self._begun.done():
            raise RuntimeError("the run has not begun: await it or iterate first")
        return self._begun.result()

    async def _follow(self, training: Training) -> AsyncGenerator[Step, None]:
        try:
            while True:
                with contextlib.suppress(*_PASSING):
                    async with contextlib.aclosing(self._channels.stream(WATCH_RUN, training._watch(), _WATCH_SECONDS)) as events:
                        async for event in events:
                            training._total = training._total or (await self.run()).steps
                            if (step := training._take(event)) is not None:
                                yield step
                if training._over(await self.run()):
                    return
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            training._progress.close()


def _words(step: Step) -> str:
    if step.sft is None:
        return f"toxicity {step.toxicity_mean:.3f}  KL {step.objective_kl:.3f}"
    losses = (("loss", step.sft.loss), ("dev loss", step.sft.dev_loss))
    return "  ".join(f"{name} {value:.4f}" for name, value in losses if value is not None)
