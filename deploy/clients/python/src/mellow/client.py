"""The client."""
from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import pathlib
import tempfile
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, TypeVar, overload

from google.protobuf.message import Message

from mellow import calls, commands, names, specs, training
from mellow._proto import common_pb2, orchestrator_pb2, policy_pb2, run_spec_pb2
from mellow.calls import ORCHESTRATOR, Method, Text, Texts, method
from mellow.channels import Channels
from mellow.commands import Evaluation, Report
from mellow.connection import Connected, Connection, Path
from mellow.errors import FailedPrecondition, GateFailed, InvalidArgument, NotFound, RpcError, SpecError
from mellow.records import Adapter, Gate, KeptAdapter, Promotion, Records, Run, Score, Step, Summary
from mellow.training import Training, retry

LIST_KEPT_ADAPTERS = method(
    "orchestrator", ORCHESTRATOR, "ListKeptAdapters", orchestrator_pb2.ListKeptAdaptersRequest, orchestrator_pb2.ListKeptAdaptersResponse
)
LOAD_ADAPTER = method("orchestrator", ORCHESTRATOR, "LoadAdapter", orchestrator_pb2.LoadAdapterRequest, orchestrator_pb2.LoadAdapterResponse)
LIST_RUNS = method("orchestrator", ORCHESTRATOR, "ListRuns", orchestrator_pb2.ListRunsRequest, orchestrator_pb2.ListRunsResponse)
PROMOTE = method("orchestrator", ORCHESTRATOR, "PromoteAdapter", orchestrator_pb2.PromoteAdapterRequest, orchestrator_pb2.PromoteAdapterResponse)
ROLL_BACK = method("orchestrator", ORCHESTRATOR, "RollBackChampion", orchestrator_pb2.RollBackChampionRequest, orchestrator_pb2.RollBackChampionResponse)
LIST_PROMOTIONS = method(
    "orchestrator", ORCHESTRATOR, "ListPromotions", orchestrator_pb2.ListPromotionsRequest, orchestrator_pb2.ListPromotionsResponse
)
# `mellow evaluate` and `mellow promote` end with it when a demand or gate does not hold.
_NOT_MET_EXIT_CODE = 3

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Result = TypeVar("Result")


