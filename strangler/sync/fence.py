"""The fence: the database's own refusal of writes from a side that is not the owner (P15).

How it refuses, and which interleavings it stands, is in ``databases.postgresql.fence`` and ``databases.sqlite.fence``.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Any

from django.db.utils import Error

from strangler.errors import Fenced
from strangler.sync import ddl
from strangler.sync.collections import Collection
from strangler.sync.database import connection, port, sqlstate

SQLSTATE = "SF001"
MESSAGE = re.compile(r"strangler: (?P<context>\S+) is owned by (?P<owner>\w+) at epoch (?P<epoch>\d+)")
BARE_MESSAGE = re.compile(r"strangler: (?P<context>\S+) is owned by the other side")  # a database that can't say more


def statements(collection: Collection, context: str, side: str, using: str | None = None) -> list[str]:
    """The DDL that fences the collection's table on ``side``; what comes first, once, is from ``preamble``."""
    return port(using).fence_statements(collection, context, side)


def preamble(using: str | None = None) -> list[str]:
    return port(using).fence_preamble()


def install(collection: Collection, context: str, side: str, using: str | None = None) -> bool:
    """Fence the collection's table; True if something had to be done. Idempotent."""
    if is_installed(collection, context, side, using):
        return False
    if first := preamble(using):
        ddl.run(first, "making the fence", using=using)
    ddl.run(statements(collection, context, side, using), f"fencing {collection.table}", using=using)
    return True


def is_installed(collection: Collection, context: str, side: str, using: str | None = None) -> bool:
    return port(using).is_fenced(collection, context, side)


def uninstall(collection: Collection, using: str | None = None) -> None:
    port(using).unfence(collection)


def uninstall_all(using: str | None = None) -> None:
    """Also fences of tables that no longer stand in the estate."""
    port(using).unfence_all()


def unused(using: str | None = None) -> bool:
    """Whether no table is fenced any more."""
    return not port(using).is_any_fenced()


@contextlib.contextmanager
def translate() -> Iterator[None]:
    """Turns the database's refusal into ``errors.Fenced``, which names context, owner and epoch."""
    try:
        yield
    except Error as error:
        refused = fenced(error)
        if refused is None:
            raise
        raise refused from error


def fenced(error: BaseException) -> Fenced | None:
    """``Fenced`` if the error is the fence's refusal, else None."""
    if sqlstate(error) != SQLSTATE:
        return None
    said = MESSAGE.search(str(error))
    if said:
        return Fenced(said["context"], said["owner"], int(said["epoch"]))
    if said := BARE_MESSAGE.search(str(error)):
        return Fenced(said["context"], *_owner(said["context"]))
    cause: Any = getattr(error, "__cause__", None) or error
    with contextlib.suppress(AttributeError, TypeError, ValueError):
        detail = json.loads(cause.diag.message_detail)
        return Fenced(detail["context"], detail["owner"], int(detail["epoch"]))
    return Fenced("a context")


def _owner(context: str) -> tuple[str, int]:
    """Owner and epoch as they are now, looked up beside the refused transaction, which can't be asked any more."""
    beside = connection().copy()
    try:
        with beside.cursor() as cursor:
            cursor.execute("SELECT owner, epoch FROM strangler_ownership WHERE context = %s", [context])
            return cursor.fetchone() or ("", 0)
    except Error:
        return "", 0
    finally:
        beside.close()
