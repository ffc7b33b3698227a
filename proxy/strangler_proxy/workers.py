"""Worker processes on one shared listening socket: started, replaced when they die, drained together.

SO_REUSEPORT is not used: it does not balance on macOS, and a dead worker's queue would be lost with it.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import stat
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import redis
from redis.exceptions import RedisError

from strangler.domain.channels import PROXIES
from strangler_proxy import admission, worker
from strangler_proxy.access_log import event
from strangler_proxy.bucket_memory import BucketMemory
from strangler_proxy.settings import BadSettings, Endpoint, Settings
from strangler_proxy.tally import Tally
from strangler_proxy.worker import Place

_BACKLOG = 2048
_PATIENCE = 1.0
_QUICK_DEATH = 1.0


def bind(endpoint: Endpoint, what: str) -> socket.socket:
    """A listening socket. Raises ``BadSettings`` in one sentence; a port that is just being left is waited for, shortly."""
    if endpoint.path:
        return _bind_unix(endpoint.path, what)
    host, port = endpoint.host, endpoint.port
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
            listening.setblocking(False)
            return listening
        except OSError as error:
            if time.monotonic() < until and not isinstance(error, (socket.gaierror, PermissionError)):
                time.sleep(0.1)
                continue
            reason = str(error) if isinstance(error, socket.gaierror) or not error.errno else os.strerror(error.errno)
            raise BadSettings(
                f"cannot listen on {endpoint} for {what}: {reason}; stop what holds the port, or give another one"
            ) from error


def _bind_unix(path: str, what: str) -> socket.socket:
    """A socket file that nobody listens on any more is replaced."""
    listening = socket.socket(socket.AF_UNIX)
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode) and probe.connect_ex(path):
                os.unlink(path)
        listening.bind(path)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise BadSettings(
            f"cannot listen on unix:{path} for {what}: {reason}; remove what is there, or give another path"
        ) from error
    return listening


def identity(number: int) -> str:
    """``host:pid:number:random``; the pid is that of the process that calls."""
    return f"{socket.gethostname()}:{os.getpid()}:{number}:{secrets.token_hex(4)}"


def _name(pid: int, child: _Child) -> str:
    return f"{socket.gethostname()}:{pid}:{child.number}:{child.name_end}"


def serve(settings: Settings) -> None:
    """Runs the proxy until it is told to stop. One worker lives in this very process, several are its children."""
    admission.raise_limit()
    listening = bind(settings.listen, "users")
    operating = bind(settings.operator, "operators") if settings.operator else None
    where = settings.listen if settings.listen.path else Endpoint(*listening.getsockname()[:2])
    event("started", listen=where, workers=settings.workers, pid=os.getpid())
    if settings.workers == 1:
        worker.run(settings, Place(0, identity(0), listening, operating))
    else:
        with tempfile.TemporaryDirectory(prefix="strangler-proxy-") as sockets:
            _Parent(settings, listening, operating, Path(sockets)).run()


class _Child(NamedTuple):
    """``predecessors``: the names of those who died in its place and whose writes it counts on."""

    number: int
    name_end: str
    tally: Tally
    started: float
    predecessors: tuple[str, ...]


class _Parent:
    """Forks before it has threads or a loop; afterwards it only waits."""

    def __init__(self, settings: Settings, listening: socket.socket, operating: socket.socket | None, sockets: Path) -> None:
        self._settings, self._listening, self._operating, self._sockets = settings, listening, operating, sockets
        self._children: dict[int, _Child] = {}
        self._stopping = False
        self._buckets = BucketMemory(processes=settings.workers)
        self._ears, self._mouth = os.pipe()

    def run(self) -> None:
        for caught in (signal.SIGTERM, signal.SIGINT):
            signal.signal(caught, self._stop)
        for number in range(self._settings.workers):
            self._start(number)
        while self._children:
            try:
                pid, status = os.wait()
            except ChildProcessError:
                break
            self._ended(pid, status)
        self._buckets.close()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Each time it is told, it tells its children; told twice they end at once."""
        self._stopping = True
        for pid in list(self._children):
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                continue

    def _start(self, number: int, predecessors: tuple[str, ...] = (), inherited: tuple[str, ...] = ()) -> None:
        child = _Child(number, secrets.token_hex(4), Tally(*inherited), time.monotonic(), predecessors)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        pid = os.fork()
        if pid == 0:
            self._become_worker(child, inherited)
        self._children[pid] = child
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})

    def _become_worker(self, child: _Child, inherited: tuple[str, ...]) -> None:
        """Never returns: the child must not run on in its parent's code."""
        code = 1
        try:
            signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
            os.close(self._mouth)
            place = Place(
                child.number,
                _name(os.getpid(), child),
                self._listening,
                self._operating,
                self._sockets,
                self._ears,
                self._buckets,
                child.tally,
                child.predecessors,
                inherited,
            )
            worker.run(self._settings, place)
            code = 0
        except BaseException as error:
            event("worker.failed", number=child.number, reason=repr(error))
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _ended(self, pid: int, status: int) -> None:
        child = self._children.pop(pid, None)
        if child is None or self._stopping:
            return
        writing = child.tally.left()
        event("worker.died", number=child.number, pid=pid, exit=os.waitstatus_to_exitcode(status), writing=" ".join(writing))
        dead = (*child.predecessors, _name(pid, child))
        if not writing:
            self._strike_off(dead)
            dead = ()
        if time.monotonic() - child.started < _QUICK_DEATH:
            time.sleep(_QUICK_DEATH / 2)
        if not self._stopping:
            self._start(child.number, dead, writing)

    def _strike_off(self, names: tuple[str, ...]) -> None:
        """A dead worker acknowledges nothing any more; nobody should wait for one that had nothing under way."""
        if not self._settings.redis:
            return
        client = redis.Redis.from_url(self._settings.redis, socket_connect_timeout=0.5, socket_timeout=0.5)
        try:
            client.hdel(PROXIES, *names)
        except (RedisError, OSError) as error:
            event("worker.not_struck_off", workers=" ".join(names), reason=error)
        finally:
            client.close()
