"""One target under atheris; started by ``python -m tests.fuzz`` in the environment that has it."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["strangler_proxy", "strangler.domain"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()
