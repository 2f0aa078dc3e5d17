"""What calls answer, as plain values. Messages of protobuf end here."""
from __future__ import annotations

import dataclasses
import datetime
import html
import importlib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from google.protobuf import json_format, timestamp_pb2

from mellow._proto import common_pb2, orchestrator_pb2, policy_pb2, reward_pb2, sft_pb2
from mellow.errors import MissingPackage


def _time_of(timestamp: timestamp_pb2.Timestamp) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(timestamp.seconds, datetime.timezone.utc)


@dataclasses.dataclass(frozen=True)
class Adapter:
    """Which weights: a version of the cluster (0: the base model) and the hash of its content (empty for version 0)."""

    version: int
    sha256: str = ""

    @classmethod
    def of(cls, message: common_pb2.AdapterRef) -> Adapter:
        return cls(message.version, message.sha256)


@dataclasses.dataclass(frozen=True)
class Summary:
    """A summary; str() is its text."""

    text: str
    adapter: Adapter
    prompt_tokens: int
    summary_tokens: int
    # The end of the dialogue was left out, because the prompt had uncut_prompt_tokens.
    truncated: bool
    uncut_prompt_tokens: int

    def __str__(self) -> str:
        return self.text

    @classmethod
    def of(cls, message: policy_pb2.SummarizeResponse) -> Summary:
        return cls(
            message.summary, Adapter.of(message.adapter), message.prompt_tokens, message.summary_tokens, message.truncated, message.uncut_prompt_tokens
        )


@dataclasses.dataclass(frozen=True)
class Score:
    """What the reward model says of a text."""

    # Probability of the toxic label; of a regression its logit.
    toxicity: float
    # The most likely one.
    label: str
    # By label.
    logits: Mapping[str, float]
    probabilities: Mapping[str, float]
    # The text was longer than the model's window.
    truncated: bool

    @classmethod
    def of(cls, message: reward_pb2.TextScore, labels: Iterable[str]) -> Score:
        names = list(labels)
        return cls(
            message.toxicity, message.label, dict(zip(names, message.logits)), dict(zip(names, message.probabilities)), message.truncated
        )


