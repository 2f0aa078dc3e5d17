"""The client for asyncio: what users call. Runs are followed with Mellow, in a thread."""
from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar, overload

import grpc
import grpc.aio
from google.protobuf.message import Message

from mellow import calls
from mellow._proto import policy_pb2
from mellow.calls import Method, Text, Texts
from mellow.connection import Addresses, Connection, Path, Tls
from mellow.errors import from_grpc
from mellow.records import Records, Score, Summary

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class AsyncMellow:
    """As Mellow, call for call; of one event loop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channels: dict[str, tuple[str, grpc.aio.Channel]] = {}

    @classmethod
    def connect(
        cls,
        cluster: Path | None = None,
        *,
        policy: Addresses | None = None,
        reward: Addresses | None = None,
        tls: Tls | None = None,
        token: str | None = None,
        timeout: float | None = None,
    ) -> AsyncMellow:
        """As Mellow.connect."""
        return cls(Connection(cluster, {"policy": policy, "reward": reward}, tls, token, timeout))

    async def __aenter__(self) -> AsyncMellow:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        for _, channel in self._channels.values():
            await channel.close()
        self._channels.clear()

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
        version = await self._version(adapter)
        several = [dialogues] if isinstance(dialogues, str) else dialogues
        requests = [calls.summarize_request(dialogue, version, max_new_tokens) for dialogue in several]
        summaries = Records(Summary.of(response) for response in await self._all(calls.SUMMARIZE, requests, timeout))
        return summaries[0] if isinstance(dialogues, str) else summaries

    async def stream(
        self, dialogue: str, adapter: int | str | None = None, max_new_tokens: int | None = None, timeout: float | None = None
    ) -> AsyncGenerator[str, None]:
        """As Mellow.stream."""
        method = calls.SUMMARIZE_STREAM
        request = calls.summarize_request(dialogue, await self._version(adapter), max_new_tokens)
        channel, target = self._channel(method.role)
        stub = channel.unary_stream(f"/{method.path}", method.serialize, method.parse)
        answers = stub(request, timeout=self._connection.timeout_of(method.path, timeout))
        try:
            async for answer in answers:
                if answer.text:
                    yield answer.text
        except grpc.RpcError as error:
            raise from_grpc(error, f"{method.path} at {target}") from None
        finally:
            answers.cancel()

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

    async def _version(self, adapter: int | str | None) -> int | None:
        listed = await self._call(calls.LIST_ADAPTERS, policy_pb2.ListAdaptersRequest(), None) if calls.needs_list(adapter) else None
        return calls.version_of(adapter, listed)

    async def _all(self, method: Method[Request, Response], requests: Sequence[Request], timeout: float | None) -> list[Response]:
        """Answers in order; CALLS_AT_ONCE in flight. The first error ends the others."""
        limit = asyncio.Semaphore(calls.CALLS_AT_ONCE)

        async def limited(request: Request) -> Response:
            async with limit:
                return await self._call(method, request, timeout)

        tasks = [asyncio.ensure_future(limited(request)) for request in requests]
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _call(self, method: Method[Request, Response], request: Request, timeout: float | None) -> Response:
        channel, target = self._channel(method.role)
        stub = channel.unary_unary(f"/{method.path}", method.serialize, method.parse)
        try:
            response: Response = await stub(request, timeout=self._connection.timeout_of(method.path, timeout))
        except grpc.RpcError as error:
            raise from_grpc(error, f"{method.path} at {target}") from None
        return response

    def _channel(self, role: str) -> tuple[grpc.aio.Channel, str]:
        target = self._connection.target(role)
        known = self._channels.get(role)
        if known is not None and known[0] == target:
            return known[1], target
        credentials = self._connection.credentials()
        options = self._connection.options(target)
        channel = grpc.aio.insecure_channel(target, options) if credentials is None else grpc.aio.secure_channel(target, credentials, options)
        self._channels[role] = (target, channel)
        return channel, target
