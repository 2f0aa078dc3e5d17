"""Where the services are, who calls, and how: addresses, TLS, tokens, deadlines and retries of every channel."""
from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, TypeVar

import grpc

from mellow.errors import SpecError

_DEFAULT_TIMEOUT_SECONDS = 60.0
_MAX_MESSAGE_BYTES = 64 << 20

Path = str | os.PathLike[str]
Addresses = str | Sequence[str]
Self = TypeVar("Self", bound="Connected")


@dataclasses.dataclass(frozen=True)
class Tls:
    """PEM files: the authorities to trust, and, unless a token says who calls, the caller's certificate and its key."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("Tls: cert and key belong together")

    @classmethod
    def folder(cls, folder: Path, role: str = "user") -> Tls:
        """The files that deploy/tools/make_certs.sh puts into a folder: ca.pem, and the certificate and key of a role."""
        place = pathlib.Path(folder)
        return cls(place / "ca.pem", place / f"{role}.pem", place / f"{role}-key.pem")


def read_cluster(path: Path) -> tuple[pathlib.Path, dict[str, list[str]]]:
    """The folder of a cluster and the addresses of its services by role, from cluster.json or the folder that holds it. SpecError when there is none."""
    file = pathlib.Path(path)
    if file.name != "cluster.json":
        file /= "cluster.json"
    try:
        services = json.loads(file.read_text())["services"]
        found: dict[str, list[str]] = {}
        for service in services:
            found.setdefault(service["role"], []).append(service["address"])
    except FileNotFoundError:
        raise SpecError(f"no cluster runs in {file.parent}: there is no {file} (`mellow up --dir {file.parent}` starts one)") from None
    except OSError as error:
        raise SpecError(f"{file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SpecError(f"{file}: not a cluster file ({error!r})") from error
    return file.parent.absolute(), found


def service_config() -> tuple[str, dict[str, float]]:
    """deploy/clients/service_config.json for a channel, and its deadlines in seconds by "service/method".

    The deadlines are ours to set, call by call: gRPC would take those of the file for upper bounds and cut longer ones that a caller asks for.
    """
    config = json.loads(resources.files("mellow").joinpath("service_config.json").read_text())
    timeouts = {}
    for methods in config["methodConfig"]:
        seconds = float(methods.pop("timeout").removesuffix("s"))
        for name in methods["name"]:
            timeouts[f"{name['service']}/{name['method']}"] = seconds
    return json.dumps(config), timeouts


def target_of(addresses: Sequence[str], role: str) -> str:
    """gRPC's name for one or several HOST:PORT."""
    if not addresses:
        raise SpecError(f"no address of a {role} service was given")
    if len(addresses) == 1:
        return addresses[0]
    for address in addresses:
        try:
            ipaddress.IPv4Address(address.rpartition(":")[0])
        except ValueError:
            raise SpecError(f"{role}: several addresses must be IPv4 ones, not {address}; a DNS name may have several by itself") from None
    return "ipv4:" + ",".join(addresses)


class Connection:
    """How to reach the services of one cluster. Threads may share it."""

    def __init__(
        self,
        cluster: Path | None,
        addresses: Mapping[str, Addresses | None],
        tls: Tls | None,
        token: str | None,
        timeout: float | None,
    ) -> None:
        given = {role: [value] if isinstance(value, str) else list(value) for role, value in addresses.items() if value is not None}
        if cluster is not None and given:
            raise ValueError("connect: either a cluster's folder or addresses, not both")
        if token is not None and tls is None:
            raise ValueError("connect: a token is sent over TLS only (tls=Tls(ca=...))")
        self._cluster = None if given else pathlib.Path(cluster if cluster is not None else ".mellow")
        self._given = given
        self.tls = tls
        self.token = token
        self.timeout = timeout
        self._config, self._timeouts = service_config()
        self.addresses()

    def addresses(self) -> dict[str, list[str]]:
        """By role. Those of a cluster's folder are read again each time: a service that is started again may listen elsewhere."""
        return self._given if self._cluster is None else read_cluster(self._cluster)[1]

    @property
    def folder(self) -> pathlib.Path | None:
        """Of `mellow up`; None when addresses were given."""
        return None if self._cluster is None else read_cluster(self._cluster)[0]

    def target(self, role: str) -> str:
        return target_of(self.addresses().get(role, []), role)

    def timeout_of(self, path: str, timeout: float | None) -> float:
        """Seconds for a call of "service/method": what the call says, else what the connection says, else deploy/clients/service_config.json."""
        for seconds in (timeout, self.timeout):
            if seconds is not None:
                return seconds
        return self._timeouts.get(path, _DEFAULT_TIMEOUT_SECONDS)

    def options(self, target: str) -> list[tuple[str, Any]]:
        """Of a channel. The keepalive is what Mellow's servers allow."""
        options: list[tuple[str, Any]] = [
            ("grpc.service_config", self._config),
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.dns_min_time_between_resolutions_ms", 1000),
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.use_local_subchannel_pool", 1),
            # Loopback and cluster addresses do not go through a web proxy.
            ("grpc.enable_http_proxy", 0),
        ]
        if target.startswith("ipv4:"):
            # The name that certificates are compared with.
            options.append(("grpc.default_authority", target.removeprefix("ipv4:").split(",")[0]))
        return options

    def credentials(self) -> grpc.ChannelCredentials | None:
        """None: plaintext. The files are read now."""
        if self.tls is None:
            return None
        pem = [None if path is None else pathlib.Path(path).read_bytes() for path in (self.tls.ca, self.tls.key, self.tls.cert)]
        credentials = grpc.ssl_channel_credentials(*pem)
        if self.token is None:
            return credentials
        return grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(self.token))


class Connected:
    """What is made of a connection."""

    def __init__(self, connection: Connection, program: Path | None = None) -> None:
        """As connect()."""
        raise NotImplementedError

    @classmethod
    def connect(
        cls: type[Self],
        cluster: Path | None = None,
        *,
        policy: Addresses | None = None,
        reward: Addresses | None = None,
        orchestrator: Addresses | None = None,
        learner: Addresses | None = None,
        tls: Tls | None = None,
        token: str | None = None,
        timeout: float | None = None,
        program: Path | None = None,
    ) -> Self:
        """Connects to the cluster of a folder (or its cluster.json), or to services by address; without either to `.mellow`, as the program does.

        Addresses are HOST:PORT, several as a list; those that are not given are not called, and the learner's only by `mellow report`. `token` goes
        with `tls` only. `program` is the `mellow` program that evaluate, report and promote run (default: MELLOW in the environment, else the one on
        PATH). Nothing is called yet: a service that is not there shows with the first call. SpecError: no such cluster. OSError: a file of `tls`
        cannot be read (with the first call).
        """
        addresses = {"policy": policy, "reward": reward, "orchestrator": orchestrator, "learner": learner}
        return cls(Connection(cluster, addresses, tls, token, timeout), program)
