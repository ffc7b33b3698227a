"""Each process is killed with -9 at each step of a cut-over and of a rollback; the estate ends with one owner and nothing lost.

The operator's command stops at a fault point (``STRANGLER_FAULTPOINTS``), the victim dies, the command goes on. `make test` runs
a selection in which every step and every victim occurs for both verbs; `make faults-handover` runs them all.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.local.supervisor import Estate
from tests.faults.writers import Writers
from tests.operator import Operator

pytestmark = [pytest.mark.estate, pytest.mark.timeout(240)]

STEPS = ("gates", "pause", "hold", "fence", "drain", "offer", "commit", "confirm", "flip", "reverse")
VICTIMS = ("worker", "payments", "proxy", "valkey", "operator")
CASES = [(verb, step, victim) for verb in ("advance", "rollback") for step in STEPS for victim in VICTIMS]
SHORT = [
    (verb, step, VICTIMS[(index + shift) % len(VICTIMS)])
    for shift, verb in enumerate(("advance", "rollback"))
    for index, step in enumerate(STEPS)
]
START: dict[str, tuple[str, int]] = {"advance": ("canary", 100), "rollback": ("live", 0)}
CHOSEN = CASES if os.environ.get("STRANGLER_LONG") else SHORT
ROWS = "SELECT id::text, order_id::text, state, amount::text FROM payments_payment ORDER BY id"
OWNER = "SELECT owner, epoch FROM strangler_ownership WHERE context = 'payments'"
OPEN = "SELECT step, error FROM strangler_operation WHERE finished_at IS NULL"


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Polls until ``condition`` is truthy; fails with what was last seen."""
    end = time.monotonic() + seconds
    seen: Any = None
    while time.monotonic() < end:
        try:
            seen = condition()
        except (psycopg.Error, OSError) as error:
            seen = error
        else:
            if seen:
                return seen
        time.sleep(0.05)
    pytest.fail(f"{what} did not happen within {seconds:g} s; last seen: {seen!r}")


@pytest.fixture(scope="module")
def operator(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with Operator(estate, {"STRANGLER_FAULTPOINTS": str(tmp_path_factory.mktemp("faultpoints"))}) as somebody:
        yield somebody


@pytest.fixture
def supervisor(estate: Estate) -> Iterator[threading.Thread]:
    """What runs beside every real estate: who ends because its broker died (Celery's worker does at times) is started again."""
    stopped = threading.Event()
    thread = threading.Thread(target=estate.supervise, args=(stopped,), daemon=True)
    yield thread
    stopped.set()
    if thread.is_alive():
        thread.join()


@pytest.mark.parametrize(("verb", "step", "victim"), CHOSEN)
def test_a_kill_at_any_step_leaves_one_owner_and_nothing_lost(
    operator: Operator, supervisor: threading.Thread, verb: str, step: str, victim: str
) -> None:
    estate, faults = operator.estate, Path(operator.env["STRANGLER_FAULTPOINTS"])
    operator.bring(*START[verb])
    stop, reached = faults / f"{step}.stop", faults / f"{step}.reached"
    reached.unlink(missing_ok=True)
    stop.touch()
    with Writers(estate.url) as writers:
        assert writers.wait_for(3, 30), f"no payment went through before the fault: {writers.refused[-3:]}"
        process = operator.begin(verb, "payments", "--why", f"{victim} dies at {step}")
        until(lambda: reached.exists() or process.poll() is not None, 60, f"step {step}")
        assert reached.exists(), f"the command ended before {step}: {process.communicate()[0]}"
        if victim == "operator":
            os.kill(process.pid, signal.SIGKILL)
        else:
            estate.kill(victim)
        stop.unlink()
        if victim != "operator":
            estate.restart(victim)
        supervisor.start()
        process.communicate(timeout=120)
        until(lambda: not operator.query("monolith", OPEN), 60, "the end of the operation")
        owners = until(lambda: one_owner(operator), 30, "one owner on both sides")
        assert writers.wait_for(3, 60), f"no payment went through after the fault ({owners}): {writers.refused[-3:]}"
    assert not writers.refused, writers.refused[:5]
    until(lambda: operator.query("monolith", ROWS) == operator.query("payments", ROWS), 30, "equality of both sides")
    rows = {row[0]: row for row in operator.query("monolith", ROWS)}
    found = {payment: rows[payment][1:3] for payment in writers.acknowledged if payment in rows}
    assert found == {payment: (order, "captured") for payment, order in writers.acknowledged.items()}
    paid = [row[1] for row in rows.values() if row[2] == "captured" and row[1] in set(writers.acknowledged.values())]
    assert len(paid) == len(set(paid)), "an order was paid twice"


def one_owner(operator: Operator) -> str | None:
    """The owner that both sides name, at one epoch; None while they differ or there is none."""
    monolith, service = operator.query("monolith", OWNER), operator.query("payments", OWNER)
    return f"{monolith}" if monolith == service and monolith[0][0] in ("monolith", "service") else None
