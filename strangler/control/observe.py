"""What the gates look at: streams, drift, service, proxies, keys and locks, as they are now. Judged in ``domain.gates``."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from django.db import connections
from django.utils import timezone

from strangler import conf
from strangler.analysis.rehearsing import record
from strangler.control import publish, uses
from strangler.control.drain import carry
from strangler.control.followers import ALIVE_S, Proxies
from strangler.control.handover import Known, Owning
from strangler.control.models import Receipt
from strangler.control.saga import DONE
from strangler.control.served import Served
from strangler.domain import gates, plan, traffic
from strangler.domain.estate import Context
from strangler.domain.gates import DriftSeen, ServedSeen, StreamSeen, Verdict
from strangler.domain.stages import Position, Side, Stage
from strangler.errors import StranglerError
from strangler.seams.receivers import crossing
from strangler.seams.tasks import astray
from strangler.sync import drift, lock, loose_keys, shape, stranded
from strangler.sync.client import ServiceClient
from strangler.sync.models import Backfill, Outbox, Quarantine, Stream

# The transactions that hold the context's advisory lock, and since when the oldest of them is open.
OLDEST_HOLDER = """
    SELECT extract(epoch FROM max(now() - a.xact_start)) * 1000
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_backend_pid() AND l.objsubid = 1
      AND l.classid = ((%s::bigint >> 32) & 4294967295)::oid AND l.objid = (%s::bigint & 4294967295)::oid
