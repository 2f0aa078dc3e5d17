"""The client for asyncio."""
from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from google.protobuf.message import Message

from mellow import calls, commands, names
from mellow._proto import policy_pb2
from mellow.calls import Method, Text, Texts
from mellow.channels import AsyncChannels
from mellow.client import Mellow
from mellow.connection import Connected, Connection, Path
from mellow.errors import NotFound
from mellow.records import Records, Score, Step, Summary
from mellow.training import AsyncTraining, Training

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


def _in_thread(
    verb: Callable[Concatenate[Mellow, Parameters], Result],
) -> Callable[Concatenate[AsyncMellow, Parameters], Coroutine[Any, Any, Result]]:
    """A verb of Mellow in a thread."""

    @functools.wraps(verb)
    async def call(self: AsyncMellow, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        running: list[subprocess.Popen[str]] = []
        token = commands.running.set(running)
        try:
            return await asyncio.to_thread(verb, self._mellow, *args, **kwargs)
        except asyncio.CancelledError:
            for program in running:
                program.send_signal(signal.SIGINT)
            raise
        finally:
            commands.running.reset(token)

    return call


def _followed(verb: Callable[Concatenate[Mellow, Parameters], Training]) -> Callable[Concatenate[AsyncMellow, Parameters], AsyncTraining]:
    """A verb of Mellow that begins in a thread and is followed in the event loop."""

    @functools.wraps(verb)
    def call(self: AsyncMellow, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> AsyncTraining:
        return AsyncTraining(self._channels, functools.partial(verb, self._mellow, *args, **kwargs))

    return call


class AsyncMellow(Connected):
    """As Mellow, verb for verb, of one event loop.

    train, sft, watch and resume give an AsyncTraining, which is awaited or iterated (`async for step in client.train(...)`); all others are awaited.
    Cancelling them never stops a run. Users' calls, and following a run, end with their task. The other verbs are those of Mellow in a thread: their task
    stops waiting, while the thread stays until the answer to the call in progress, and what the cluster was asked for may be done; a `mellow` program that
    runs is interrupted, and an evaluation goes on from there when it is asked for again.
    """

    def __init__(self, connection: Connection, program: Path | None = None) -> None:
        self._channels = AsyncChannels(connection)
        self._mellow = Mellow(connection, program)

    async def __aenter__(self) -> AsyncMellow:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Calls in progress end with Cancelled."""
        await self._channels.close()
        self._mellow.close()

    # Users' calls.

    @overload
    async def summarize(
        self, dialogues: str, adapter: int | str | None = None, max_new_tokens: int | None = None, timeout: float | None = None
    ) -> Summary: ...

    @overload
    async def summarize(
        self, dialogues: list[str], adapter: int | str | None = None, max_new_tokens: int | None = None, timeout: float | None = None
    ) -> Records[Summary]: ...

    async def summarize(
        self, dialogues: str | list[str], adapter: int | str | None = None, max_new_tokens: int | None = None, timeout: float | None = None
    ) -> Summary | Records[Summary]:
        """As Mellow.summarize."""
        several = [dialogues] if isinstance(dialogues, str) else dialogues

        async def ask(version: int | None) -> list[policy_pb2.SummarizeResponse]:
            return await self._all(calls.SUMMARIZE, [calls.summarize_request(dialogue, version, max_new_tokens) for dialogue in several], timeout)

        summaries = Records(Summary.of(response) for response in await self._adapted(adapter, ask))
        return summaries[0] if isinstance(dialogues, str) else summaries

    async def stream(
        self, dialogue: str, adapter: int | str | None = None, max_new_tokens: int | None = None, timeout: float | None = None
    ) -> AsyncGenerator[str, None]:
        """As Mellow.stream."""

        async def ask(
            version: int | None,
        ) -> tuple[policy_pb2.SummarizeStreamResponse | None, AsyncGenerator[policy_pb2.SummarizeStreamResponse, None]]:
            answers = self._channels.stream(calls.SUMMARIZE_STREAM, calls.summarize_request(dialogue, version, max_new_tokens), timeout)
            return await anext(answers, None), answers

        answer, rest = await self._adapted(adapter, ask)
        async with contextlib.aclosing(rest):
            while answer is not None:
                if answer.text:
                    yield answer.text
                answer = await anext(rest, None)

    @overload
    async def score(self, texts: Text, timeout: float | None = None) -> Score: ...

    @overload
    async def score(self, texts: Texts, timeout: float | None = None) -> Records[Score]: ...

    async def score(self, texts: Text | Texts, timeout: float | None = None) -> Score | Records[Score]:
        """As Mellow.score."""
        one = isinstance(texts, (str, tuple))
        requests = calls.score_requests([texts] if isinstance(texts, (str, tuple)) else texts)
        scores = calls.scores_of(await self._all(calls.SCORE, requests, timeout))
        return scores[0] if one else scores

    # Operators' calls.

    train = _followed(Mellow.train)
    sft = _followed(Mellow.sft)
    watch = _followed(Mellow.watch)
    resume = _followed(Mellow.resume)
    stop = _in_thread(Mellow.stop)
    runs = _in_thread(Mellow.runs)
    adapters = _in_thread(Mellow.adapters)
    evaluate = _in_thread(Mellow.evaluate)
    promote = _in_thread(Mellow.promote)
    roll_back = _in_thread(Mellow.roll_back)
    promotions = _in_thread(Mellow.promotions)
    report = _in_thread(Mellow.report)

    async def steps(self, run: str = names.NEWEST) -> Records[Step]:
        """As Mellow.steps."""
        followed = self.watch(run, progress=False)
        await followed.wait()
        return followed.steps

    async def _adapted(self, adapter: int | str | None, ask: Callable[[int | None], Awaitable[Result]]) -> Result:
        """As Mellow._adapted."""
        version = await asyncio.to_thread(self._mellow._version, adapter)
        try:
            return await ask(version)
        except NotFound as missing:
            await asyncio.to_thread(self._mellow._load, version, missing)
        return await ask(version)

    async def _all(self, method: Method[Request, Response], requests: Sequence[Request], timeout: float | None) -> list[Response]:
        """Answers in order; CALLS_AT_ONCE in flight. The first error ends the others."""
        limit = asyncio.Semaphore(calls.CALLS_AT_ONCE)

        async def limited(request: Request) -> Response:
            async with limit:
                return await self._channels.call(method, request, timeout)

        tasks = [asyncio.ensure_future(limited(request)) for request in requests]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
