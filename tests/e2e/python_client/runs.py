"""Following runs."""
import asyncio
import inspect
import pathlib
import tempfile
import threading
import types
import unittest
import unittest.mock

import grpc

import mellow
from mellow import progress
from mellow._proto import orchestrator_pb2
from python_client.fakes import RUNS, FakeService, kept_messages, run_message


class FakeRuns:
    """An orchestrator in this process with RUNS, one of which goes on when it is told to."""

    def __init__(self):
        self.runs = [run_message(*run) for run in RUNS]
        self.running = self.runs[2]
        self.watching = threading.Event()
        self.started = []
        self.orders = []
        self.fails = []
        self._more = threading.Condition()

    def commit(self, steps, state="RUNNING"):
        with self._more:
            self.running.committed_steps = steps
            self.running.state = orchestrator_pb2.RunState.Value(f"RUN_STATE_{state}")
            self._more.notify_all()

    def service(self):
        def StartRun(request, context):
            self.started.append(request.spec)
            return orchestrator_pb2.StartRunResponse(run_id=self.running.run_id)

        def GetRun(request, context):
            return orchestrator_pb2.GetRunResponse(run=next(run for run in self.runs if run.run_id == request.run_id))

        def ListRuns(request, context):
            return orchestrator_pb2.ListRunsResponse(runs=self.runs)

        def ListKeptAdapters(request, context):
            return orchestrator_pb2.ListKeptAdaptersResponse(adapters=kept_messages())

        def PromoteAdapter(requests, context):
            self.orders += [request.order for request in requests]
            return orchestrator_pb2.PromoteAdapterResponse(event={"champion": self.orders[-1].adapter})

        def StopRun(request, context):
            self.commit(self.running.committed_steps, "STOPPED")
            return orchestrator_pb2.StopRunResponse(run=self.running)

        def ResumeRun(request, context):
            return orchestrator_pb2.ResumeRunResponse(run=next(run for run in self.runs if run.run_id == request.run_id))

        def WatchRun(request, context):
            context.add_callback(self.notify)
            if self.fails:
                context.abort(self.fails.pop(), "an error of the watch")
            run = next(run for run in self.runs if run.run_id == request.run_id)
            seen = request.after_step
            while context.is_active():
                with self._more:
                    while seen < run.committed_steps:
                        seen = max(seen + 1, 0 if run.spec.HasField("sft") else 1)
                        yield orchestrator_pb2.WatchRunResponse(step={"step": seen, "seconds": 2.0, "score_mean": seen / 10})
                    if run is not self.running or run.state != orchestrator_pb2.RUN_STATE_RUNNING:
                        yield orchestrator_pb2.WatchRunResponse(ended=run)
                        return
                    self.watching.set()
                    self._more.wait(10)

        methods = (StartRun, GetRun, ListRuns, ListKeptAdapters, PromoteAdapter, StopRun, ResumeRun, WatchRun)
        return FakeService(orchestrator_pb2, **{method.__name__: method for method in methods})

    def notify(self):
        with self._more:
            self._more.notify_all()


