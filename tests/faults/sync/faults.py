"""What is done to the estate. Each fault has its victim in hand while it lasts, and leaves it running."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psutil
import psycopg
import requests
from django.db import connections
from django.db.utils import Error

from deploy.local.child import session
from deploy.local.errors import CannotStart
from strangler import conf
from strangler.domain.envelope import CONTENT_TYPE
from strangler.domain.tokens import issue
from strangler.errors import StranglerError
from strangler.sync import backfill, relay
from strangler.sync.client import ServiceClient
from strangler.sync.database import rows
from tests.faults.sync.estate import HOST, WORKERS, Estate
from tests.faults.sync.network import Weather
from tests.faults.sync.plan import Fault
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE

STREAMS = (CONTEXT, f"{CONTEXT}-copies")
WAYS = ("service", "service", "source", "destination", "valkey")  # the first one is where it matters most
DATABASES = {"source": SOURCE, "destination": DESTINATION}
BACKENDS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND usename = current_user ORDER BY pid"
)
One = TypeVar("One")


def one_of(several: Sequence[One], choice: float) -> One:
    return several[int(choice * len(several))]


class Faults:
    """Does the plan's faults at their times, several at once if they last. ``done``: kind → how often; ``failed``: why not."""

    def __init__(self, estate: Estate) -> None:
        self.estate, self.done, self.failed = estate, Counter[str](), list[str]()
        self.crashes = 0  # of the source, which may take back what was acknowledged lazily
        self._lock = threading.Lock()
        self._do: dict[str, Callable[[Fault], object]] = {
            "kill a process of the worker": lambda fault: self.kill_a_process("worker-a", fault),
            "kill the worker": lambda fault: self.kill(one_of(WORKERS, fault.choice), fault),
            "pause the worker": lambda fault: self.pause(one_of(WORKERS, fault.choice), fault, is_whole=True),
            "kill a process of the service": lambda fault: self.kill_a_process("service", fault),
            "kill the service": lambda fault: self.kill("service", fault),
            "pause the service": lambda fault: self.pause("service", fault, is_whole=fault.choice < 0.5),
            "kill the broker": lambda fault: self.kill("valkey", fault),
            "pause the broker": lambda fault: self.pause("valkey", fault, is_whole=True),
            "flush the broker": lambda fault: self.flush(),
            "kill the clock": lambda fault: self.kill("beat", fault),
            "end backends": self.end_backends,
            "kill a backend": self.kill_a_backend,
            "kill the source": lambda fault: self.kill("source", fault),
            "kill the destination": lambda fault: self.kill("destination", fault),
            "cut": lambda fault: self.estate.network.links[one_of(WAYS, fault.choice)].cut(),
            "hole": lambda fault: self.weather(Weather.HOLE, fault),
            "slow": lambda fault: self.weather(Weather.SLOW, fault),
            "refuse": lambda fault: self.weather(Weather.REFUSED, fault),
            "mute": lambda fault: self.weather(Weather.MUTE, fault),
            "repeat a batch": self.repeat_a_batch,
            "steal the lease": self.steal_the_lease,
            "backfill": self.backfill,
        }

    def run(self, plan: Sequence[Fault], stop: threading.Event) -> None:
        """Returns when all are done and over, or at ``stop`` when those are over that had begun."""
        began = time.monotonic()
        with ThreadPoolExecutor(5, thread_name_prefix="fault") as pool:
            for fault in plan:
                if stop.wait(max(0.0, began + fault.at - time.monotonic())):
                    break
                pool.submit(self._one, fault)

    def _one(self, fault: Fault) -> None:
        try:
            self._do[fault.kind](fault)
            with self._lock:
                self.done[fault.kind] += 1
        except (Error, psycopg.Error, StranglerError, OSError, psutil.Error, CannotStart) as error:
            with self._lock:  # what it needed was away by another fault
                self.failed.append(f"{fault.kind}: {type(error).__name__}: {error}")
        finally:
            with contextlib.suppress(Error):
                connections.close_all()

    # ---- processes ----------------------------------------------------------------------------------------------------

    def kill_a_process(self, name: str, fault: Fault) -> None:
        """One of those that its leader made, which makes another one."""
        with self.estate.in_hand(name):
            self._any_child(name, fault).kill()

    def _any_child(self, name: str, fault: Fault) -> psutil.Process:
        children = self.estate.processes(name)
        if not children:
            raise psutil.NoSuchProcess(self.estate.children[name].pid)
        return one_of(children, fault.choice)

    def kill(self, name: str, fault: Fault) -> None:
        """All of it; a database comes back at once, others when the fault is over."""
        with self.estate.in_hand(name):
            if name == "source":
                self.crashes += 1
            self.estate.kill(name)
            if name not in DATABASES:
                time.sleep(fault.seconds)
            self.estate.start(name)

    def pause(self, name: str, fault: Fault, *, is_whole: bool) -> None:
        with self.estate.in_hand(name):
            chosen = session(self.estate.children[name].pid) if is_whole else [self._any_child(name, fault)]
            with self.stopped(chosen):
                time.sleep(fault.seconds)

    @contextlib.contextmanager
    def stopped(self, processes: Sequence[psutil.Process]) -> Iterator[None]:
        try:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.suspend()
            yield
        finally:
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

    def flush(self) -> None:
        import redis

        with self.estate.in_hand("valkey"), contextlib.closing(redis.Redis.from_url(self.estate.urls["valkey"])) as client:
            try:
                client.flushall()
            except redis.RedisError as error:
                raise OSError(str(error)) from error

    # ---- databases ----------------------------------------------------------------------------------------------------

    def end_backends(self, fault: Fault) -> None:
        """A third of the sessions of one database: of the relay or service, and of writers too."""
        name = "source" if fault.choice < 0.5 else "destination"
        pids = [pid for (pid,) in rows(BACKENDS, using=DATABASES[name])]
        for pid in pids[int(fault.choice * 3) :: 3]:
            rows("SELECT pg_terminate_backend(%s)", [pid], DATABASES[name])

    def kill_a_backend(self, fault: Fault) -> None:
        """kill -9 for one session's process: the server ends all others and recovers."""
        name = "source" if fault.choice < 0.5 else "destination"
        with self.estate.in_hand(name):
            pids = [pid for (pid,) in rows(BACKENDS, using=DATABASES[name])]
            if not pids:
                raise psutil.NoSuchProcess(0)
            self.crashes += name == "source"
            os.kill(one_of(pids, fault.choice), signal.SIGKILL)

    # ---- network ------------------------------------------------------------------------------------------------------

    def weather(self, weather: Weather, fault: Fault) -> None:
        name = one_of(WAYS, fault.choice)
        link = self.estate.network.links[name]
        with self.estate.in_hand(f"way to {name}"):
            link.set(weather)
            time.sleep(fault.seconds)
            link.set(Weather.CLEAR)

    # ---- the relay ----------------------------------------------------------------------------------------------------

    def repeat_a_batch(self, fault: Fault) -> None:
        """One that went by before is sent once more, past the relay."""
        bodies = list(self.estate.network.links["service"].tape.bodies)
        if not bodies:
            return
        token = issue(conf.service_secret(), audience=CONTEXT, now=time.time())
        headers = {"Authorization": f"Bearer {token}", "Content-Type": CONTENT_TYPE}
        url = f"http://{HOST}:{self.estate.service_port}/_strangler/changes"
        requests.post(url, one_of(bodies, fault.choice), headers=headers, timeout=10)

    def steal_the_lease(self, fault: Fault) -> None:
        """The holder's lease is over, whatever it is at, and another one goes on."""
        stream = one_of(STREAMS, fault.choice)
        rows(
            "UPDATE strangler_stream SET lease_until = now() - interval '1 second', retry_at = NULL WHERE name = %s",
            [stream],
            SOURCE,
        )
        with contextlib.suppress(StranglerError):  # it may meet another fault on its way
            relay.run(stream, SOURCE, ServiceClient(CONTEXT), budget_s=fault.seconds)

    def backfill(self, fault: Fault) -> None:
        """From the beginning, whether or not one is under way."""
        backfill.start(one_of(STREAMS, fault.choice), using=SOURCE)
