"""``python -m tests.soak [--seconds N]``, or ``MINUTES=N make soak``: ends with 0 if all that must hold does."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from tests.soak.soak import plan, soak

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60 * float(os.environ.get("MINUTES", "10")))
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "soak" / "soak.json", help="where the JSON is written")
    given = parser.parse_args()
    if given.seconds < 10:
        parser.error("a soak of less than 10 seconds shows nothing; give MINUTES=1 or --seconds 20")
    if not Path("/proc/self/status").exists():
        parser.error("memory is read from /proc, which this system does not have; run it on Linux")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends it early leaves no process behind
    holds = soak(plan(given.seconds), given.into, lambda line: print(f"soak: {line}", flush=True))
    print(f"soak: {'all checks hold' if holds else 'NOT all checks hold'}; {given.into}")
    return 0 if holds else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
