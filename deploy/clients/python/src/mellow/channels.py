"""gRPC: channels by role, with and without asyncio, and calls whose errors are exceptions of ours."""
from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator, Iterable
from typing import TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from mellow.calls import Method
from mellow.connection import Connection
from mellow.errors import from_grpc

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


class Channels:
    """Of one connection. Threads may share it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._lock = threading.Lock()
        self._channels: dict[str, tuple[str, grpc.Channel]] = {}

    def close(self) -> None:
        """Calls in progress end with Cancelled."""
        with self._lock:
            for _, channel in self._channels.values():
                channel.close()
            self._channels.clear()

    def call(self, method: Method[Request, Response], request: Request, timeout: float | None = None) -> Response:
        """`timeout` in seconds; None: the connection's for this method. RpcError when the answer is not OK."""
        channel, target = self._channel(method.role)
        stub = channel.unary_unary(f"/{method.path}", method.serialize, method.parse)
        try:
            response: Response = stub(request, timeout=self.connection.timeout_of(method.path, timeout))
        except grpc.RpcError as error:
            raise from_grpc(error, f"{method.path} at {target}") from None
        return response

    def send(self, method: Method[Request, Response], requests: Iterable[Request], timeout: float | None = None) -> Response:
        """As call(), with a stream of requests."""
        channel, target = self._channel(method.role)
        stub = channel.stream_unary(f"/{method.path}", method.serialize, method.parse)
        try:
            response: Response = stub(iter(requests), timeout=self.connection.timeout_of(method.path, timeout))
        except grpc.RpcError as error:
            raise from_grpc(error, f"{method.path} at {target}") from None
        return response

    def stream(self, method: Method[Request, Response], request: Request, timeout: float | None = None) -> Generator[Response, None, None]:
        """As call(), with a stream of answers; closing the generator cancels the call."""
        channel, target = self._channel(method.role)
        stub = channel.unary_stream(f"/{method.path}", method.serialize, method.parse)
        answers = stub(request, timeout=self.connection.timeout_of(method.path, timeout))
        try:
            yield from answers
        except grpc.RpcError as error:
            raise from_grpc(error, f"{method.path} at {target}") from None
        finally:
            answers.cancel()

    def _channel(self, role: str) -> tuple[grpc.Channel, str]:
        target = self.connection.target(role)
        with self._lock:
            known = self._channels.get(role)
            if known is not None and known[0] == target:
                return known[1], target
            credentials = self.connection.credentials()
            options = self.connection.options(target)
            channel = grpc.insecure_channel(target, options) if credentials is None else grpc.secure_channel(target, credentials, options)
            # The one before, if any, ends with the last call on it.
            self._channels[role] = (target, channel)
            return channel, target


class AsyncChannels:
    """As Channels, of one event loop."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._channels: dict[str, tuple[str, grpc.aio.Channel]] = {}

    async def close(self) -> None:
        for _, channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    async def call(self, method: Method[Request, Response], request: Request, timeout: float | None = None) -> Response:
        channel, target = self._channel(method.role)
        stub = channel.unary_unary(f"/{method.path}", method.serialize, method.parse)
        try:
            response: Response = await stub(request, timeout=self.connection.timeout_of(method.path, timeout))
        except grpc.RpcError as error:
            raise from_grpc(error, f"{method.path} at {target}") from None
        return response

    async def stream(self, method: Method[Request, Response], request: Request, timeout: float | None = None) -> AsyncGenerator[Response, None]:
        channel, target = self._channel(method.role)
        stub = channel.unary_stream(f"/{method.path}", method.serialize, method.parse)
        answers = stub(request, timeout=self.connection.timeout_of(method.path, timeout))
        try:
            async for answer in answers:
                yield answer
        except grpc.RpcError as error:
            raise from_grpc(error, f"{method.path} at {target}") from None
        finally:
            answers.cancel()

    def _channel(self, role: str) -> tuple[grpc.aio.Channel, str]:
        target = self.connection.target(role)
        known = self._channels.get(role)
        if known is not None and known[0] == target:
            return known[1], target
        credentials = self.connection.credentials()
        options = self.connection.options(target)
        channel = grpc.aio.insecure_channel(target, options) if credentials is None else grpc.aio.secure_channel(target, credentials, options)
        self._channels[role] = (target, channel)
        return channel, target
