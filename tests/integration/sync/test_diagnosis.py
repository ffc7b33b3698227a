"""Why a stream waits: the first cause and the next command; and how that looks on a terminal."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from strangler.management import streams as looks
from strangler.sync.backfill import Total
from strangler.sync.diagnosis import Around, Severity, Unasked, judge, place
from strangler.sync.status import StreamStatus

LIVE = StreamStatus("payments", "payments", "mirror", "live", 0, None, 81.0, 417.0, 82.5, 7, 9, "", 0, round_ago_s=0.4)
LATE = replace(LIVE, depth=1240, oldest_s=61.0, round_ago_s=60.0)
NO_WORKER = "no Celery worker consumes the queue strangler"


class Answers(Around):
    """What is around, as a test wants it."""

    def __init__(self, dead: str = "", **said: str) -> None:
        self.__dict__.update({"redis": "", "broker": "", "worker": "", **said})
        self.dead = dead

    def service(self, context: str) -> str:
        return self.dead


def test_a_stream_that_is_well_asks_nobody():
    class Nobody(Around):
        def __getattribute__(self, name: str) -> object:
            raise AssertionError(f"it asked for {name}")

    assert judge(LIVE, Nobody()).severity is Severity.GOOD


@pytest.mark.parametrize(
    ("around", "why", "following"),
    [
        ({"worker": NO_WORKER}, "so nobody carries it (no round for 60 s)", "worker -B -Q strangler"),
        ({"broker": "the broker at redis://h:1 does not answer"}, "so no worker hears of it", "start the broker"),
        ({}, "the periodic task strangler.tick does not reach them", " beat"),
    ],
)
def test_it_says_which_part_is_missing(around: dict[str, str], why: str, following: str):
    found = judge(LATE, Answers(**around))
    assert (found.severity, found.word) == (Severity.BAD, "stuck")
    assert why in found.why
    assert following in found.next


def test_a_live_stream_without_a_round_is_stuck_although_nothing_waits():
    assert judge(replace(LIVE, round_ago_s=60.0), Answers(worker=NO_WORKER)).word == "stuck"
    assert judge(replace(LIVE, round_ago_s=5.0), Answers(worker=NO_WORKER)).word == "live"


def test_it_says_that_the_lease_is_held_by_a_dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    held = replace(LATE, lease_holder=f"{socket.gethostname()}:{process.pid}:1", lease_left_s=5.0)
    found = judge(held, Answers(worker=NO_WORKER))
    assert f"its lease is held by process {process.pid} on {socket.gethostname()}, which has ended" in found.why
    assert "takes over in 5 s at the latest" in found.why
    assert NO_WORKER in found.why


def test_it_says_that_a_living_holder_makes_no_round():
    held = replace(LATE, lease_holder=f"{socket.gethostname()}:{os.getpid()}:1", lease_left_s=5.0)
    assert f"process {os.getpid()} on {socket.gethostname()} holds it and has made no round" in judge(held, Answers()).why


def test_a_failing_stream_names_the_service_that_is_away():
    failing = replace(LIVE, failures=3, last_error="the payments service answered 503")
    found = judge(failing, Answers(dead="the payments service at http://h:1 does not answer"))
    assert found.why.startswith("the payments service at http://h:1 does not answer; 3 rounds failed")
    assert found.next == "start the payments service"
    assert judge(failing, Answers()).why.startswith("the payments service answered 503; 3 rounds failed")


@pytest.mark.parametrize(
    ("seen", "word", "why"),
    [
        (replace(LIVE, state="broken", reason="given up"), "BROKEN", "given up"),
        (replace(LIVE, state="off", depth=3), "off", "3 changes wait that nobody carries"),
        (replace(LIVE, state="off"), "off", ""),
        (replace(LIVE, quarantine=2), "held", "2 rows could not be applied"),
        (
            replace(LIVE, reason="backfill waits: live lag 1,240 ms > 500 ms", backfilled=Total("running", 2, 1, 5, 9, 1, 4)),
            "waits",
            "1,240",
        ),
        (
            replace(LIVE, backfilled=Total("running", 2, 1, 500, 900, 100, 4)),
            "copying",
            "500 rows sent at 100/s, about 4 s left",
        ),
        (replace(LIVE, backfilled=Total("cancelled", 2, 1, 5, 9, 1, None)), "partial", "rows may be missing"),
        (replace(LIVE, verified_drift=4), "differs", "4 rows differed"),
        (replace(LIVE, sampled_drift=2), "differs", "2 rows were found to differ by the verifier"),
        (replace(LIVE, depth=1, oldest_s=1.24), "behind", "1,240 ms behind, more than the 500 ms"),
        (replace(LIVE, budget=0.83), "filling", "at 83% of its budget"),
    ],
)
def test_each_state_has_its_word_and_its_reason(seen: StreamStatus, word: str, why: str):
    found = judge(seen, Answers())
    assert found.word == word
    assert why in found.why


def test_unasked_it_claims_nothing_that_nobody_has_looked_at():
    found = judge(LATE, Unasked())
    assert (found.why, found.next) == ("no round for 60 s", "strangler sync status")


def test_secrets_of_a_url_are_not_shown():
    assert place("amqp://user:secret@mq:5672/shop") == "amqp://mq:5672/shop"
    assert place("redis://mq:1/0") == "redis://mq:1/0"


def told(listed: list[StreamStatus], width: int) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, no_color=True)
    for part in looks.table(listed):
        console.print(part, soft_wrap=isinstance(part, str))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_table_is_whole_at_any_width(width: int):
    """Where it does not fit, columns that matter least go first; no cell is cut, and every sentence is there."""
    broken = replace(
        LIVE,
        state="broken",
        reason="given up, so that the monolith goes on: more than 1,000,000 changes waited; and so on to the end",
    )
    listed = [
        replace(one, finding=judge(one, Answers(worker=NO_WORKER))) for one in (broken, replace(LATE, name="payments-copies"))
    ]
    lines = told(listed, width)
    text = " ".join(" ".join(lines).split())
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("✗ BROKEN: payments.")
    assert "more than 1,000,000 changes waited; and so on to the end" in text
    assert "…" not in text
    assert "next: strangler sync backfill payments" in text
    assert "payments-copies" in text
    assert "1,240" in text
