"""The project's own tests, started with a fence in their environment, and what they noted."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from strangler.analysis import survey
from strangler.analysis.rehearsing import notes
from strangler.analysis.rehearsing.order import Order
from strangler.analysis.usage import reading
from strangler.domain.coupling.atlas import PLATFORM, PROJECT, Atlas
from strangler.domain.coupling.ledger import ContextFacts, Ledger
from strangler.domain.coupling.reach import Reach
from strangler.domain.coupling.rehearsed import Rehearsal, rehearsal
from strangler.errors import Misuse

SETTINGS = "DJANGO_SETTINGS_MODULE"
NAMED = re.compile(r"""["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']""")


class Ran(NamedTuple):
    """``code``: how the command ended behind the fence."""

    rehearsal: Rehearsal
    code: int


def rehearse(order: Order, command: Sequence[str], *, baseline: bool = False, apart: bool = False) -> Ran:
    """``order.into`` is set here. ``baseline``: the command runs without the fence first. ``apart``: its output goes to stderr.

    Raises ``Misuse`` for a context that is not there, a command that can't be started, and where the fence was never up.
    """
    atlas = survey.atlas()
    _known(atlas, order.context)
    if not reading.can_read():
        raise Misuse("SQL is read by sqlglot, which is not installed: pip install 'django-strangler[analysis]'")
    with tempfile.TemporaryDirectory(prefix="strangler-rehearse-") as directory:
        before = Path(directory, "before")
        behind = Path(directory, "behind")
        before.mkdir()
        behind.mkdir()
        if baseline:
            _run(replace(order, into=str(before), fences=False), command, apart)
        code = _run(replace(order, into=str(behind)), command, apart)
        found = rehearsal(
            order.context,
            notes.read(behind),
            before=list(notes.read(before)) if baseline else None,
            reach=Reach(_facts(atlas)),
            code=code,
        )
    _check(found, code)
    return Ran(found, code)


def _known(atlas: Atlas, context: str) -> None:
    movable = [name for name in atlas.contexts if name not in (PROJECT, PLATFORM)]
    if context not in movable:
        raise Misuse(f"there is no context {context!r}; there are {', '.join(movable) or 'none'}")
    if context not in atlas.tables.values():
        raise Misuse(f"{context} has no table, so there is nothing to fence")


def _facts(atlas: Atlas) -> Ledger:
    """Enough of it for the remedies to name contracts."""
    apps = {name: tuple(sorted(app for app, of in atlas.apps.items() if of == name)) for name in atlas.contexts}
    return Ledger({name: ContextFacts(name, name in atlas.declared, apps=apps[name]) for name in atlas.contexts})


def _run(order: Order, command: Sequence[str], apart: bool) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        done = subprocess.run(command, env=order.environment(_surroundings()), stdout=sys.stderr if apart else None, check=False)
    except OSError as error:
        raise Misuse(f"{command[0]} can not be started: {error.strerror}") from error
    return done.returncode


def _surroundings() -> dict[str, str]:
    """Without the settings that ``manage.py`` names by default: the tests may have their own, and a variable would win."""
    outer = dict(os.environ)
    here = Path.cwd()
    for directory in (here, *here.parents):
        manage = directory / "manage.py"
        if manage.is_file():
            found = NAMED.search(manage.read_text(encoding="utf-8", errors="replace"))
            if found and outer.get(SETTINGS) == found[1]:
                del outer[SETTINGS]
            break
    return outer


def _check(found: Rehearsal, code: int) -> None:
    if found.not_tests:
        raise Misuse(
            f"{', '.join(found.not_tests)} is no test database, and no other is ever fenced: "
            "let pytest-django or Django's test runner make one of its own"
        )
    if not found.up:
        raise Misuse(
            f"the fence was never up (the command ended with {code}): no test database was used, or 'strangler' is not in "
            "INSTALLED_APPS of the settings that the tests use (pytest: --ds=SETTINGS)"
        )
    if not found.tests:
        raise Misuse(f"no test ran (the command ended with {code}): give one of pytest's or Django's, such as -- pytest -q")
