"""``python -m tests.faults.sync [--seed N] [--minutes M]``, or ``make faults``: ends with 0 if nothing was lost.

The seed is printed first; with the same seed the same faults come at the same times.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tests.faults.sync.plan import EVERY_S
from tests.integration.sync.taken_out import RULES

ROOT = Path(__file__).resolve().parents[3]
MANY = 300


def main() -> int:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("MINUTES", "15")))
    parser.add_argument("--every", type=float, default=EVERY_S, help="seconds between two faults, on average")
    parser.add_argument("--without", choices=sorted(RULES), default="", help="take a rule of the engine out, and see it fail")
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "faults.json", help="where the JSON is written")
    given = parser.parse_args()
    if given.minutes < 0.1:
        parser.error("less than six seconds show nothing; give --minutes 0.2 or more")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends it early leaves no process behind
    return faults(given)


def faults(given: argparse.Namespace) -> int:
    from tests.faults.sync.estate import Estate

    def tell(line: str) -> None:
        print(f"faults: {line}", flush=True)

    again = f"--seed {given.seed} --minutes {given.minutes:g} --every {given.every:g}"
    tell(f"seed {given.seed}, {given.minutes:g} min; again: make faults ARGS='{again}'")
    began = time.monotonic()
    with Estate(given.without) as estate:
        _become_django(estate)
        from tests.faults.sync.run import run

        holds, done = run(estate, given.seed, 60 * given.minutes, given.every, tell)
        seconds = time.monotonic() - began
        for name, count in sorted(done.faults.done.items()):
            tell(f"{count:4} × {name}")
        if estate.died:
            tell(f"ended by themselves and were started again: {dict(estate.died)}")
        tell(f"acknowledged by kind: {dict(done.kinds)}")
        total = sum(done.faults.done.values())
        if given.minutes >= 15 and total < MANY:
            holds = False
            tell(f"✗ only {total} faults, not {MANY}: this machine is too slow or too busy for this run")
        outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in done.outcomes.items())
        tell(f"{total} faults in {seconds:.0f} s, {done.verified} drift checks, transactions: {outcomes}")
        tell("nothing was lost" if holds else f"FAILED, seed {given.seed}")
        document = {
            "seed": given.seed,
            "holds": holds,
            "seconds": round(seconds, 1),
            "checks": [asdict(one) for one in done.checks],
            "faults": dict(done.faults.done),
            "not done": done.faults.failed,
            "died": dict(estate.died),
            "kinds": dict(done.kinds),
            "outcomes": dict(done.outcomes),
        }
        given.into.parent.mkdir(parents=True, exist_ok=True)
        given.into.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        if not holds:
            logs = given.into.with_suffix(".processes.log")
            logs.write_text(
                "\n".join(f"=== {child.name}\n" + "\n".join(child.last_lines(300)) for child in estate.children.values())
            )
            tell(f"what the processes said last: {logs}")
    return 0 if holds else 1


def _become_django(estate) -> None:
    """This process acts as writers, and judges: both databases by their own addresses."""
    own = {
        "DATABASE_URL": estate.urls["source"],
        "FAULTS_SOURCE": estate.urls["source"],
        "FAULTS_DESTINATION": estate.urls["destination"],
        "FAULTS_DATABASE": "source",
        "REDIS_URL": estate.urls["valkey"],
        "CELERY_BROKER_URL": estate.urls["valkey"],
    }
    os.environ.update(estate.environment() | own)
    from tests.faults.sync import application  # noqa: F401  (sets Django up)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