"""


HANDOVER_FRESH_S = 1.0  # what changed since is compared while writes are parked, so it should be little
TRY_AGAIN_FRESH_S = 30.0  # for a further try a moment later: what changed since is compared before writes are parked
LOOK_AGAIN_S = 3.0
ANEW = ("rollback", "break-glass", "parity reset")
PAUSE_S = 0.05


def stream(name: str) -> StreamSeen | None:
    """None where the stream was never made."""
    alias = conf.setting("DATABASE")
    row = Stream.objects.using(alias).filter(name=name).first()
    if row is None:
        return None
    waiting = Outbox.objects.using(alias).filter(stream=name)
    oldest = waiting.order_by("id").values_list("noted_at", flat=True).first()
    quarantined = Quarantine.objects.using(alias).filter(stream=name)
    backfills = list(Backfill.objects.using(alias).filter(stream=name).values_list("state", flat=True))
    return StreamSeen(
        name=name,
        live=row.state == Stream.State.LIVE,
        depth=waiting.count() if oldest else 0,
        lag_ms=row.lag_ms,
        oldest_ms=(timezone.now() - oldest).total_seconds() * 1000 if oldest else 0.0,
        quarantined=quarantined.count(),
        discarded=quarantined.exclude(discarded_at=None).count(),
        marker=row.marker,
        relayed=row.relayed,
        backfilled=all(state == "done" for state in backfills) if backfills else None,
        last_error=row.last_error or row.reason,
    )


def drift_of(name: str) -> DriftSeen:
    row = Stream.objects.using(conf.setting("DATABASE")).filter(name=name).first()
    if row is None or row.verified_drift is None or shape.is_pending(name):
        return DriftSeen(name, None, None)
    age = (timezone.now() - row.verified_at).total_seconds() if row.verified_at else None
    return DriftSeen(name, row.verified_drift, age if age is not None else 0.0)


def _is_closed(verdict: Verdict) -> bool:
    """Closed may open in a moment; unknown needs somebody to do something."""
    return verdict.state is gates.State.FAIL


@dataclass
class Observer:
    """Judges the gates of one context. ``verify``: a drift check that is absent or too old is made anew.

    ``only_looks``: nothing is written to judge. No stream is carried, no shape asked for, and no check remembered.
    """

    context: Context
    service: Owning
    monolith: Owning
    proxies: Proxies
    verify: bool = True
    only_looks: bool = False
    handover_fresh_s: float = HANDOVER_FRESH_S
    keep_copy: bool = False
    _seen: dict[str, StreamSeen | None] = field(default_factory=dict)

    def judge(self, at: Position, to: Position, only: Collection[str] | None = None) -> list[Verdict]:
        """The verdicts of every gate between two positions (or ``only`` of these), in the order in which they are declared."""
        self._seen.clear()
        limits, moves = self.context.gates, at.stage.owner is not to.stage.owner
        judges: dict[str, Callable[[], Verdict]] = {
            "health": lambda: self.health(gives_back=plan.kind(at, to) is plan.Kind.CUT_BACK),
            "backfill": self.backfill,
            "lag": lambda: self._steadily(self._main(at), self.lag),
            "copies": lambda: self._steadily(self.context.copies_stream, lambda _: self.copies()),
            "drift": lambda: self.drift(at, fresh_s=self.handover_fresh_s if moves else limits.max_drift_age_s),
            "quarantine": lambda: gates.quarantine(self._streams(at)),
            "stranded": lambda: self.stranded(to),
            "proxies": lambda: self._patiently(self.live_proxies, ALIVE_S + 1, meanwhile=_is_closed),
            "loose keys": self.loose_keys,
            "orphans": self.orphans,
            "receivers": self.receivers,
            "tasks": lambda: gates.tasks(astray(self.context)),
            "writers": lambda: uses.writers(self.context),
            "unused": lambda: uses.unused(self.context, keep_copy=self.keep_copy),
            "rehearsal": self.rehearsal,
            "transactions": lambda: self._patiently(self.transactions, LOOK_AGAIN_S),
            "ownership": lambda: self.ownership(at.stage.owner),
            "reverse mirror": lambda: self._steadily(self.context.reverse_stream, self.reverse_mirror),
            "parity": lambda: self.parity(over=at.percent == 100),
            "errors": lambda: self._shown("errors", self.errors),
            "latency": lambda: self._shown("latency", self.latency),
        }
        if not limits.rehearsal_days:
            del judges["rehearsal"]
        return [judges[name]() for name in plan.gates_of(at, to) if name in judges and (only is None or name in only)]

    def _steadily(self, name: str, look: Callable[[str], Verdict]) -> Verdict:
        """A stream that is behind for a moment is carried and looked at again; one that stays behind does not pass."""

        def carried(_: Verdict) -> bool:
            if not self._stream(name).live:
                return False
            if not self.only_looks:
                carry(name, Side.SERVICE if name == self.context.reverse_stream else Side.MONOLITH)
            self._seen.clear()
            return True

        return self._patiently(lambda: look(name), LOOK_AGAIN_S, meanwhile=carried)

    def _patiently(
        self, look: Callable[[], Verdict], seconds: float, meanwhile: Callable[[Verdict], bool] = lambda _: True
    ) -> Verdict:
        """Looks again for so long, as far as ``meanwhile`` sees a point in it after a verdict; only once for a mere look.

        A transaction that is long for a moment may end, and a proxy that was killed is soon no longer counted as alive.
        """
        deadline = time.monotonic() + (seconds if self.verify else 0.0)
        while not (verdict := look()).passes and time.monotonic() < deadline and meanwhile(verdict):
            time.sleep(PAUSE_S)
        return verdict

    def lag(self, name: str) -> Verdict:
        return gates.lag(self._stream(name), threshold_ms=self.context.gates.lag_p99_ms)

    # ---- live traffic ----------------------------------------------------------------------------------------------

    def _shown(self, name: str, look: Callable[[Served], Verdict]) -> Verdict:
        """What traffic showed since the last way back, or since the service was deployed anew: then everything is judged anew."""
        done = Receipt.objects.using(conf.setting("DATABASE")).filter(context=self.context.name, outcome=DONE)
        newest = done.filter(verb__in=ANEW).order_by("-id").values_list("at", flat=True).first()
        try:
            return look(Served(self.proxies.client, self.context.name, since=newest.timestamp() if newest else 0.0))
        except StranglerError as error:
            return Verdict(name, gates.State.UNKNOWN, "unknown", "live traffic", str(error))

    def parity(self, *, over: bool) -> Verdict:
        from strangler.control.parity.seen import observations

        limits = self.context.gates
        return traffic.parity(
            self.context.name,
            observations(self.context.name, window_s=limits.parity_window_s),
            threshold=limits.parity,
            least=limits.min_samples,
            share=self.context.shadow_share,
            window_s=limits.parity_window_s,
            over=over,
        )

    def errors(self, served: Served) -> Verdict:
        limits = self.context.gates
        service, monolith = self._both(served)
        allowed, least = limits.max_error_increase, limits.min_requests
        return traffic.errors(self.context.name, service, monolith, allowed=allowed, least=least)

    def latency(self, served: Served) -> Verdict:
        limits = self.context.gates
        service, monolith = self._both(served)
        ratio, slack_ms, least = limits.latency_ratio, limits.latency_slack_ms, limits.min_requests
        return traffic.latency(self.context.name, service, monolith, ratio=ratio, slack_ms=slack_ms, least=least)

    def _both(self, served: Served) -> tuple[ServedSeen, ServedSeen]:
        return served.both(self.context.gates.window_s, self.context.gates.min_requests)

    def reverse_mirror(self, name: str) -> Verdict:
        return gates.reverse_mirror(
            self.context.name, self._stream(name), drift_of(name), threshold_ms=self.context.gates.lag_p99_ms
        )

    # ---- streams --------------------------------------------------------------------------------------------------

    def _main(self, at: Position) -> str:
        """The stream that carries the context's own rows in this position."""
        return self.context.reverse_stream if at.stage.owner is Side.SERVICE else self.context.mirror_stream

    def _stream(self, name: str) -> StreamSeen:
        if name not in self._seen:
            self._seen[name] = stream(name)
        return self._seen[name] or StreamSeen(name, live=False)

    def _names(self, at: Position) -> list[str]:
        copies = [self.context.copies_stream] if self.context.read_copies and at.stage.owner is Side.MONOLITH else []
        return [self._main(at), *copies]

    def _streams(self, at: Position) -> list[StreamSeen]:
        return [self._stream(name) for name in self._names(at)]

    def backfill(self) -> Verdict:
        return gates.backfill([self._stream(name) for name in self._names(Position.of(Stage.MIRROR))])

    def copies(self) -> Verdict:
        seen = self._stream(self.context.copies_stream) if self.context.read_copies else None
        return gates.copies(seen, threshold_ms=self.context.gates.lag_p99_ms)

    def drift(self, at: Position, *, fresh_s: float) -> Verdict:
        """A check older than ``fresh_s`` is made again: a hand-over compares afterwards what changed since the last one."""
        limit = self.context.gates.max_drift_age_s
        seen = []
        for name in self._names(at):
            if self.verify and not self.only_looks:
                shape.look(name)
            known = drift_of(name)
            if self.verify and (known.differing != 0 or (known.age_s or 0.0) > min(fresh_s, limit / 2)):
                try:
                    report = drift.check(name, remember=not self.only_looks, carries=not self.only_looks)
                except StranglerError as error:
                    return Verdict("drift", gates.State.UNKNOWN, "no answer", f"0 rows, checked ≤ {limit:g} s ago", str(error))
                known = drift_of(name)
                if self.only_looks and not shape.is_pending(name):
                    known = DriftSeen(name, len(report.differing), 0.0)
            seen.append(known)
        return gates.drift(self.context.name, seen, max_age_s=limit)

    # ---- the rest -------------------------------------------------------------------------------------------------

    def health(self, *, gives_back: bool = False) -> Verdict:
        try:
            ServiceClient(self.context.name).ready()
        except StranglerError as error:
            return gates.health(False, str(error), gives_back=self.context.name if gives_back else "")
        return gates.health(True, "")

    def stranded(self, to: Position) -> Verdict:
        """A person has looked at all of it before the service may own again; before it is mirrored it need only be here."""
        name = self.context.name
        waiting = stranded.waiting(name) if to.stage.owner is Side.SERVICE else 0
        return gates.stranded(name, len(stranded.pending(name)), waiting)

    def live_proxies(self) -> Verdict:
        try:
            live = self.proxies.live()
        except StranglerError as error:
            return Verdict("proxies", gates.State.UNKNOWN, "unknown", "all have the newest table", str(error))
        return gates.proxies([proxy.id for proxy in live], publish.behind(live))

    def loose_keys(self) -> Verdict:
        return gates.loose_keys(loose_keys.tight(self.context.name), loose_keys.orphans(self.context.name))

    def orphans(self) -> Verdict:
        return gates.loose_keys([], loose_keys.orphans(self.context.name))

    def rehearsal(self) -> Verdict:
        return gates.rehearsal(self.context.name, record.last(self.context.name), days=self.context.gates.rehearsal_days)

    def receivers(self) -> Verdict:
        declared = self.context.receivers
        found = crossing(self.context.name)
        kept = {"monolith": False, "service": True}  # what stays behind, or comes along, although the signal is sent elsewhere
        unheard = [one for one in found if kept.get(declared.get(one.path, "")) is one.inbound and not one.replays]
        return gates.receivers(
            sorted({one.path for one in found} - set(declared)),
            sorted({f"{one.path} ({one.signal})" for one in unheard}),
            sorted(set(declared) - {one.path for one in found}),
        )

    def transactions(self) -> Verdict:
        key = lock.lock_key(self.context.name)
        with connections[conf.setting("DATABASE")].cursor() as cursor:
            cursor.execute(OLDEST_HOLDER, [key, key])
            (oldest,) = cursor.fetchone()
        return gates.transactions(None if oldest is None else float(oldest), threshold_ms=self.context.gates.max_pause_ms)

    def ownership(self, expected: Side) -> Verdict:
        monolith = self.monolith.read()
        service: Known | None
        try:
            service = self.service.read()
        except StranglerError:
            service = None
        said = None if service is None else (service.epoch, service.owner)
        return gates.ownership((monolith.epoch, monolith.owner), said, expected=str(expected))
