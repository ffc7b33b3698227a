"""``seam``: one object behind a contract, whose code is here or on the other side (P17, P18)."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection
from typing import Any

from django.db import connections
from django.utils.module_loading import import_string

from strangler import conf
from strangler.analysis.usage import through
from strangler.seams.claims import PAUSE_S, Claim, claim, resolve, timeout_s
from strangler.seams.errors import Fenced, NotOwner, RemoteInsideTransaction
from strangler.sync import fence


def seam(context: str, *, local: str, remote: str, writes: Collection[str]) -> Any:
    """An implementation of ``context``'s contract for callers who need not know where its code runs.

    ``local`` and ``remote`` are dotted names of classes that take no arguments and implement the same Protocol; each is imported
    and made at its first use. Methods not named in ``writes`` are reads and always local: after a cut-over on the read copy.

    A write inside ``atomic`` claims the context first; if it is remote then, ``RemoteInsideTransaction``. A write outside is made
    where the owner is, and made again there if the owner changed meanwhile and nothing was executed; so it must be one
    transaction, or idempotent by a key. Raises ``Fenced`` when nobody owns the context for longer than the claim's time-out.
    """
    return _Seam(context, local, remote, frozenset(writes))


class _Seam:
    def __init__(self, context: str, local: str, remote: str, writes: frozenset[str]) -> None:
        self._context, self._names, self._writes = context, {Claim.LOCAL: local, Claim.REMOTE: remote}, writes
        self._made: dict[Claim, Any] = {}

    def __repr__(self) -> str:
        return f"seam({self._context!r})"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(self._side(Claim.LOCAL), name)
        if name not in self._writes:
            return method
        return functools.wraps(method)(functools.partial(self._enter, name))

    def _side(self, which: Claim) -> Any:
        if which not in self._made:
            self._made[which] = import_string(self._names[which])()
        return self._made[which]

    def _method(self, which: Claim, name: str) -> Callable[..., Any]:
        return getattr(self._side(which), name)  # type: ignore[no-any-return]

    def _enter(self, name: str, *args: Any, **kwargs: Any) -> Any:
        with through(self._context):
            return self._write(name, *args, **kwargs)

    def _write(self, name: str, *args: Any, **kwargs: Any) -> Any:
        if connections[conf.setting("DATABASE")].in_atomic_block:
            if claim(self._context) is Claim.REMOTE:
                raise RemoteInsideTransaction(self._context, name)
            return self._method(Claim.LOCAL, name)(*args, **kwargs)
        return self._write_alone(name, *args, **kwargs)

    def _write_alone(self, name: str, *args: Any, **kwargs: Any) -> Any:
        deadline = time.monotonic() + timeout_s()
        while True:
            which = resolve(self._context)
            try:
                with fence.translate():
                    return self._method(which, name)(*args, **kwargs)
            except (Fenced, NotOwner) as refused:
                if refused.context != self._context or time.monotonic() >= deadline:
                    raise
                time.sleep(PAUSE_S)  # not executed: the owner changed between looking and writing
