"""``make faults-handover-model``: the hand-over's model, explored whole; and for each rule taken out the shortest story.

python -m tests.models.handover                          every world, then every rule
python -m tests.models.handover --small                  what `make test` explores
python -m tests.models.handover --without drain-marker   one rule, its story
"""

from __future__ import annotations

import argparse
import sys

from tests.models.handover.explore import explore
from tests.models.handover.state import RULES
from tests.models.handover.worlds import BITES, LARGE, SMALL, without


def main() -> int:
    """0: every world is sound, and each rule that was taken out was missed. 1: it is not so. 2: misuse."""
    parser = argparse.ArgumentParser(prog="make faults-handover-model", description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="the small worlds alone")
    parser.add_argument(
        "--without", metavar="RULE", action="append", choices=sorted(RULES), help="take a rule out; again for more"
    )
    parser.add_argument("--most", type=int, default=3_000_000, help="states of a world (default: %(default)s)")
    options = parser.parse_args()
    if options.without:
        return max(_without(rule) for rule in options.without)
    sound = [_sound(name, options.most) for name in (SMALL if options.small else {**SMALL, **LARGE})]
    missed = [_without(rule) for rule in BITES]
    return max(sound + missed)


def _sound(name: str, most: int) -> int:
    print(f"{name}: ", end="", flush=True)
    found = explore({**SMALL, **LARGE}[name], most)
    print(f"\n{found}" if found.wrong else found)
    return 1 if found.wrong or not found.complete else 0


def _without(rule: str) -> int:
    found = explore(without(rule))
    print(f"\nwithout {rule} ({RULES[rule]}):\n{found}")
    return 0 if found.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
