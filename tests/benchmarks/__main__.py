"""``python -m tests.benchmarks [NAME [OPTIONS of that one]]``; with ``CHECK=1`` it ends with 1 if a target is missed."""

from __future__ import annotations

import importlib
import itertools
import os
import pkgutil
import signal
import subprocess
import sys
from pathlib import Path

import tests.benchmarks
from tests.benchmarks.figures import report

ROOT = Path(__file__).resolve().parents[2]


def names() -> list[str]:
    modules = [module.name for module in pkgutil.iter_modules(tests.benchmarks.__path__)]
    return sorted(name.removeprefix("bench_") for name in modules if name.startswith("bench_"))


def main(argv: list[str]) -> int:
    given = list(itertools.takewhile(lambda word: not word.startswith("-"), argv))
    options = argv[len(given) :]
    if options and len(given) != 1:
        print(f"{options[0]} is an option of one benchmark; name that one before it.", file=sys.stderr)
        return 2
    unknown = set(given) - set(names())
    if unknown:
        print(f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(names())}.", file=sys.stderr)
        return 2
    if len(given) != 1:  # each in a process of its own: two of them set up Django, each another project
        return max(subprocess.call([sys.executable, "-m", "tests.benchmarks", name], cwd=ROOT) for name in given or names())
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started ends with us
    module = importlib.import_module(f"tests.benchmarks.bench_{given[0]}")
    met = report(given[0], module.measure(options) if options else module.measure(), ROOT)
    return 0 if met or os.environ.get("CHECK") != "1" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