@dataclasses.dataclass(frozen=True)
class SupervisedStep:
    """What supervised fine-tuning measured in a step."""

    # Passes over the training pairs, this step included.
    epoch: float
    # Mean over the step's target tokens, nats, with label smoothing; None of step 0.
    loss: float | None
    learning_rate: float
    # Global L2 norm before clipping.
    gradient_norm: float
    # Source and target tokens.
    tokens: int
    # Mean over the target tokens of the dev pairs, nats; None where it was not measured.
    dev_loss: float | None

    @classmethod
    def of(cls, message: sft_pb2.SftStep) -> SupervisedStep:
        return cls(
            message.epoch, message.loss if message.HasField("loss") else None, message.learning_rate, message.gradient_norm, message.tokens,
            message.dev_loss if message.HasField("dev_loss") else None,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Step:
    """A committed step of a run; means are over its rollouts.

    Of a supervised run `step`, `seconds` and `sft` count, the rest is 0: its adapter has no version.
    """

    step: int
    adapter: Adapter
    # Nats per sequence, against the reference.
    objective_kl: float
    returns_mean: float
    advantages_mean: float
    score_mean: float
    # Probability of the toxic label.
    toxicity_mean: float
    seconds: float
    response_tokens_mean: float
    tokens_per_second: float
    # All of the learner's scalars, by TRL's names.
    stats: Mapping[str, float]
    # Wall seconds by phase: generate, reward, train, publish, canary.
    phase_seconds: Mapping[str, float]
    # Share of the 4-grams of a response that came before in it.
    repetition_mean: float = 0.0
    # Only a run with a judge has these.
    judge_score_mean: float | None = None
    judge_gap: float | None = None
    # Why the guard of the run gave the step's adapter up; empty: it did not.
    guard_trip: str = ""
    # None: a step of PPO. Step 0 of a supervised run is the dev loss before the first one.
    sft: SupervisedStep | None = None
    # None: by a version that did not keep it.
    committed: datetime.datetime | None = None

    @classmethod
    def of(cls, message: orchestrator_pb2.Step) -> Step:
        return cls(
            message.step, Adapter.of(message.adapter), message.objective_kl, message.returns_mean, message.advantages_mean, message.score_mean,
            message.toxicity_mean, message.seconds, message.response_tokens_mean, message.tokens_per_second, dict(message.stats), dict(message.phase_seconds),
            message.repetition_mean, message.judge_score_mean if message.HasField("judge_score_mean") else None,
            message.judge_gap if message.HasField("judge_gap") else None, message.guard_trip,
            SupervisedStep.of(message.sft) if message.HasField("sft") else None,
            message.committed.ToDatetime(datetime.timezone.utc) if message.HasField("committed") else None,
        )  # fmt: skip

    def scalars(self) -> dict[str, float]:
        """Every number of the step by its name: the learner's as they are, the others as fields, phases as "phase_seconds/generate"."""
        if self.sft is not None:
            measured = {name: float(value) for name, value in vars(self.sft).items() if value is not None}
            # Before the first step there is a dev loss, and nothing else.
            return {"seconds": self.seconds, **measured} if self.step > 0 else {name: value for name, value in measured.items() if name == "dev_loss"}
        numbers = {name: value for name, value in vars(self).items() if isinstance(value, float)}
        return {**numbers, **self.stats, **{f"phase_seconds/{phase}": seconds for phase, seconds in self.phase_seconds.items()}}


@dataclasses.dataclass(frozen=True)
class GuardTrip:
    """A step after which the guard of a run took it back."""

    step: int
    # Whose weights it went back to; 0: those that the run started from.
    good_step: int
    # These weights, under the version that they have been served by since.
    good: Adapter
    # The field of the run file, what was measured, and the bound.
    check: str
    value: float
    bound: float
    reason: str

    @classmethod
    def of(cls, message: orchestrator_pb2.GuardTrip) -> GuardTrip:
        return cls(message.step, message.good_step, Adapter.of(message.good), message.check, message.value, message.bound, message.reason)

    def __str__(self) -> str:
        return self.reason


@dataclasses.dataclass(frozen=True)
class Run:
    """A run as it is now."""

    run_id: str
    name: str
    # "RUNNING", "STOPPED", "DONE" or "FAILED".
    state: str
    steps: int
    committed_steps: int
    # What it does now, for people.
    activity: str
    # Why it failed, or why its guard stopped it.
    error: str
    # Version 0 of a supervised run: what it makes has no version.
    adapter: Adapter
    # The newest adapter (of a supervised run: the result, when it is done) as a PEFT folder, as the learner sees it.
    adapter_path: str
    # The run file.
    spec: Mapping[str, Any]
    # "ppo" or "sft".
    method: str
    # None: not known (it was recorded by an earlier version), or it has not ended.
    created: datetime.datetime | None
    ended: datetime.datetime | None
    # These two are those of the last committed step of PPO.
    score_mean: float | None
    objective_kl: float | None
    # Oldest first.
    guard_trips: tuple[GuardTrip, ...] = ()
    # The loss is that of the last committed step of supervised fine-tuning; the best step, with dev pairs, is the one whose weights are the result.
    loss: float | None = None
    best_step: int | None = None
    best_dev_loss: float | None = None
    # Why the same run file would not give the same adapters to the bit; empty: nothing is known that stands against it.
    not_repeatable: str = ""

    @property
    def running(self) -> bool:
        return self.state == "RUNNING"

    @classmethod
    def of(cls, message: orchestrator_pb2.Run) -> Run:
        state = orchestrator_pb2.RunState.Name(message.state).removeprefix("RUN_STATE_")
        spec = json_format.MessageToDict(message.spec, preserving_proto_field_name=True)
        supervised = message.spec.HasField("sft")
        last = Step.of(message.last_step) if message.HasField("last_step") else None
        ppo, sft = None if supervised else last, last.sft if last is not None else None
        return cls(
            message.run_id, message.spec.name, state, message.total_steps, message.committed_steps, message.activity, message.error,
            Adapter.of(message.adapter), message.adapter_path, spec, "sft" if supervised else "ppo",
            _time_of(message.created) if message.HasField("created") else None, _time_of(message.ended) if message.HasField("ended") else None,
            ppo.score_mean if ppo is not None else None, ppo.objective_kl if ppo is not None else None,
            tuple(GuardTrip.of(trip) for trip in message.guard_trips), sft.loss if sft is not None else None,
            message.sft.best_step if message.sft.HasField("best_step") else None,
            message.sft.best_dev_loss if message.sft.HasField("best_dev_loss") else None, message.not_repeatable,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class KeptAdapter:
    """An adapter of a run's step, or one that was promoted from a folder."""

    adapter: Adapter
    # Empty: from a folder.
    run_id: str
    # 0: what the run started from.
    step: int
    # PEFT folder as the learner sees it: what a run may start from.
    learner_path: str
    # Its files are kept: it can be promoted by its version.
    has_files: bool
    # The guard of its run went back behind it.
    withdrawn: bool = False

    @classmethod
    def of(cls, message: orchestrator_pb2.KeptAdapter) -> KeptAdapter:
        return cls(Adapter.of(message.adapter), message.run_id, message.step, message.learner_path, message.has_files, message.withdrawn)


@dataclasses.dataclass(frozen=True)
class Gate:
    """A condition of a promotion."""

    name: str
    passed: bool
    # With the figures, for people.
    detail: str


@dataclasses.dataclass(frozen=True)
class Promotion:
    """A line of the history of champions. Version 0, the base model, is it until an adapter is promoted."""

    time: datetime.datetime
    # "PROMOTE" or "ROLL_BACK".
    action: str
    champion: Adapter
    previous: Adapter
    # Promoted although a gate failed.
    forced: bool
    reason: str
    gates: tuple[Gate, ...]

    @classmethod
    def of(cls, message: orchestrator_pb2.PromotionEvent) -> Promotion:
        evidence = message.evidence
        return cls(
            _time_of(message.time),
            orchestrator_pb2.PromotionAction.Name(message.action).removeprefix("PROMOTION_ACTION_"),
            Adapter.of(message.champion),
            Adapter.of(message.previous),
            evidence.forced,
            evidence.reason,
            tuple(Gate(gate.name, gate.passed, gate.detail) for gate in evidence.gates),
        )


def _fields_of(record: Any) -> dict[str, Any]:
    """What counts of a record: of a step that is one of supervised fine-tuning what that measured."""
    if isinstance(record, Step):
        if record.sft is not None:
            return {"step": record.step, "seconds": record.seconds, **vars(record.sft)}
        return {name: value for name, value in vars(record).items() if name != "sft"}
    return dict(vars(record))


def row_of(record: Any) -> dict[str, object]:
    """A record as a flat row: adapters by their version, maps by their keys ("stats" as they are named, others as "probabilities/hate")."""
    row: dict[str, object] = {}
    for name, value in _fields_of(record).items():
        if isinstance(value, Adapter):
            row[name] = value.version
        elif name == "stats":
            row.update(value)
        elif isinstance(value, Mapping) and name != "spec":
            row.update((f"{name}/{key}", part) for key, part in value.items())
        else:
            row[name] = value
    return row


def frame_of(rows: list[dict[str, Any]]) -> Any:
    """A pandas.DataFrame. MissingPackage without pandas."""
    try:
        pandas = importlib.import_module("pandas")
    except ImportError as error:
        raise MissingPackage("a DataFrame needs pandas (pip install pandas)") from error
    return pandas.DataFrame(rows)


def table_html(rows: list[dict[str, Any]]) -> str:
    """Rows with the same keys as an HTML table."""
    if not rows:
        return "<p>none</p>"

    def cell(value: object) -> str:
        return html.escape(f"{value:.4g}" if isinstance(value, float) else str(value))

    head = "".join(f"<th>{cell(name)}</th>" for name in rows[0])
    body = "".join("<tr>" + "".join(f"<td style='text-align:left'>{cell(value)}</td>" for value in row.values()) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


T = TypeVar("T")


class Records(list[T]):
    """A list that notebooks show as a table and pandas takes as a frame."""

    def frame(self) -> Any:
        """A pandas.DataFrame with a row for each. MissingPackage without pandas."""
        return frame_of([row_of(record) for record in self])

    def _repr_html_(self) -> str:
        # A table for people: the maps have too many columns for it.
        return table_html([{name: value for name, value in row_of(record).items() if name in _fields_of(record) and name != "spec"} for record in self])
