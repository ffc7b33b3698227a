"""The product's settings, in one place: ``STRANGLER = {...}`` in Django's settings, with the defaults below.

``ESTATE``    path of ``strangler.toml``
``SIDE``      which side this process is: ``monolith`` (default) or ``service``
``CONTEXT``   on a service: the context that it serves
``REDIS_URL`` where the route table, acknowledgements, markers and wake-ups travel
``TOKEN``     the shared secret from which service tokens are made
``DATABASE``  alias of the database whose tables move
``USAGE``     whether who uses which context is recorded (``strangler usage``); ``STRANGLER_USAGE=off`` in the environment is no
``LEDGER``    share of requests, tasks and commands, 0 to 1, whose joins, transactions, reads and writes across contexts are noted
              for ``strangler analyze``; ``STRANGLER_LEDGER=off`` in the environment is 0
``RATCHET``   path of the ratchet's file (``strangler ratchet``); with it ``manage.py check --deploy`` holds the code to it
``SAMPLING``  share of a core, on each side, for comparing rows all the time; 0: never
"""

from __future__ import annotations

import functools
import os
import tomllib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed

from strangler.domain.estate import Estate
from strangler.domain.estate_file import Problem, parse
from strangler.errors import Misconfigured

OFF = ("off", "0", "no", "false")
DEFAULTS: dict[str, Any] = {
    "ESTATE": "strangler.toml",
    "SIDE": "monolith",
    "CONTEXT": "",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "TOKEN": "",
    "DATABASE": "default",
    "RATCHET": "",
    "SAMPLING": 0.01,
    "LEDGER": 0.0 if os.environ.get("STRANGLER_LEDGER", "on").lower() in OFF else 0.25,
    "USAGE": os.environ.get("STRANGLER_USAGE", "on").lower() not in OFF,
}


def setting(name: str) -> Any:
    return getattr(settings, "STRANGLER", {}).get(name, DEFAULTS[name])


@functools.cache
def load() -> tuple[Estate, list[Problem]]:
    """The declared estate and its problems. A file that is absent or not TOML is a problem, not an exception."""
    path = Path(setting("ESTATE"))
    try:
        return parse(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        problem = Problem("strangler.E001", str(path), "does not exist", "Point STRANGLER['ESTATE'] at your strangler.toml.")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problem = Problem(
            "strangler.E001", str(path), f"is not TOML: {error}", "Mend that line; `manage.py check` tells when it is right."
        )
    return Estate(), [problem]


def is_begun() -> bool:
    """Whether there is an estate file, or should be. A project that has but installed the app has none, and no mistake."""
    return "ESTATE" in getattr(settings, "STRANGLER", {}) or Path(setting("ESTATE")).exists()


def estate() -> Estate:
    """The estate, for code that can't go on with a wrong file. Raises ``Misconfigured``."""
    declared, problems = load()
    if problems:
        raise Misconfigured(str(problems[0]))
    return declared


def service_secret() -> str:
    secret = setting("TOKEN") or os.environ.get(load()[0].service_token_env, "")
    if not secret:
        raise Misconfigured(f"no service token: set the environment variable {load()[0].service_token_env}")
    return str(secret)


def side() -> str:
    return str(setting("SIDE"))


def _forget(*, setting: str, **_: Any) -> None:
    if setting == "STRANGLER":
        load.cache_clear()


setting_changed.connect(_forget)
