"""Django set up without those apps that can't be: they are named, and all else is looked at.

A registry that failed half-way can't be filled again, so each attempt is a process of its own: this one, started anew in place,
with the apps to leave out in its environment.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from strangler.analysis.survey.contexts import NEVER, App, entry_of
from strangler.domain.coupling.edges import Skipped

LEFT_OUT = "STRANGLER_ANALYSIS_LEFT_OUT"
ATTEMPTS = 12
SOURCE = "only its source was read"


class Left(NamedTuple):
    """``entry``: as INSTALLED_APPS has it."""

    entry: str
    why: str


_failed: list[Skipped] = []


def setup() -> bool:
    """In place of ``django.setup()``: whether the registry is filled. Raises nothing that the project's code raises.

    May not return, but start the command anew without an app. What the project prints meanwhile goes to stderr.
    """
    import django

    try:
        with contextlib.redirect_stdout(sys.stderr):
            _without([left.entry for left in _left()])
            django.setup()
    except (Exception, SystemExit) as error:  # some settings end the process when a variable is missing
        blamed = _blamed(error)
        if blamed and len(_left()) < ATTEMPTS:
            _start_again([*_left(), Left(blamed, _said(error))])
        _failed[:] = [
            Skipped("project", os.environ.get("DJANGO_SETTINGS_MODULE", ""), f"{_reason(error)}; only its source was read")
        ]
        return False
    return True


def skipped() -> list[Skipped]:
    """The apps that were left out; or that nothing could be loaded."""
    return [
        *(Skipped("app", left.entry, f"it can not be loaded: {left.why}; only its source was read") for left in _left()),
        *_failed,
    ]


def left_out() -> tuple[App, ...]:
    from strangler.analysis.survey import unloaded

    return tuple(unloaded.app(left.entry) for left in _left())


def _left() -> list[Left]:
    return [Left(*one) for one in json.loads(os.environ.get(LEFT_OUT, "[]"))]


def _without(entries: Sequence[str]) -> None:
    if entries:
        from django.conf import settings

        settings.INSTALLED_APPS = [entry for entry in settings.INSTALLED_APPS if entry not in entries]


def _start_again(left: list[Left]) -> None:
    os.environ[LEFT_OUT] = json.dumps(left)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _blamed(error: BaseException) -> str:
    """The entry of the app in whose code it went wrong: the innermost, for it may be loaded by another one's import."""
    from django.conf import settings

    if not settings.configured:
        return ""
    entries = {entry_of(entry)[0]: entry for entry in settings.INSTALLED_APPS if entry.partition(".")[0] not in NEVER}
    if isinstance(error, SyntaxError) and error.filename:  # of a file of which nothing ran
        told = [entry for name, entry in entries.items() if _holds(name, error.filename)]
        if told:
            return max(told, key=len)
    frames = list(_frames(error))
    for frame in reversed(frames):
        name = str(frame.f_globals.get("__name__", ""))
        while name and name not in entries:
            name = name.rpartition(".")[0]
        if name:
            return entries[name]
    return next((entry for frame in frames if (entry := _told(frame)) in entries.values()), "")


def _holds(name: str, file: str) -> bool:
    from strangler.analysis.survey import unloaded

    return Path(file).resolve().is_relative_to(unloaded.app(name).path)


def _told(frame: FrameType) -> Any:
    """Which entry Django was at, where no code of it was reached: an app that is not there, or is there twice."""
    if frame.f_globals.get("__name__") == "django.apps.registry" and frame.f_code.co_name == "populate":
        return None if frame.f_locals["self"].apps_ready else frame.f_locals.get("entry")
    return None


def _frames(error: BaseException) -> Iterator[FrameType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}".removesuffix(": ")


def _reason(error: BaseException) -> str:
    from django.conf import settings

    what = "the apps" if settings.configured else "the settings"
    if isinstance(error, RecursionError):
        return f"{what} can not be loaded: they load each other without end"
    return f"{what} can not be loaded: {_said(error)}"
