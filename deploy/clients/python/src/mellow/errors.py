"""What can go wrong, as exceptions. All are MellowErrors."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

if TYPE_CHECKING:
    from mellow.records import Gate, Run


class MellowError(Exception):
    """The base of all."""


class SpecError(MellowError, ValueError):
    """A run or evaluation file, or a cluster file, that cannot be read: the message names the file and the field."""


class MissingPackage(MellowError, ImportError):
    """Something asked for needs a package that is not installed."""


class ProgramError(MellowError):
    """The `mellow` program, which does what a client does by itself (evaluate, report, gates), was not found or failed.

    `exit_code` is None when it was not found.
    """

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class GateFailed(MellowError):
    """An adapter was not promoted; `gates` says what held and what did not."""

    def __init__(self, message: str, gates: list[Gate]) -> None:
        super().__init__(message)
        self.gates = gates


class RunFailed(MellowError):
    """A run ended before its last step, because it failed or was stopped; `run` is its last state."""

    def __init__(self, message: str, run: Run) -> None:
        super().__init__(message)
        self.run = run


class RpcError(MellowError):
    """A call was answered with a status that is not OK; its subclasses are named like the status codes."""

    code = grpc.StatusCode.UNKNOWN

    def __init__(self, message: str, call: str = "", retry_after: float | None = None) -> None:
        """`message` is the server's; `call` names the method and the server; `retry_after`: seconds until the server would take another try."""
        super().__init__(f"{call}: {self.code.name}: {message}" if call else message)
        self.message = message
        self.retry_after = retry_after


class Cancelled(RpcError):
    code = grpc.StatusCode.CANCELLED


class Unknown(RpcError):
    code = grpc.StatusCode.UNKNOWN


class InvalidArgument(RpcError, ValueError):
    """The message names the field."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class DeadlineExceeded(RpcError, TimeoutError):
    """Not retried: ask again with a longer timeout, or with less to do."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class NotFound(RpcError, LookupError):
    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(RpcError):
    code = grpc.StatusCode.ALREADY_EXISTS


class PermissionDenied(RpcError, PermissionError):
    """The caller's role may not do that."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Unauthenticated(RpcError, PermissionError):
    """No certificate or token that says who calls."""

    code = grpc.StatusCode.UNAUTHENTICATED


class ResourceExhausted(RpcError):
    """A queue is full, this caller has had its share, or a message is too large: nothing was computed, and retries did not help."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class FailedPrecondition(RpcError):
    """Something else comes first, such as the end of the run that is active."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class Aborted(RpcError):
    code = grpc.StatusCode.ABORTED


class OutOfRange(RpcError):
    code = grpc.StatusCode.OUT_OF_RANGE


class Unimplemented(RpcError, NotImplementedError):
    """The server, or the stubs that this package was built with, are too old for that."""

    code = grpc.StatusCode.UNIMPLEMENTED


class Internal(RpcError):
    code = grpc.StatusCode.INTERNAL


class Unavailable(RpcError, ConnectionError):
    """Nobody answers, or the service drains, and retries did not help."""

    code = grpc.StatusCode.UNAVAILABLE


class DataLoss(RpcError):
    code = grpc.StatusCode.DATA_LOSS


_BY_CODE = {
    error.code: error
    for error in (
        Cancelled, Unknown, InvalidArgument, DeadlineExceeded, NotFound, AlreadyExists, PermissionDenied, Unauthenticated, ResourceExhausted,
        FailedPrecondition, Aborted, OutOfRange, Unimplemented, Internal, Unavailable, DataLoss,
    )
}  # fmt: skip


def from_grpc(error: grpc.RpcError, call: str) -> RpcError:
    """The exception of a status that gRPC raised; `call` names the method and the server."""
    # Both flavors of gRPC raise objects with these methods; their common base class has none.
    status: Any = error
    pushback = None
    for key, value in status.trailing_metadata() or ():
        if key == "grpc-retry-pushback-ms":
            pushback = int(value) / 1000
    kind = _BY_CODE.get(status.code(), Unknown)
    message = status.details() or ""
    if kind is Unknown and message == "Stream removed":
        # What gRPC says when a connection breaks at the wrong moment.
        kind = Unavailable
    return kind(message, call, pushback)
