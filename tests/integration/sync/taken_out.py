"""Rules of the engine that a test takes out, to show that a model or a random run finds what they guard against.

``take_out("ids")`` changes this process alone. Each text that it replaces must be there, so that a rule that moved is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from unittest.mock import patch

from strangler.sync.databases.port import Statement

Change = tuple[ModuleType, str, str, str]


def _version() -> list[Change]:
    """P8: the destination applies whatever comes."""
    from strangler.sync.databases import postgresql

    return [(postgresql, "RAISE", "WHERE (a.epoch, a.token, a.round) < (EXCLUDED.epoch, EXCLUDED.token, EXCLUDED.round)", "")]


def _ids() -> list[Change]:
    """P6: an acknowledgement deletes all pointers up to the greatest that was read."""
    from strangler.sync.databases import postgresql

    greatest = "id <= (SELECT max(i) FROM unnest(%(ids)s::bigint[]) AS i) AND stream = %(stream)s"
    return [(postgresql, "ACKNOWLEDGE", "id {among:%(ids)s}", greatest)]


def _token() -> list[Change]:
    """P6: an acknowledgement deletes whoever holds the stream by now, and versions do not tell holders apart."""
    from strangler.sync import lease
    from strangler.sync.databases import postgresql

    return [
        (postgresql, "ACKNOWLEDGE", "lease_token = %(token)s", "%(token)s IS NOT NULL"),
        (lease, "RENEW", "lease_token = %s", "%s IS NOT NULL"),
        (lease, "TAKE", "lease_token = lease_token + 1", "lease_token = lease_token"),
    ]


def _flush() -> list[Change]:
    """P7: the renewal does not wait for the disk."""
    from strangler.sync import lease

    return [(lease, "RENEW", "{durably}", "{lazily}")]


RULES: dict[str, Callable[[], list[Change]]] = {"version": _version, "ids": _ids, "token": _token, "flush": _flush}


@contextmanager
def taken_out(rule: str) -> Iterator[None]:
    """Without the rule inside of the block."""
    with ExitStack() as stack:
        for module, name, text, instead in RULES[rule]():
            before = getattr(module, name)
            sql = before if isinstance(before, str) else before.text
            assert text in sql, f"{module.__name__}.{name} has no {text!r} any more"
            without = sql.replace(text, instead)
            stack.enter_context(patch.object(module, name, without if isinstance(before, str) else Statement(without)))
        yield
