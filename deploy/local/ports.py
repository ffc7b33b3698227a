"""Which port each process listens on. The defaults live here; environment variables of the same names replace them."""

from __future__ import annotations

import itertools
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields

import psutil

from deploy.local.errors import CannotStart, Misconfigured

HOST = "127.0.0.1"
BELOW_EPHEMERAL = range(15_000, 30_000)  # Linux gives 32768 and up to outgoing connections, macOS 49152 and up


@dataclass(frozen=True)
class Ports:
    """One port for each listener; field ``proxy`` is set by ``PROXY_PORT`` and so on."""

    proxy: int = 8000
    monolith: int = 8001
    payments: int = 8105
    operator: int = 8009
    postgres: int = 25432
    valkey: int = 26390

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Ports:
        """The defaults, replaced by what ``environ`` names. Raises ``Misconfigured`` for what is no port, or twice the same."""
        values = {
            field.name: _parse(variable(field.name), environ.get(variable(field.name), ""), field.default)
            for field in fields(cls)
        }
        seen: dict[int, str] = {}
        for name, port in values.items():
            if port in seen:
                raise Misconfigured(f"{variable(seen[port])} and {variable(name)} are both {port}; give each a port of its own")
            seen[port] = name
        return cls(**values)

    @classmethod
    def free(cls) -> Ports:
        """Ports that nobody has now, for an estate beside another one.

        Not those that the system would give: it gives the same ones to outgoing connections, and a server that is killed and
        started again under load would find its port taken. All default ports lie below them too.
        """
        candidates = random.SystemRandom().sample(BELOW_EPHEMERAL, 200)
        return cls(*itertools.islice(filter(_is_free, candidates), len(fields(cls))))


def variable(name: str) -> str:
    return f"{name.upper()}_PORT"


def _parse(name: str, text: str, default: object) -> int:
    if not text:
        return int(str(default))
    if text.isdecimal() and 1 <= int(text) <= 65535:
        return int(text)
    raise Misconfigured(f"{name}={text!r} is not a port; set it to a number from 1 to 65535")


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def ensure_free(port: int, name: str) -> None:
    """Raises ``CannotStart`` naming who listens on ``port`` and the variable that moves ``name`` elsewhere."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise CannotStart(f"port {port} for {name} needs root; set {variable(name)} to one above 1023") from None
        except OSError:
            raise CannotStart(
                f"port {port} for {name} is taken{_holder(port)}; stop that program or set {variable(name)} to a free port"
            ) from None


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        return ""
    return ""
