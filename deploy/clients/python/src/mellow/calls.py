"""The calls that users make, without their transport: what both clients, with and without asyncio, share."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from google.protobuf.message import Message

from mellow._proto import policy_pb2, reward_pb2
from mellow.records import Records, Score

POLICY = "mellow.policy.v1.PolicyService"
REWARD = "mellow.reward.v1.RewardService"
ORCHESTRATOR = "mellow.orchestrator.v1.OrchestratorService"

# Calls in flight of one list: enough to fill the servers' batches.
CALLS_AT_ONCE = 8
# Texts of one call: a fraction of what a reward server takes at least.
TEXTS_A_CALL = 16

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
# A text, or two that are scored together.
Text = str | tuple[str, str]
Texts = list[str] | list[tuple[str, str]] | list[Text]


@dataclasses.dataclass(frozen=True)
class Method(Generic[Request, Response]):
    """An rpc and its messages; `role` is whose address it goes to."""

    role: str
    service: str
    name: str
    serialize: Callable[[Request], bytes]
    parse: Callable[[bytes], Response]

    @property
    def path(self) -> str:
        return f"{self.service}/{self.name}"


def method(role: str, service: str, name: str, request: type[Request], response: type[Response]) -> Method[Request, Response]:
    return Method(role, service, name, request.SerializeToString, response.FromString)


SUMMARIZE = method("policy", POLICY, "Summarize", policy_pb2.SummarizeRequest, policy_pb2.SummarizeResponse)
SUMMARIZE_STREAM = method("policy", POLICY, "SummarizeStream", policy_pb2.SummarizeRequest, policy_pb2.SummarizeStreamResponse)
LIST_ADAPTERS = method("policy", POLICY, "ListAdapters", policy_pb2.ListAdaptersRequest, policy_pb2.ListAdaptersResponse)
SCORE = method("reward", REWARD, "Score", reward_pb2.ScoreRequest, reward_pb2.ScoreResponse)


def summarize_request(dialogue: str, version: int | None, max_new_tokens: int | None) -> policy_pb2.SummarizeRequest:
    return policy_pb2.SummarizeRequest(dialogue=dialogue, adapter_version=version, max_new_tokens=max_new_tokens)


def score_requests(texts: Iterable[Text]) -> list[reward_pb2.ScoreRequest]:
    """One for each TEXTS_A_CALL of them, in order."""
    pairs = [(text, "") if isinstance(text, str) else text for text in texts]
    requests = []
    for begin in range(0, len(pairs), TEXTS_A_CALL):
        part = pairs[begin : begin + TEXTS_A_CALL]
        request = reward_pb2.ScoreRequest(texts=[first for first, _ in part])
        if any(second for _, second in part):
            request.text_pairs.extend(second for _, second in part)
        requests.append(request)
    return requests


def scores_of(responses: Iterable[reward_pb2.ScoreResponse]) -> Records[Score]:
    return Records(Score.of(score, response.labels) for response in responses for score in response.scores)
