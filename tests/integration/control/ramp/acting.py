"""What the tests of a ramp do and see. Time goes on by moving what its row remembers into the past."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.utils import timezone

from strangler.control import publish, ramp, ramp_orders
from strangler.control.models import Migration, RampRun
from strangler.domain.gates import State as Of
from strangler.domain.gates import Verdict
from strangler.domain.ramp import Act
from strangler.management import cli
from strangler.sync.models import Backfill, Stream

WHO = {"who": "ada", "why": "a test"}
BOB = {"who": "bob", "why": "too early"}
UNKNOWN = Verdict("parity", Of.UNKNOWN, "188 samples", "≥ 500", "it needs 312 more samples")

WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


class Killed(BaseException):
    """kill -9, as far as a thread can be killed."""


def stage() -> str:
    row = Migration.objects.get(context="payments")
    return f"{row.stage} {row.percent}" if row.percent else row.stage


def row() -> RampRun:
    return RampRun.objects.get(context="payments")


def sql(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def passes_by(interval: str = "10 minutes") -> None:
    """As if the gates had been watched, and had passed, for so long before the last look."""
    sql(f"UPDATE strangler_ramp SET good_since = good_since - interval '{interval}'")


def sleeps_for(interval: str) -> None:
    """As if nobody had looked for so long. A negative one: the database's clock was put back."""
    sql(f"UPDATE strangler_ramp SET good_since = good_since - interval '{interval}', seen_at = seen_at - interval '{interval}'")


def look() -> Act:
    act = ramp.look("payments")
    assert act is not None
    return act


def step() -> Act:
    look()
    passes_by()
    return look()


def declare(settings, **keys: str) -> None:
    """Other lines for ``[contexts.payments.ramp]``."""
    from pathlib import Path

    from strangler import conf

    file = Path(settings.STRANGLER["ESTATE"])
    lines = ", ".join(f"{key} = {value}" for key, value in {"steps": "[10, 50, 100]", **keys}.items())
    old = next(line for line in file.read_text().splitlines() if line.startswith("ramp ="))
    file.write_text(file.read_text().replace(old, f"ramp = {{ {lines} }}"))
    conf.load.cache_clear()


def stand_in_shadow(settings) -> None:
    """As after the way there, of which other tests tell: all is copied, nothing waits, and both sides were equal just now."""
    declare(settings)
    now = timezone.now()
    for name, kind in (("payments", "mirror"), ("payments-copies", "copies")):
        Stream.objects.create(
            name=name, context="payments", kind=kind, state="live", marker=1, lag_ms=1, verified_drift=0, verified_at=now
        )
        Backfill.objects.create(stream=name, collection="all", state="done")
    Migration.objects.create(context="payments", stage="shadow", salt="pepper")
    publish.publish_current()


def ramp_to_10() -> None:
    ramp_orders.start("payments", **WHO)
    step()
    assert stage() == "canary 10"


def ask(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, dict]:
    capsys.readouterr()
    code = cli.run([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def say(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, str]:
    capsys.readouterr()
    code = cli.run(words)
    out, err = capsys.readouterr()
    return code, " ".join((out + err).split())
