"""The ``strangler`` command; ``manage.py strangler`` is the same one behind another door.

Ends with 0 when all is well, 1 when a check failed or the estate refused, 2 when the command or the configuration is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from strangler.management.answer import FAILED, MISUSE, Answer, Line, Whole

DESCRIPTION = "Take a Django monolith apart, one bounded context at a time, with a way back at every step."
EPILOG = (
    "Every verb ends with 0 when all is well, 1 when a check failed or the estate refused, 2 when the command or the"
    " configuration is wrong. The project is that of the manage.py here or above. example: strangler status"
)
SETTINGS = re.compile(r"""["']DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']""")


def build_parser(prog: str = "strangler") -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=DESCRIPTION, epilog=EPILOG)
    subparsers = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for module in _verbs():
        module.add(subparsers)
    return parser


def _verbs() -> Sequence[Any]:
    """Where the project's apps could not be loaded, the one that needs none of them."""
    from django.apps import apps

    from strangler.management.verbs import analyze

    if not apps.ready:
        return (analyze,)
    from strangler.management.verbs import look, move, override, parity, ramp, ratchet, receipts, rehearsal, rehearse, sync, uses

    return look, receipts, move, ramp, override, parity, rehearsal, sync, uses, analyze, ratchet, rehearse


def spelled_out(argv: Sequence[str]) -> list[str]:
    """``receipts [CONTEXT]`` is short for ``receipts list [CONTEXT]``."""
    words = list(argv)
    short = words[:1] == ["receipts"] and not {*words[1:2]} & {"list", "show", "verify", "export", "-h", "--help"}
    return [words[0], "list", *words[1:]] if short else words


def run(argv: Sequence[str], prog: str = "strangler") -> int:
    """One command in a process where Django is set up. Gives the exit code; never a traceback for what a user can mend."""
    try:
        options = build_parser(prog).parse_args(spelled_out(argv))
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    try:
        _on_the_right_side(options)
        from strangler.analysis import usage

        with usage.ours(), _events_to(os.environ.get("STRANGLER_LOG_LEVEL", "CRITICAL")):
            answer = options.run(options)
    except KeyboardInterrupt:
        return _say("stopped by hand", FAILED, options.json)
    except Exception as error:
        said = _plain(error)
        if said is None:
            raise
        return _say(said[0], said[1], options.json, error)
    try:
        _show(answer, options.json)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # who reads has seen enough, `| head` for one; the latter is how rich says it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return answer.code


@contextlib.contextmanager
def _events_to(level: str) -> Iterator[None]:
    """A person at a terminal reads progress and answer; the log's events only when asked for, by ``STRANGLER_LOG_LEVEL=INFO``."""
    log = logging.getLogger("strangler")
    before = log.level
    log.setLevel(level.upper())
    try:
        yield
    finally:
        log.setLevel(before)


def _on_the_right_side(options: argparse.Namespace) -> None:
    from strangler import conf
    from strangler.errors import Misuse

    if not options.anywhere and conf.side() != "monolith":
        service = conf.setting("CONTEXT") or "a"
        raise Misuse(
            f"these are the settings of the {service} service; the engine lives on the monolith: run it with its settings"
        )


def _plain(error: Exception) -> tuple[str, int] | None:
    """What a user can mend, in one sentence, with the exit code. None for a bug."""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import DatabaseError, OperationalError, ProgrammingError

    from strangler.errors import Misconfigured, Misuse, StranglerError

    if isinstance(error, StranglerError):
        return str(error), MISUSE if isinstance(error, Misuse | Misconfigured) else FAILED
    if isinstance(error, ImproperlyConfigured):
        return f"Django's settings are wrong: {error}", MISUSE
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, ProgrammingError) and 'relation "strangler_' in first:
        return f"the tables of strangler are missing ({first}); run: manage.py migrate", MISUSE
    if isinstance(error, OperationalError):
        return f"the database does not answer: {first}. Start it, then repeat the command", FAILED
    if isinstance(error, DatabaseError):
        return f"the database refused: {first}", FAILED
    return None


def _say(sentence: str, code: int, as_json: bool, error: Exception | None = None) -> int:
    if as_json:
        data: dict[str, Any] = {"error": sentence, "exit": code}
        verdicts = getattr(error, "verdicts", None)
        if verdicts:
            data["verdicts"] = [verdict.to_json() for verdict in verdicts]
        receipt = getattr(error, "receipt", None)
        if receipt is not None:
            from strangler.control import receipts

            data["receipt"] = receipts.to_json(receipt)
        print(json.dumps(data, indent=2, default=str))
    print(f"strangler: {sentence}", file=sys.stderr)
    return code


def _show(answer: Answer, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer.data, indent=2, default=str))
        return
    from strangler.management import screen

    console = screen.console()
    for part in answer.shown:
        if isinstance(part, Line):
            print(part)
        else:
            console.print(part, soft_wrap=isinstance(part, Whole))


def _find_settings() -> str | None:
    """What ``manage.py`` in this directory or one above names."""
    here = Path.cwd()
    for directory in (here, *here.parents):
        manage = directory / "manage.py"
        if manage.is_file():
            sys.path.insert(0, str(directory))
            found = SETTINGS.search(manage.read_text(encoding="utf-8", errors="replace"))
            return found[1] if found else None
    return None


def main(argv: Sequence[str] | None = None) -> int:
    """The console script: finds the project's settings, then does what ``manage.py strangler`` does. Help needs no project."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _in_project(words)
    except KeyboardInterrupt:  # while all is still being loaded
        return _say("stopped by hand", FAILED, "--json" in words)


def _in_project(words: list[str]) -> int:
    own = words[: words.index("--")] if "--" in words else words
    if not own or {"-h", "--help"} & set(own):
        return _help(words)
    if "DJANGO_SETTINGS_MODULE" not in os.environ:
        found = _find_settings()
        if found is None:
            print("strangler: no manage.py here or above; go to your project, or set DJANGO_SETTINGS_MODULE", file=sys.stderr)
            return MISUSE
        os.environ["DJANGO_SETTINGS_MODULE"] = found
    else:
        sys.path.insert(0, str(Path.cwd()))
    if words[:1] == ["analyze"]:  # what a project has that can not be loaded, it names
        from strangler.analysis import loading

        loading.setup()
        return run(words)
    gc.disable()  # what is made up to `gc.freeze` stays to the end: looking for garbage in it takes a third of a short command
    import django

    try:
        django.setup()
    except Exception as error:
        said = _plain(error)
        if said is None and not isinstance(error, ImportError):
            raise
        print(f"strangler: {said[0] if said else f'the settings can not be loaded: {error}'}", file=sys.stderr)
        return MISUSE
    gc.freeze()
    gc.enable()
    return run(words)


def _help(words: list[str]) -> int:
    """What there is, whether there is a project here or not."""
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(INSTALLED_APPS=["django.contrib.contenttypes", "strangler"])
        django.setup()
    return run(words) if words else run(["--help"]) or MISUSE


if __name__ == "__main__":
    sys.exit(main())
