"""One worker process: an event loop, the listeners, the control line, and a clean end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvloop

from strangler.domain.table import TableError
from strangler_proxy import cancelling, table
from strangler_proxy.access_log import event
from strangler_proxy.bucket_memory import BucketMemory
from strangler_proxy.certificates import Certificates
from strangler_proxy.control import Control
from strangler_proxy.operator import Operator
from strangler_proxy.plane import Plane
from strangler_proxy.server import ClientConnection
from strangler_proxy.settings import Settings
from strangler_proxy.tally import Tally

_FILE_POLL = 1.0


@dataclass(frozen=True)
class Place:
    """Where a worker stands: its number, its name for the control plane, what is shared, its parent's life line.

    ``predecessors`` are the names of those who died in its place while they wrote ``inherited``.
    """

    number: int
    identity: str
    listening: socket.socket
    operating: socket.socket | None
    sockets: Path | None = None
    lifeline: int | None = None
    buckets: BucketMemory | None = None
    tally: Tally | None = None
    predecessors: tuple[str, ...] = ()
    inherited: tuple[str, ...] = ()


def run(settings: Settings, place: Place) -> None:
    """Serves until SIGTERM or SIGINT, then drains; ends at once when told again."""
    # Requests leave no cycles behind: what was imported is never looked through again, and the rest seldom.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, place))


async def _serve(settings: Settings, place: Place) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    plane = Plane(settings, loop, number=place.number, buckets=place.buckets, note=place.tally.note if place.tally else None)
    plane.inherit(place.inherited)
    for number in (signal.SIGTERM, signal.SIGINT):
        if place.lifeline is None or number is signal.SIGTERM:  # a parent hears the terminal's Ctrl-C too, and passes it on
            loop.add_signal_handler(number, lambda: plane.hurry() if stop.is_set() else stop.set())
    control = Control(plane, place.identity, place.predecessors)
    _first_table(plane, settings)
    certificates = Certificates(settings.certificates, settings.client_ca) if settings.certificates else None
    server = await _listen(plane, place.listening, certificates)
    operators = await _operators(Operator(plane, control.report, place.sockets), place)
    if place.lifeline is not None:
        loop.add_reader(place.lifeline, stop.set)
    plane.sweep()
    watch = loop.create_task(_watch_certificates(certificates)) if certificates else None
    line = loop.create_task(control.run() if settings.redis else _watch_file(plane, settings))
    event("worker.started", number=place.number, pid=os.getpid())
    await stop.wait()
    if place.lifeline is not None:
        loop.remove_reader(place.lifeline)
    await plane.checks.stop()
    await _drain(plane, server)
    await cancelling.end([line, watch] if watch else [line])
    if settings.redis:
        await control.leave()
    for listener in operators:
        listener.close()
    await plane.tables.stored()
    plane.pool.close()
    plane.log.close()
    event("worker.stopped", number=place.number, pid=os.getpid())


def _first_table(plane: Plane, settings: Settings) -> None:
    """The last good table, if there is one. Whoever starts the workers has already judged the file."""
    if settings.table is None:
        return
    try:
        found = table.load(settings.table)
    except (TableError, OSError) as error:
        event("table.refused", file=settings.table, reason=error)
        return
    if found is not None:
        plane.tables.apply(found)


async def _operators(operator: Operator, place: Place) -> list[asyncio.Server]:
    listeners = []
    if place.operating is not None:
        listeners.append(await asyncio.start_server(operator.serve, sock=place.operating))
    if place.sockets is not None:
        own = place.sockets / f"{place.number}.sock"
        own.unlink(missing_ok=True)
        listeners.append(await asyncio.start_unix_server(operator.serve, path=str(own)))
    return listeners


async def _listen(plane: Plane, listening: socket.socket, certificates: Certificates | None) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    context = certificates.context if certificates else None
    handshake = plane.limits.header_time if context else None
    if listening.family == socket.AF_UNIX:
        return await loop.create_unix_server(
            lambda: ClientConnection(plane), sock=listening, ssl=context, ssl_handshake_timeout=handshake
        )
    return await loop.create_server(lambda: ClientConnection(plane), sock=listening, ssl=context, ssl_handshake_timeout=handshake)


async def _watch_certificates(certificates: Certificates) -> None:
    while True:
        await asyncio.sleep(_FILE_POLL)
        certificates.look()


async def _watch_file(plane: Plane, settings: Settings) -> None:
    """Without a control plane the file is the source: a newer table in it is applied."""
    assert settings.table is not None
    seen = 0.0
    while True:
        await asyncio.sleep(_FILE_POLL)
        with suppress(OSError):
            changed = settings.table.stat().st_mtime
            if changed != seen:
                seen = changed
                plane.tables.offer(settings.table.read_bytes(), keep=False)


async def _drain(plane: Plane, server: asyncio.Server) -> None:
    """Stops accepting, ends what is under way, and what is not done in time."""
    event("worker.draining", number=plane.number, clients=len(plane.clients))
    server.close()
    await plane.drain()
