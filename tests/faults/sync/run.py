"""One run: rounds of writers and faults, each ended by calm, a drain and a verdict."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from django.core.management import call_command
from django.db import connections
from django.db.utils import Error

from deploy.local.errors import CannotStart
from deploy.local.ports import HOST
from strangler.errors import StranglerError
from strangler.sync import collections, install
from strangler.sync.database import rows
from tests.faults.sync import audit, plan, verdict, workload
from tests.faults.sync.estate import Estate
from tests.faults.sync.faults import STREAMS, Faults
from tests.faults.sync.journal import Journal, Outcome
from tests.faults.sync.verdict import Check
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, build
from tests.integration.sync.servers import PARTITIONED

ROUND_S = 75.0
DRAIN_S = 120.0
TELL_S = 5.0
LAG = "SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(noted_at)), 0) FROM strangler_outbox"

Tell = Callable[[str], None]


@dataclass
class Run:
    """What was done and seen in all rounds."""

    estate: Estate
    seed: int
    every: float
    tell: Tell
    faults: Faults = field(init=False)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    verified: int = 0
    phantoms: list[str] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)  # of the last round

    def __post_init__(self) -> None:
        self.faults = Faults(self.estate)

    def set_up(self) -> None:
        """Both databases with their tables and triggers, the streams live, and the processes."""
        for alias in (SOURCE, DESTINATION):
            call_command("migrate", "strangler", database=alias, verbosity=0)
            build(alias, [PARTITIONED])
        install.install(CONTEXT, using=SOURCE)
        install.install_replica(CONTEXT, using=DESTINATION)
        audit.install()
        rows("UPDATE strangler_stream SET state = 'live' WHERE name = ANY(%s)", [list(STREAMS)], SOURCE)
        workload.prepare()
        self.estate.deploy()
        if not self.estate.wait_until(self._is_drained, 60):
            raise CannotStart(f"nothing is carried although nothing is wrong yet: {verdict.left()}")

    def round(self, number: int, seconds: float, ends: float) -> list[Check]:
        """Faults for so long, then calm. ``ends``: when the whole run is to end, for the progress line."""
        seed = f"{self.seed}.{number}"
        rows("DELETE FROM bank_code WHERE code NOT LIKE 'shared %%'", [], SOURCE)
        before, crashes, journal = verdict.counters(), self.faults.crashes, Journal()
        stop, calm = threading.Event(), threading.Event()
        writers = workload.writers(seed, journal, stop)
        schedule = plan.draw(seed, seconds, self.every)
        beside = [
            threading.Thread(target=self.faults.run, args=(schedule, stop), name="faults"),
            threading.Thread(target=self._verify, args=(stop,), name="verifier"),
            threading.Thread(target=self._progress, args=(journal, ends, calm), name="progress", daemon=True),
        ]
        for thread in (*writers, *beside):
            thread.start()
        try:
            beside[0].join()
        finally:
            stop.set()
            for thread in (*writers, *beside[:2]):
                thread.join(60)
            self.estate.network.clear()
        stuck = [thread.name for thread in (*writers, *beside[:2]) if thread.is_alive()]
        self.estate.wait_until(self._is_drained, DRAIN_S)
        calm.set()
        beside[2].join()
        connections.close_all()  # the servers may have been killed under them
        self.outcomes += journal.outcomes()
        self.kinds += journal.kinds
        checks = verdict.judge(journal, before, may_lose=self.faults.crashes > crashes)
        return [*checks, verdict.check("every thread came to its end", stuck)]

    def _is_drained(self) -> bool:
        try:
            return not any(verdict.left()[:2])
        except Error:
            connections[SOURCE].close()
            return False

    def _verify(self, stop: threading.Event) -> None:
        """A drift check after the other: a steady key that it reports is a false alarm, or a lost change."""
        turns = itertools.cycle((stream, name) for stream in STREAMS for name in collections.for_stream(stream, SOURCE))
        url = f"http://{HOST}:{self.estate.service_port}"
        while not stop.wait(0.2):
            try:
                self.phantoms += [str(found) for found in verdict.differing(*next(turns), url)]
                self.verified += 1
                if self.phantoms:
                    return stop.set()  # the round has failed
            except (StranglerError, Error):
                connections.close_all()  # one of the two ends is away
        connections.close_all()

    def _progress(self, journal: Journal, ends: float, calm: threading.Event) -> None:
        while not calm.wait(TELL_S):
            try:
                depth, lag = rows(LAG, using=SOURCE)[0]
                waits = f"{depth:,} pointers, the oldest {float(lag):.1f} s"
            except Error:
                connections[SOURCE].close()
                waits = "the source is away"
            done = self.outcomes + journal.outcomes()
            acknowledged = done[Outcome.ACKNOWLEDGED] + done[Outcome.LAZY]
            self.tell(
                f"{max(0.0, ends - time.monotonic()):4.0f} s to go: {sum(self.faults.done.values())} faults, "
                f"{acknowledged:,} transactions acknowledged, {done[Outcome.UNKNOWN]} unknown, "
                f"{done[Outcome.REFUSED]} refused; {waits}; {self.verified} drift checks"
            )
        connections.close_all()


def run(estate: Estate, seed: int, seconds: float, every: float, tell: Tell) -> tuple[bool, Run]:
    """Whether everything held; stops after the first round in which something did not."""
    this = Run(estate, seed, every, tell)
    this.set_up()
    began, number, holds = time.monotonic(), 0, True
    while holds and (left := began + seconds - time.monotonic()) > 0 and (not number or left > 10):
        number += 1
        tell(f"round {number}, seed {seed}.{number}")
        checks = this.round(number, min(ROUND_S, left), began + seconds)
        checks.append(verdict.check("no steady key was called drift meanwhile", this.phantoms, f"{this.verified} checks"))
        this.checks, holds = checks, all(one.holds for one in checks)
        for one in checks:
            if not holds or left <= ROUND_S + 10:
                tell(f"{'✓' if one.holds else '✗'} {one.name}: {one.seen}")
    return holds, this
