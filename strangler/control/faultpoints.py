"""Places where the fault tests stop the engine. Without ``STRANGLER_FAULTPOINTS`` in the environment they cost nothing.

``STRANGLER_FAULTPOINTS`` names a directory. Where ``<step>.stop`` exists in it, the engine writes its process id into
``<step>.reached`` before it begins that step, and waits until ``<step>.stop`` is gone.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

VARIABLE = "STRANGLER_FAULTPOINTS"


def reach(step: str) -> None:
    directory = os.environ.get(VARIABLE)
    if not directory:
        return
    stop = Path(directory) / f"{step}.stop"
    if not stop.exists():
        return
    (Path(directory) / f"{step}.reached").write_text(str(os.getpid()))
    while stop.exists():
        time.sleep(0.01)
