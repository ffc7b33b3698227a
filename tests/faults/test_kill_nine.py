"""Each process is killed with -9 at each step of a cut-over and of a rollback; the estate ends with one owner and nothing lost.

The operator's command stops at a fault point (``STRANGLER_FAULTPOINTS``), the victim dies, the command goes on. `make test` runs a
selection in which every step and every victim occurs for both verbs; `make faults` runs them all.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.local.supervisor import Estate
from tests.faults.writers import Writers

pytestmark = [pytest.mark.estate, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("gates", "hold", "fence", "drain", "offer", "commit", "confirm", "flip", "reverse")
VICTIMS = ("worker", "payments", "proxy", "valkey", "operator")
CASES = [(verb, step, victim) for verb in ("advance", "rollback") for step in STEPS for victim in VICTIMS]
SHORT = [
    (verb, step, VICTIMS[(index + shift) % len(VICTIMS)])
    for shift, verb in enumerate(("advance", "rollback"))
    for index, step in enumerate(STEPS)
]
CHOSEN = CASES if os.environ.get("STRANGLER_LONG") else SHORT
ROWS = "SELECT id::text, order_id::text, state, amount::text FROM payments_payment ORDER BY id"
OWNER = "SELECT owner, epoch FROM strangler_ownership WHERE context = 'payments'"
OPEN = "SELECT step, error FROM strangler_operation WHERE finished_at IS NULL"
STAGE = "SELECT stage, percent FROM strangler_migration WHERE context = 'payments'"


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


class Operator:
    """Somebody at a terminal."""

    def __init__(self, estate: Estate, faults: Path) -> None:
        self.estate, self.faults = estate, faults

    def begin(self, *words: str) -> subprocess.Popen[str]:
        env = self.estate.env("monolith") | {"STRANGLER_FAULTPOINTS": str(self.faults)}
        argv = [sys.executable, "manage.py", "strangler", *words, "--json"]
        return subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def go(self, *words: str) -> str:
        process = self.begin(*words)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, f"strangler {' '.join(words)}: {said}"
        return said


@pytest.fixture(scope="module")
def operator(estate: Estate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    yield Operator(estate, tmp_path_factory.mktemp("faultpoints"))


def query(estate: Estate, unit: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(estate.database_url(unit), connect_timeout=3) as connection:
        return connection.execute(sql).fetchall()


def bring_to(operator: Operator, verb: str) -> None:
    """To where the verb starts: a canary of 100 %, or live."""
    wanted = {"advance": ("canary", 100), "rollback": ("live", 0)}[verb]
    at = query(operator.estate, "monolith", STAGE)
    if at == [wanted]:
        return
    if wanted[0] == "live":
        operator.go("advance", "payments", "--to", "live", "--why", "to the start of a test")
    elif at and at[0][0] == "live":
        operator.go("rollback", "payments", "--why", "to the start of a test")
    else:
        operator.go("advance", "payments", "--to", "canary", "--percent", "100", "--why", "to the start of a test")


@pytest.mark.parametrize(("verb", "step", "victim"), CHOSEN)
def test_a_kill_at_any_step_leaves_one_owner_and_nothing_lost(operator: Operator, verb: str, step: str, victim: str) -> None:
    estate = operator.estate
    bring_to(operator, verb)
    stop, reached = operator.faults / f"{step}.stop", operator.faults / f"{step}.reached"
    reached.unlink(missing_ok=True)
    stop.touch()
    with Writers(estate.url) as writers:
        assert writers.wait_for(3, 30), f"no payment went through before the fault: {writers.refused[-3:]}"
        process = operator.begin(verb, "payments", *(["--to", "live"] if verb == "advance" else []), "--why", f"{victim} dies at {step}")
        until(lambda: reached.exists() or process.poll() is not None, 60, f"step {step}")
        assert reached.exists(), f"the command ended before {step}: {process.communicate()[0]}"
        if victim == "operator":
            os.kill(process.pid, signal.SIGKILL)
        else:
            estate.kill(victim)
        stop.unlink()
        if victim != "operator":
            estate.restart(victim)
        process.communicate(timeout=120)
        until(lambda: not query(estate, "monolith", OPEN), 60, "the end of the operation")
        owners = until(lambda: one_owner(estate), 30, "one owner on both sides")
        assert writers.wait_for(3, 60), f"no payment went through after the fault ({owners}): {writers.refused[-3:]}"
    assert not writers.refused, writers.refused[:5]
    until(lambda: query(estate, "monolith", ROWS) == query(estate, "payments", ROWS), 30, "equality of both sides")
    rows = {row[0]: row for row in query(estate, "monolith", ROWS)}
    missing = {payment: order for payment, order in writers.acknowledged.items() if rows.get(payment, (0, 0, 0, 0))[1:3] != (order, "captured")}
    assert not missing
    paid = [row[1] for row in rows.values() if row[2] == "captured" and row[1] in set(writers.acknowledged.values())]
    assert len(paid) == len(set(paid)), "an order was paid twice"


def one_owner(estate: Estate) -> str | None:
    """The owner that both sides name, at one epoch; None while they differ or there is none."""
    monolith, service = query(estate, "monolith", OWNER), query(estate, "payments", OWNER)
    return f"{monolith}" if monolith == service and monolith[0][0] in ("monolith", "service") else None
