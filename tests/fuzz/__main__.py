"""`make fuzz`: each target for ``SECONDS`` (60). What was found before is gone on from; what breaks a property ends the run.

Words: names of targets; none means all. What breaks a property stands in ``build/fuzz/found``, and is tried first the next time;
mend it and put it into ``tests/corpus``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks import peers
from tests.fuzz import seeds
from tests.fuzz.targets import TARGETS

PLACE = peers.ROOT / "build" / "fuzz"
LOCK = Path(__file__).with_name("requirements.lock")


def main(words: list[str]) -> int:
    unknown = [word for word in words if word not in TARGETS]
    if unknown:
        print(f"there is no target {unknown[0]!r}; there are {', '.join(TARGETS)}")
        return 2
    PLACE.mkdir(parents=True, exist_ok=True)
    peers.install(PLACE / "venv", LOCK)
    return max([_fuzz(name, int(os.environ.get("SECONDS", "60"))) for name in words or TARGETS])


def _fuzz(name: str, seconds: int) -> int:
    met, given, found = PLACE / "met" / name, PLACE / "seeds" / name, PLACE / "found"
    for directory in (met, given, found):
        directory.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds.of(name)):
        (given / f"{number:04}").write_bytes(seed)
    print(f"fuzz: {name}, {seconds} s", flush=True)
    for kept in found.glob(f"{name}-*"):
        (given / kept.name).write_bytes(kept.read_bytes())
    options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", "-verbosity=0", "-print_final_stats=1"]
    options.append(f"-artifact_prefix={found}/{name}-")
    command = [str(PLACE / "venv" / "bin" / "python"), "-m", "tests.fuzz.run", name, str(found), str(met), str(given), *options]
    paths = os.pathsep.join([str(peers.ROOT), str(peers.ROOT / "proxy")])
    code = subprocess.call(command, env={**os.environ, "PYTHONPATH": paths})
    print(f"fuzz: {name} {'broke a property' if code else 'found nothing'}", flush=True)
    return min(code, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