class Mellow(Connected):
    """A cluster. Threads may share it.

    Runs and their adapters have the names that the `mellow` program takes, with its errors. RUN: an id, its beginning if only one begins so, a run's name,
    or "newest". RUN@STEP: the adapter of a committed step ("newest@40", "mini@2"). NotFound: there is none, and those that there are; InvalidArgument:
    it may be several.

    Every call has a deadline: its `timeout` in seconds, else the connection's, else that of deploy/clients/service_config.json. UNAVAILABLE and
    RESOURCE_EXHAUSTED are retried by gRPC as that file says. What is still not OK then is an RpcError, one class for each status code.
    """

    def __init__(self, connection: Connection, program: Path | None = None) -> None:
        self._connection = connection
        self._channels = Channels(connection)
        self._program = program

    def __enter__(self) -> Mellow:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Calls in progress in other threads end with Cancelled."""
        self._channels.close()

    # Users' calls.

    @overload
    def summarize(self, dialogues: str, adapter: int | str | None = None, max_new_tokens: int | None = None, timeout: float | None = None) -> Summary: ...

    @overload
    def summarize(
        self, dialogues: list[str], adapter: int | str | None = None, max_new_tokens: int | None = None, timeout: float | None = None
    ) -> Records[Summary]: ...

    def summarize(
        self, dialogues: str | list[str], adapter: int | str | None = None, max_new_tokens: int | None = None, timeout: float | None = None
    ) -> Summary | Records[Summary]:
        """The summary of a dialogue, or those of several in order.

        `adapter`: "champion" (or None), which the server gives to users; "base"; the number of a version; "newest", of those that the policies have; or
        RUN@STEP, which only operators may ask for. A version that the policies have no more and the cluster keeps is loaded, for operators. `timeout` is
        for each dialogue. NotFound: no such version. InvalidArgument: an empty or too long dialogue, too many tokens asked for, or no such word.
        """
        several = [dialogues] if isinstance(dialogues, str) else dialogues

        def ask(version: int | None) -> list[policy_pb2.SummarizeResponse]:
            return self._all(calls.SUMMARIZE, [calls.summarize_request(dialogue, version, max_new_tokens) for dialogue in several], timeout)

        summaries = Records(Summary.of(response) for response in self._adapted(adapter, ask))
        return summaries[0] if isinstance(dialogues, str) else summaries

    def stream(
        self, dialogue: str, adapter: int | str | None = None, max_new_tokens: int | None = None, timeout: float | None = None
    ) -> Generator[str, None, None]:
        """The pieces of a summary as they come; together they are the summary. Closing the generator cancels the rest.

        Unimplemented: the server is an older one. Other errors as of summarize.
        """

        def ask(version: int | None) -> tuple[policy_pb2.SummarizeStreamResponse | None, Generator[policy_pb2.SummarizeStreamResponse, None, None]]:
            answers = self._channels.stream(calls.SUMMARIZE_STREAM, calls.summarize_request(dialogue, version, max_new_tokens), timeout)
            return next(answers, None), answers

        answer, rest = self._adapted(adapter, ask)
        with contextlib.closing(rest):
            while answer is not None:
                if answer.text:
                    yield answer.text
                answer = next(rest, None)

    @overload
    def score(self, texts: Text, timeout: float | None = None) -> Score: ...

    @overload
    def score(self, texts: Texts, timeout: float | None = None) -> Records[Score]: ...

    def score(self, texts: Text | Texts, timeout: float | None = None) -> Score | Records[Score]:
        """The score of a text, or those of a list of texts in order. A tuple of two texts is a pair, which is scored together.

        `timeout` is for each call of calls.TEXTS_A_CALL texts.
        """
        one = isinstance(texts, (str, tuple))
        requests = calls.score_requests([texts] if isinstance(texts, (str, tuple)) else texts)
        scores = calls.scores_of(self._all(calls.SCORE, requests, timeout))
        return scores[0] if one else scores

    # Operators' calls.

    def train(
        self,
        run: specs.Spec,
        overrides: Mapping[str, Any] | None = None,
        *,
        start: Path | None = None,
        request_id: str | None = None,
        progress: bool | None = None,
    ) -> Training:
        """Starts a run and returns it as an iterator over its steps (Training).

        `run` is a run file, of PPO or of supervised fine-tuning, or a dict of that form; `overrides` sets fields by path ({"steps": 5,
        "ppo.batch_size": 8}; None clears one). `start`: the adapter to start from, instead of start_adapter and lora: RUN@STEP or a PEFT folder. The cluster
        reads the data where its orchestrator runs. The same `request_id` again gives the same run. `progress`: False for no bar.
        SpecError: a file or field is wrong. FailedPrecondition: another run is active. InvalidArgument: no node can do that run.
        """
        return self._start(specs.run_spec(run, overrides or {}), start, request_id, progress)

    def sft(
        self,
        run: specs.Spec,
        overrides: Mapping[str, Any] | None = None,
        *,
        start: Path | None = None,
        request_id: str | None = None,
        progress: bool | None = None,
    ) -> Training:
        """Starts supervised fine-tuning, as train() does, of a file or dict of its settings alone, or a run file that has them in "sft".

        Of settings alone the `overrides` are theirs too ({"epochs": 1}). The numbers of a step are in its `sft`.
        """
        return self._start(specs.run_spec(run, overrides or {}, "sft"), start, request_id, progress)

    def watch(self, run: str = names.NEWEST, after_step: int = -1, *, progress: bool | None = None) -> Training:
        """Follows a run that was started before, from the step after `after_step` on. "newest": the newest that is running, else the newest."""
        return Training(self._channels, self._find(run, lambda found: found.running).run_id, progress, after_step)

    def stop(self, run: str = names.NEWEST) -> Run:
        """Stops a run after the phase in progress, and returns it as it is now; resume() goes on with it. "newest": the newest that is running."""
        return Training(self._channels, self._find(run, lambda found: found.running).run_id, False).stop()

    def resume(self, run: str = names.NEWEST, *, progress: bool | None = None) -> Training:
        """Goes on with a run that was stopped or has failed, and follows it after the steps that it has. "newest": the newest of these."""
        run_id = self._find(run, lambda found: found.state in ("STOPPED", "FAILED")).run_id
        resumed = retry(lambda: self._channels.call(training.RESUME_RUN, orchestrator_pb2.ResumeRunRequest(run_id=run_id))).run
        # A supervised run that committed nothing still has step 0 to come.
        return Training(self._channels, run_id, progress, resumed.committed_steps if resumed.HasField("last_step") else -1)

    def steps(self, run: str = names.NEWEST) -> Records[Step]:
        """All steps of a run, at its end, as watch() finds it. RunFailed when it ended before its last one."""
        followed = self.watch(run, progress=False)
        followed.wait()
        return followed.steps

    def runs(self) -> Records[Run]:
        """All runs, the newest first."""
        response = self._channels.call(LIST_RUNS, orchestrator_pb2.ListRunsRequest())
        return Records(Run.of(run) for run in response.runs)

    def adapters(self) -> Records[KeptAdapter]:
        """The adapters of every step that are kept, and what was promoted from folders; the oldest version first."""
        response = self._channels.call(LIST_KEPT_ADAPTERS, orchestrator_pb2.ListKeptAdaptersRequest())
        return Records(KeptAdapter.of(adapter) for adapter in response.adapters)

    def evaluate(
        self,
        evaluation: specs.Spec,
        out: Path,
        overrides: Mapping[str, Any] | None = None,
        *,
        require_drop: float | None = None,
        max_rouge_loss: float | None = None,
        steps_of: str | None = None,
        every: int = 1,
        fresh: bool = False,
    ) -> Evaluation:
        """Runs `mellow evaluate` on this machine and returns what it wrote into the folder `out`. No service does it: ProgramError without that program.

        `evaluation` is an evaluation file or a dict of that form, `overrides` sets its fields by path. `require_drop` (0.8: toxicity must fall by 80 %) and
        `max_rouge_loss` are demands: `demands_met` says whether they hold. `steps_of` finds the `best` step of that RUN: the first arm against the adapter
        of each `every`-th kept step and the newest, and of those that hold the gates of promote() the least toxic one, as the first of the evaluation's
        `judges` sees it, or the reward where it has none; without `require_drop`. What `out` holds of the same evaluation is gone on with, unless `fresh`.
        """
        with tempfile.TemporaryDirectory(prefix="mellow-evaluation.") as folder:
            if isinstance(evaluation, Mapping):
                file = pathlib.Path(folder) / "evaluation.json"
                file.write_text(json.dumps(specs.evaluation_spec(evaluation)))
            else:
                file = pathlib.Path(evaluation)
            arguments: list[Path] = [file, "--json", "--out", out]
            for path, value in (overrides or {}).items():
                arguments += ["--set", f"{path}={_assigned(value)}"]
            for flag, number in (("--require-drop", require_drop), ("--max-rouge-loss", max_rouge_loss)):
                arguments += [] if number is None else [flag, str(number)]
            arguments += [] if steps_of is None else ["--steps-of", steps_of, "--every", str(every)]
            arguments += ["--fresh"] if fresh else []
            code, output = commands.run_program(self._connection, self._program, "evaluate", arguments, (0, _NOT_MET_EXIT_CODE))
        read = Evaluation.read(pathlib.Path(out) / "evaluation.json")
        said = {} if steps_of is None else json.loads(output)
        return Evaluation(read.path, read.data, code == 0, said.get("steps", ()), said.get("best"))

    def promote(
        self,
        adapter: int | Adapter | Run | Path,
        evaluation: Evaluation | Path | None = None,
        *,
        force: bool = False,
        reason: str = "",
        max_rouge_loss: float = 0.02,
    ) -> Promotion:
        """Makes a version (or "newest", RUN@STEP, what a Run has reached, or a PEFT folder) the champion, which users get, when an evaluation says that it is
        less toxic and no worse; or the base model ("base", 0), which needs no evaluation.

        The gates are the `mellow` program's: ProgramError without it. `force` promotes although a gate fails, and the history says so; then a version,
        "newest" or RUN@STEP needs neither an evaluation nor the program. GateFailed, with the gates: it was not promoted. FailedPrecondition: the Run has
        no adapter yet. `max_rouge_loss`: the interval of the change of ROUGE-L must lie above minus this.
        """
        if isinstance(adapter, Run):
            if adapter.adapter == Adapter(0) and not adapter.adapter_path:
                raise FailedPrecondition(f"run {adapter.run_id} has no adapter yet")
            # That of a supervised run has no version.
            adapter = adapter.adapter_path if adapter.adapter == Adapter(0) else adapter.adapter
        if isinstance(adapter, str) and (step := names.step_name(adapter)) is not None:
            adapter = self._kept(*step).adapter
        if adapter == names.NEWEST:
            adapter = names.newest_kept(self.adapters()).adapter
        if adapter == "base":
            adapter = 0
        if isinstance(adapter, int):
            adapter = Adapter(adapter)
        if adapter == Adapter(0):
            return self._promote(adapter, [], reason)
        subject = str(adapter.version if isinstance(adapter, Adapter) else adapter)
        none = Gate("evaluation", False, "none was given")
        if evaluation is None and not force:
            raise GateFailed(f"{subject} is not promoted: the gates need an evaluation of it (evaluation=) and none was given; force=True goes without", [none])
        if evaluation is None and isinstance(adapter, Adapter):
            return self._promote(adapter, [none], reason)
        arguments: list[Path] = [subject, "--json", "--reason", reason, "--max-rouge-loss", str(max_rouge_loss)]
        if evaluation is not None:
            arguments += ["--evaluation", evaluation.path if isinstance(evaluation, Evaluation) else evaluation]
        arguments += ["--force"] if force else []
        code, output = commands.run_program(self._connection, self._program, "promote", arguments, (0, _NOT_MET_EXIT_CODE))
        if code == _NOT_MET_EXIT_CODE:
            gates = [Gate(gate["name"], gate["passed"], gate["detail"]) for gate in json.loads(output)["gates"]]
            failed = "; ".join(f"{gate.name}: {gate.detail}" for gate in gates if not gate.passed)
            raise GateFailed(f"not promoted: {failed}", gates)
        return self.promotions()[-1]

    def roll_back(self, reason: str = "") -> Promotion:
        """Back to the champion before this one; before the first stands the base model. FailedPrecondition: nothing is left to roll back."""
        request = orchestrator_pb2.RollBackChampionRequest(request_id=uuid.uuid4().hex, reason=reason)
        return Promotion.of(self._channels.call(ROLL_BACK, request).event)

    def promotions(self) -> Records[Promotion]:
        """The history of champions, the oldest first."""
        response = self._channels.call(LIST_PROMOTIONS, orchestrator_pb2.ListPromotionsRequest())
        return Records(Promotion.of(event) for event in response.events)

    def report(self, evaluation: Evaluation | Path, out: Path) -> Report:
        """Runs `mellow report` on this machine and returns its page about an evaluation. ProgramError without that program.

        Learning curves, lineage and marked words come from the cluster; where it was connected to by addresses, only if all four roles have one.
        """
        path = evaluation.path if isinstance(evaluation, Evaluation) else evaluation
        arguments: list[Path] = [path, "--out", out]
        if self._connection.folder is None and self._connection.addresses().keys() >= {"policy", "reward", "orchestrator", "learner"}:
            # Without a folder it looks at no cluster; which folder does not matter beside --connect.
            arguments += ["--dir", "."]
        commands.run_program(self._connection, self._program, "report", arguments)
        return Report(pathlib.Path(out), (pathlib.Path(out) / "report.html").read_text())

    def _start(self, spec: run_spec_pb2.RunSpec, start: Path | None, request_id: str | None, progress: bool | None) -> Training:
        if start is not None:
            specs.start_from(spec, self._folder_of(os.fspath(start)))
        request = orchestrator_pb2.StartRunRequest(spec=spec, request_id=request_id or uuid.uuid4().hex)
        started = retry(lambda: self._channels.call(training.START_RUN, request))
        return Training(self._channels, started.run_id, progress)

    def _promote(self, adapter: Adapter, failed: Sequence[Gate], reason: str) -> Promotion:
        evidence = orchestrator_pb2.PromotionEvidence(forced=bool(failed), reason=reason)
        for gate in failed:
            evidence.gates.add(name=gate.name, passed=gate.passed, detail=gate.detail)
        request = orchestrator_pb2.PromoteAdapterRequest()
        request.order.request_id = uuid.uuid4().hex
        if adapter.version == 0:
            request.order.base = True
        else:
            request.order.adapter.CopyFrom(common_pb2.AdapterRef(version=adapter.version, sha256=adapter.sha256))
        request.order.evidence.CopyFrom(evidence)
        return Promotion.of(self._channels.send(PROMOTE, [request]).event)

    def _find(self, name: str, prefer: Callable[[Run], bool]) -> Run:
        return names.find_run(retry(self.runs), name, prefer)

    def _kept(self, name: str, step: int) -> KeptAdapter:
        return names.find_kept(self.runs(), self.adapters(), name, step)

    def _folder_of(self, start: str) -> str:
        """The folder, as the learner sees it, of an adapter to start from."""
        step = names.step_name(start)
        if step is None:
            return str(pathlib.Path(start).resolve())
        folder = self._kept(*step).learner_path
        if not folder:
            raise FailedPrecondition(f"start {start}: is what that run started from; start from the same")
        return folder

    def _version(self, adapter: int | str | None) -> int | None:
        """The version to ask for; None: what the server gives to users."""
        if adapter is None or adapter == "champion":
            return None
        if adapter == "base":
            return 0
        if adapter == names.NEWEST:
            listed = self._channels.call(calls.LIST_ADAPTERS, policy_pb2.ListAdaptersRequest()).adapters
            return max((found.version for found in listed), default=0)
        if isinstance(adapter, int) or adapter.isdecimal():
            return int(adapter)
        step = names.step_name(adapter)
        if step is None:
            raise InvalidArgument(f"adapter {adapter}: base, newest, champion, a version or RUN@STEP is needed")
        return self._kept(*step).adapter.version

    def _adapted(self, adapter: int | str | None, ask: Callable[[int | None], Result]) -> Result:
        """What `ask` answers for the version, which is loaded if no policy has it."""
        version = self._version(adapter)
        try:
            return ask(version)
        except NotFound as missing:
            self._load(version, missing)
        return ask(version)

    def _load(self, version: int | None, missing: NotFound) -> None:
        """Gives a version that the cluster keeps to the policies. `missing` when that cannot be, or is not for this caller to ask for."""
        if not version:
            raise missing
        try:
            self._channels.call(LOAD_ADAPTER, orchestrator_pb2.LoadAdapterRequest(version=version))
        except (RpcError, SpecError) as error:
            raise missing from error

    def _all(self, method: Method[Request, Response], requests: Sequence[Request], timeout: float | None) -> list[Response]:
        """Answers in order; CALLS_AT_ONCE in flight. After an error nothing further is called."""
        if len(requests) == 1:
            return [self._channels.call(method, requests[0], timeout)]
        with concurrent.futures.ThreadPoolExecutor(calls.CALLS_AT_ONCE) as pool:
            waiting = [pool.submit(self._channels.call, method, request, timeout) for request in requests]
            try:
                return [answer.result() for answer in waiting]
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _assigned(value: object) -> str:
    """A value as --set takes it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