class RunsTest(unittest.TestCase):
    """Following runs, against an orchestrator that does what a test needs."""

    def setUp(self):
        self.fake = FakeRuns()
        self.service = self.enterContext(self.fake.service())

    def connect(self):
        return self.enterContext(mellow.Mellow.connect(orchestrator=self.service.address))

    def test_runs_are_found_by_name(self):
        client = self.connect()
        self.assertEqual(client.watch().run_id, RUNS[2][0], "the newest that is running")
        self.assertEqual(client.watch("run-20240103").run_id, RUNS[0][0])
        self.assertEqual(client.resume().run_id, RUNS[0][0], "the newest that was stopped or failed")
        with self.assertRaisesRegex(mellow.RunFailed, "was stopped after step 5 of 5") as ended:
            client.steps("run-20240102-000000-bbbb0001")
        self.assertEqual(ended.exception.run.run_id, RUNS[1][0])
        with self.assertRaisesRegex(mellow.InvalidArgument, "RUN mini: may be"):
            client.watch("mini")
        stopped = client.stop("other")
        self.assertEqual((stopped.run_id, stopped.state), (RUNS[2][0], "STOPPED"))

    def test_a_run_starts_from_a_step_or_a_folder(self):
        client = self.connect()
        run = {"steps": 5, "ppo": {"lora": {"r": 4}}}
        client.train(run, start="newest@2")
        client.train(run, start=pathlib.Path("some/folder"))
        client.sft({"max_steps": 1}, start="newest@3")
        first, second, third = self.fake.started
        self.assertEqual((first.start_adapter, first.ppo.HasField("lora")), ("/learner/2", False))
        self.assertEqual(second.start_adapter, str(pathlib.Path("some/folder").resolve()))
        self.assertEqual(third.sft.start_adapter, "/learner/3")
        with self.assertRaisesRegex(mellow.FailedPrecondition, "start newest@0: is what that run started from; start from the same"):
            client.train(run, start="newest@0")

    def test_without_gates_a_promotion_needs_no_program(self):
        client = self.enterContext(mellow.Mellow.connect(orchestrator=self.service.address, program="/no/such/mellow"))
        for adapter, force in (("base", False), (0, False), ("newest", True)):
            client.promote(adapter, force=force, reason="why")
        base, zero, newest = self.fake.orders
        self.assertEqual([(order.base, order.evidence.forced, len(order.evidence.gates), order.evidence.reason) for order in (base, zero)],
                         [(True, False, 0, "why")] * 2)
        self.assertEqual((newest.adapter.version, newest.adapter.sha256, newest.evidence.forced), (15, "5", True))
        with self.assertRaisesRegex(mellow.GateFailed, r"^15 is not promoted: the gates need an evaluation of it \(evaluation=\)") as refused:
            client.promote("newest")
        self.assertEqual([gate.detail for gate in refused.exception.gates], ["none was given"])

    def test_a_run_of_the_cluster_is_exported_by_its_record_or_name(self):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        client = self.connect()
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="mellow-python.")))
        self.fake.runs[1].ended.FromSeconds(1000)
        for at, (run, steps) in enumerate(((client.runs()[1], 5), (RUNS[1][0], 5), ("newest", 2))):
            self.assertEqual(mellow.to_tensorboard(run, folder / str(at), client), steps)
        events = EventAccumulator(str(folder / "0"))
        events.Reload()
        self.assertEqual([(event.step, event.wall_time) for event in events.Scalars("score_mean")], [(step, 990.0 + 2 * step) for step in range(1, 6)])
        with self.assertRaisesRegex(TypeError, "the steps of run newest are in the cluster: give client="):
            mellow.to_tensorboard("newest", folder)

    def test_events_have_the_times_of_the_steps_where_the_ledger_has_them(self):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        folder = self.enterContext(tempfile.TemporaryDirectory(prefix="mellow-python."))
        steps = []
        for number, seconds in ((1, None), (2, None), (3, 500.5), (4, 900)):
            message = orchestrator_pb2.Step(step=number, seconds=2)
            if seconds is not None:
                message.committed.FromNanoseconds(int(seconds * 1e9))
            steps.append(mellow.Step.of(message))
        mellow.to_tensorboard(steps, folder)
        events = EventAccumulator(folder)
        events.Reload()
        # The run paused between the third and the fourth step; the first two are of before ledgers kept times.
        self.assertEqual([event.wall_time for event in events.Scalars("score_mean")], [496.5, 498.5, 500.5, 900])

    def test_iterating_again_goes_on(self):
        self.fake.commit(5, "DONE")
        self.fake.fails = [grpc.StatusCode.INVALID_ARGUMENT]
        training = self.connect().watch("other")
        with self.assertRaisesRegex(mellow.InvalidArgument, "an error of the watch"):
            next(training)
        self.assertEqual([step.step for step in training], [1, 2, 3, 4, 5])
        self.assertEqual(training.wait().state, "DONE")

    def test_a_supervised_run_begins_with_step_0_and_learns_its_length(self):
        self.fake.running.spec.sft.max_steps = 5
        self.fake.running.state = orchestrator_pb2.RUN_STATE_STOPPED
        self.fake.running.committed_steps = 0
        self.fake.running.total_steps = 0
        self.fake.running.ClearField("last_step")
        shown = []
        bar = types.SimpleNamespace(show=lambda done, total, text: shown.append((done, total)), close=lambda: None)
        with unittest.mock.patch.object(progress, "make", lambda wanted: bar):
            training = self.connect().resume("other")
        self.fake.running.total_steps = 2
        self.fake.commit(2, "DONE")
        self.assertEqual([step.step for step in training], [0, 1, 2])
        self.assertEqual(shown[-1], (2, 2))

    def test_with_asyncio_a_run_is_followed_and_left(self):
        async def use():
            async with mellow.AsyncMellow.connect(orchestrator=self.service.address) as client:
                training = client.train({"steps": 5}, progress=False)
                with self.assertRaisesRegex(RuntimeError, "has not begun"):
                    training.run_id
                self.assertIs(await training, training)
                self.assertEqual(training.run_id, RUNS[2][0])
                seen = [(await anext(training)).step, (await anext(training)).step]
                waiting = asyncio.ensure_future(anext(training))
                await asyncio.to_thread(self.fake.watching.wait)
                waiting.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await waiting
                self.assertTrue((await training.run()).running, "whoever stops waiting leaves the run")
                self.fake.commit(4)
                async for step in training:
                    seen.append(step.step)
                    if step.step == 4:
                        self.fake.commit(5, "DONE")
                self.assertEqual(seen, [1, 2, 3, 4, 5])
                self.assertEqual(len(self.fake.started), 1)
                self.assertEqual((await training.wait()).state, "DONE")
                self.assertEqual((await client.steps("other")), training.steps)
                async for step in client.watch("other", after_step=3):
                    self.assertIn(step.step, (4, 5))
                self.assertEqual([run.run_id for run in await client.runs()], [run[0] for run in RUNS])
                self.assertEqual(len(await client.adapters()), 5)
                with self.assertRaisesRegex(mellow.NotFound, "RUN x: no such run"):
                    await client.watch("x")
                with self.assertRaisesRegex(mellow.RunFailed, "was stopped"):
                    self.fake.commit(5)
                    await client.stop()
                    await client.watch("other").wait()
        asyncio.run(use())

    def test_the_end_of_the_event_loop_does_not_wait_for_the_run(self):
        async def use():
            async with mellow.AsyncMellow.connect(orchestrator=self.service.address) as client:
                task = asyncio.ensure_future(client.watch("other", progress=False).wait())
                await asyncio.to_thread(self.fake.watching.wait)
                task.cancel()
        asyncio.run(use())
        self.assertEqual(self.fake.running.state, orchestrator_pb2.RUN_STATE_RUNNING)

    def test_every_verb_is_there_for_asyncio(self):
        for name, verb in inspect.getmembers(mellow.Mellow, inspect.isfunction):
            if not name.startswith("_"):
                self.assertEqual(list(inspect.signature(getattr(mellow.AsyncMellow, name)).parameters), list(inspect.signature(verb).parameters), name)
