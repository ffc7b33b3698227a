"""Bad luck for the engine: a statement fails, a connection is cut, a process dies or is overtaken, the service is gone.

Every wrong comes at one place, named by a number, so that an example can be told, repeated and made smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import OperationalError, connection

from strangler.control import engine, faultpoints
from strangler.control.errors import Busy
from strangler.errors import StranglerError
from tests.integration.control.conftest import SmallEstate
from tests.integration.control.service import FakeService

STATEMENT = ("fails", "fails after", "cuts", "kills", "kills after")
REQUEST = ("is gone", "answers nobody")
STEP = ("kills", "overtakes", "meets another operator")


class Killed(BaseException):
    """kill -9, as far as a thread can be killed."""


@dataclass(frozen=True)
class Fate:
    """From the beginning of ``step`` on, ``what`` befalls the ``number``-th of ``where`` (statement, request to the service); the
    step itself where that is ``step``; all writes at the proxy where it is ``proxy``. Or nothing does.
    """

    step: str = ""
    where: str = ""
    what: str = ""
    number: int = 1


def expire() -> None:
    """The lease of whoever holds the operation is over; it need not know."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE strangler_operation SET holder_until = now() - interval '1 second' WHERE finished_at IS NULL")


@dataclass
class Luck:
    estate: SmallEstate
    fate: Fate = field(default_factory=Fate)
    met: bool = False
    _begun: bool = False
    _seen: int = 0

    def _is_due(self, where: str) -> bool:
        if not self._begun or self.fate.where != where or self.met:
            return False
        self._seen += 1
        self.met = self._seen == self.fate.number
        return self.met

    @contextmanager
    def befalls(self, fate: Fate, patch: Any) -> Iterator[None]:
        """For the length of one verb. ``patch`` is pytest's ``monkeypatch``."""
        self.fate, self.met, self._begun, self._seen = fate, False, False, 0
        with patch.context() as patched, connection.execute_wrapper(self._statement):
            patched.setattr(faultpoints, "reach", self._step)
            self.estate.service.before, self.estate.service.after = self._request("is gone"), self._request("answers nobody")
            try:
                yield
            finally:
                self.fate = Fate()
                self.estate.proxy.busy = False
                self.estate.service.before = self.estate.service.after = lambda *_: None
                connection.close()  # another process goes on from here, with connections of its own

    def _statement(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not self._is_due("statement"):
            return execute(sql, params, many, context)
        what = self.fate.what
        if what.endswith("after"):
            execute(sql, params, many, context)
        if what.startswith("kills"):
            raise Killed
        if what == "cuts":
            connection.connection.close()
        raise OperationalError("the database is away (bad luck)")

    def _request(self, what: str) -> Callable[[str, str], None]:
        def befall(method: str, path: str) -> None:
            if self.fate.what == what and self._is_due("request"):
                raise FakeService.Gone

        return befall

    def _step(self, step: str) -> None:
        self._begun |= step == self.fate.step
        if self._begun and self.fate.where == "proxy":
            self.estate.proxy.busy = True
        if not self._is_due("step"):
            return
        if self.fate.what == "kills":
            raise Killed
        if self.fate.what == "overtakes":
            expire()
            self._quietly(lambda: engine.resume(patience_s=0.2))
            return
        with pytest.raises(Busy, match="by ada"):
            engine.hold("payments", 0.01, who="bob")

    @staticmethod
    def _quietly(verb: Callable[[], object]) -> None:
        try:
            verb()
        except StranglerError:
            pass  # it is told what is wrong; what it left behind is looked at afterwards
