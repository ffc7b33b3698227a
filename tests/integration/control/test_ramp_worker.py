"""The ramp with real Celery workers: one is killed in the middle of a step, the other goes on; so does a lost connection."""

from __future__ import annotations

from pathlib import Path

from django.db import connection

from strangler.control import engine, ramp_orders
from strangler.control.models import Operation, RampRun, Receipt
from tests.integration.control.conftest import SmallEstate
from tests.integration.control.worker import Workers, workers
from tests.integration.sync.estate import wait_for

# Connections of others to this database, as after a fail-over.
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def share() -> int:
    return RampRun.objects.get(context="payments").percent


def ticking(celery: Workers, until: int) -> bool:
    celery.tick()
    return share() >= until


def test_a_worker_that_is_killed_in_a_step_and_connections_that_break_hold_no_ramp_up(
    estate: SmallEstate, settings, tmp_path: Path
) -> None:
    file = Path(settings.STRANGLER["ESTATE"])
    file.write_text(file.read_text().replace("ramp = { steps = [10, 100] }", 'ramp = { steps = [10, 50, 100], interval = "1s" }'))
    stop, reached = tmp_path / "publish.stop", tmp_path / "publish.reached"
    with workers(tmp_path) as celery:
        celery.start(2)
        engine.advance("payments", to="shadow", who="ada", tries=1)
        stop.touch()
        ramp_orders.start("payments", who="ada")
        wait_for(lambda: ticking(celery, 1) or (reached.exists() and reached.read_text()), "a worker begins the first step", 60)
        celery.kill(int(reached.read_text()))
        stop.unlink()
        wait_for(lambda: ticking(celery, 10), "the other worker ends the step", 60)
        with connection.cursor() as cursor:
            cursor.execute(CUT)
        wait_for(lambda: ticking(celery, 100), "the ramp reaches its target", 60)
        wait_for(lambda: ticking(celery, 100) and RampRun.objects.get().state == "done", "the ramp ends", 60)
    assert Operation.objects.filter(finished_at=None).count() == 0
    receipts = Receipt.objects.filter(verb="advance", outcome="done", who="ramp (started by ada)").order_by("id")
    assert [receipt.to_percent for receipt in receipts] == [10, 50, 100], celery.logs()
    assert all(receipt.why.startswith("every gate of ") for receipt in receipts)
