"""What a ramp says of each thing that it does, and how its states read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from strangler.control.ramp_view import RampSeen
from strangler.domain.estate import Ramp
from strangler.domain.gates import State as Of
from strangler.domain.gates import Verdict
from strangler.domain.ramp import Run, State, decide
from strangler.domain.schedule import Schedule

NOW = datetime(2026, 3, 6, 18, tzinfo=UTC).timestamp()  # a Friday
RAMP = Ramp()
HOURS = replace(RAMP, schedule=Schedule(days=frozenset(range(5)), hours=(9 * 60, 16 * 60), timezone="Europe/Vienna"))
RUN = Run(25, 100, good=(1, 5), good_since=NOW - 600, seen_at=NOW)
PASS = Verdict("lag", Of.PASS, "12 ms", "≤ 500 ms", "stream payments is 12 ms behind")
FAIL = Verdict("errors", Of.FAIL, "2.1 %", "≤ 0.4 %", "the service fails 2.1 % of 1,204 requests, the monolith 0.3 %")
UNKNOWN = Verdict("parity", Of.UNKNOWN, "188", "≥ 99.9 %", "needs 312 more samples; at this rate 4 min")
DEAF = Verdict("proxies", Of.FAIL, "1 of 2", "all have the newest table", "without the newest route table: web2:1 (1.7)")

MOMENTS: list[tuple[str, Run, Verdict, Ramp]] = [
    ("It waits for its interval.", replace(RUN, good_since=NOW - 250), PASS, RAMP),
    ("It takes a step.", RUN, PASS, RAMP),
    ("It waits for its hours.", RUN, PASS, HOURS),
    ("Something is not known yet.", RUN, UNKNOWN, RAMP),
    ("A proxy does not follow.", RUN, DEAF, RAMP),
    ("A gate fails.", RUN, FAIL, HOURS),
    ("A gate fails, and it is to freeze.", RUN, FAIL, replace(RAMP, on_fail="freeze")),
    ("A gate fails in shadow.", replace(RUN, at=0), FAIL, RAMP),
    ("It was taken back too often.", replace(RUN, backs=3), PASS, RAMP),
    ("It is held.", replace(RUN, state=State.HELD, why="held by bob: lunch"), PASS, RAMP),
    ("It is at its target.", replace(RUN, at=100), PASS, HOURS),
]
SEEN = RampSeen(
    "payments",
    "running",
    25,
    100,
    "ada",
    "",
    "every gate of canary 25 % has passed for 4 min of 10 min",
    0,
    "",
    None,
    None,
    "",
    None,
)
STATES = [
    replace(SEEN, next_step="canary 50 % at Fri 2026-03-06 18:06 UTC"),
    replace(SEEN, state="held", reason="held by bob: lunch"),
    replace(SEEN, state="frozen", reason=str(FAIL)),
    replace(SEEN, state="aside", reason="bob rolled payments back: too early"),
    replace(SEEN, state="aborted", reason="aborted by bob: enough"),
]


def lines() -> Iterator[str]:
    for when, run, verdict, ramp in MOMENTS:
        act = decide(run, (PASS, verdict), NOW, ramp)
        yield f"\n  {when} ({act.deed}, {act.to} %)"
        yield f"    {act.reason}"
    yield ""
    yield from (f"  {seen}" for seen in STATES)
