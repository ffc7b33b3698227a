"""One target under atheris; started by ``python -m tests.fuzz`` in the environment that has it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["strangler_proxy", "strangler.domain"]):
    from tests.fuzz.targets import TARGETS


def main(name: str, found: Path, options: list[str]) -> None:
    """What breaks a property is kept in ``found``: libFuzzer's own way of that does not see Python's exceptions."""
    target = TARGETS[name]

    def keeping(data: bytes) -> None:
        try:
            target(data)
        except BaseException:
            kept = found / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
            kept.write_bytes(data)
            print(f"\nfuzz: {kept} breaks a property of {name}: {data[:500]!r}", flush=True)
            raise

    atheris.Setup([sys.argv[0], *options], keeping)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
