"""What the proxy is told: command line and environment, checked once, then only read."""

from __future__ import annotations

import argparse
import ipaddress
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from strangler_proxy import bounds

EXAMPLE = """example:
  STRANGLER_SERVICE_TOKEN=… strangler-proxy --listen 127.0.0.1:8000 --operator 127.0.0.1:8009 \\
      --table .run/table.json --redis redis://127.0.0.1:6379/0 --workers 2

  curl -s '127.0.0.1:8009/explain?method=GET&path=/api/payments/7&user=42'
"""


class BadSettings(Exception):
    """A setting that makes no sense; the message is one sentence. The command ends with 2."""


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, times in seconds, all for one worker; each is a ``--limit``. 0 switches off those in ``bounds.OFF``."""

    head: int = 64 * 1024
    target: int = 8 * 1024
    body: int = 1024 * 1024 * 1024  # more than shops upload, less than fills the disk that Django spools uploads to
    body_rate: int = 500  # bytes a second that a body must come at, seen over a minute; as Apache's reqtimeout
    connections: int = 8192
    kept_body: int = 1024 * 1024
    pipelined: int = 16
    parked: int = 1000
    connections_per_target: int = 512
    waiting_per_target: int = 1024
    queue: float = 10.0
    shadow_copies: int = 16
    shadow_watermark: float = 3.0
    header_time: float = 10.0
    keep_alive: float = 75.0
    body_idle: float = 30.0
    connect: float = 1.0
    connect_patience: float = 2.0
    first_byte: float = 60.0
    idle_response: float = 60.0
    stalled_reader: float = 60.0
    total: float = 0.0  # off: streams of events and downloads live as long as they like
    silent_answer: float = 10.0
    upstream_idle: float = 30.0
    upstream_age: float = 300.0
    write_idle: float = 1.0  # gunicorn closes a kept connection after 2 s, uvicorn and Node after 5
    resolve: float = 5.0
    check_every: float = 5.0
    check: float = 2.0
    check_failures: int = 3
    freshness: float = 0.2
    reroute_time: float = 3.0
    reroute_tries: int = 3
    drain: float = 30.0
    linger: float = 2.0


class Endpoint(NamedTuple):
    """Where to listen: host and port, or the path of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """``trusted``: networks of proxies in front, see ``Hops``. The rest of TLS is in ``certificates``."""

    listen: Endpoint
    operator: Endpoint | None
    table: Path | None
    redis: str = ""
    token: str = ""
    workers: int = 1
    access_log: float = 0.01
    trusted: tuple[str, ...] = ()
    certificates: Path | None = None
    client_ca: Path | None = None
    target_ca: Path | None = None
    target_certificate: Path | None = None
    limits: Limits = Limits()


def address(text: str) -> Endpoint:
    """``host:port``, ``[::1]:port`` or ``unix:/path``. Raises ``argparse.ArgumentTypeError``."""
    if text.startswith("unix:/"):
        return Endpoint(path=text.removeprefix("unix:"))
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8000, nor unix:/PATH")
    return Endpoint(host, int(port))


def _workers(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 256:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes from 1 to 256")
    return int(text)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return share


def _networks(text: str) -> tuple[str, ...]:
    found = tuple(part for each in text.split(",") if (part := each.strip()))
    for part in found:
        try:
            _ = part == "unix" or ipaddress.ip_network(part)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{part!r} is not a network such as 10.0.0.0/8, nor 'unix': {error}") from error
    return found


def _address_or_none(text: str) -> Endpoint | None:
    return None if text == "none" else address(text)


def parse(arguments: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from the command line; the environment gives the defaults. Misuse ends the process with 2, as argparse does."""
    parser = argparse.ArgumentParser(
        prog="strangler-proxy",
        description="The strangler proxy: routes each request to the monolith or to an extracted service by a live table.",
        epilog=EXAMPLE
        + "\nlimits:\n"
        + textwrap.fill(bounds.listing(Limits), 100, break_on_hyphens=False, initial_indent="  ", subsequent_indent="  "),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    port, operator = environ.get("PROXY_PORT", "8000"), environ.get("OPERATOR_PORT", "8009")
    users = address(f"127.0.0.1:{port}")
    parser.add_argument("--listen", type=address, default=users, metavar="HOST:PORT", help="users come here; also unix:/PATH")
    parser.add_argument(
        "--operator",
        type=_address_or_none,
        default=address(f"127.0.0.1:{operator}"),
        metavar="HOST:PORT",
        help="/livez /readyz /metrics /table /explain; 'none' for no such listener",
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help="the table at start, and the last good one ever after")
    parser.add_argument("--redis", default=environ.get("REDIS_URL", ""), metavar="URL", help="where tables come from")
    parser.add_argument("--workers", type=_workers, default=1, metavar="N", help="processes on the one listening socket")
    parser.add_argument("--access-log", type=_share, default=0.01, metavar="SHARE", help="share of requests logged")
    parser.add_argument(
        "--trusted",
        type=_networks,
        default=_networks(environ.get("TRUSTED_PROXIES", "")),
        metavar="NETWORKS",
        help="proxies in front whose X-Forwarded-* and Forwarded are believed: 10.0.0.0/8,::1,unix",
    )
    parser.add_argument(
        "--certificates", type=Path, metavar="DIR", help="TLS: chain and key in default.pem, NAME.pem, _.DOMAIN.pem"
    )
    parser.add_argument("--client-ca", type=Path, metavar="FILE", help="TLS: clients must show a certificate of this authority")
    parser.add_argument("--target-ca", type=Path, metavar="FILE", help="one more authority for https targets")
    parser.add_argument("--target-certificate", type=Path, metavar="FILE", help="shown to https targets, chain and key")
    parser.add_argument(
        "--limit",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a size, count or time other than the default, such as body=10M or first-byte=30s; also in PROXY_LIMITS",
    )
    given = parser.parse_args(arguments)
    try:
        limits = bounds.parse(Limits, [*environ.get("PROXY_LIMITS", "").replace(",", " ").split(), *given.limit])
    except ValueError as error:
        parser.error(f"--limit {error}")
    if given.client_ca is not None and given.certificates is None:
        parser.error("--client-ca is for TLS: give --certificates DIR too")
    if given.table is None and not given.redis:
        parser.error("nothing says where the route table comes from: give --table FILE, or --redis URL, or both")
    return Settings(
        listen=given.listen,
        operator=given.operator,
        table=given.table,
        redis=given.redis,
        token=environ.get("STRANGLER_SERVICE_TOKEN", ""),
        workers=given.workers,
        access_log=given.access_log,
        trusted=given.trusted,
        certificates=given.certificates,
        client_ca=given.client_ca,
        target_ca=given.target_ca,
        target_certificate=given.target_certificate,
        limits=limits,
    )
