from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.dispatch import Signal

from strangler.analysis.rehearsing import calls
from strangler.analysis.runtime.sites import Sites
from strangler.domain.coupling.atlas import Atlas
from strangler.seams import seam

ROOT = Path("/project")
ATLAS = Atlas(
    apps={"orders": "orders", "payments": "payments"},
    packages=frozenset({"orders", "payments"}),
    faces=frozenset({"payments.contract"}),
)


def code(module: str, source: str, **names: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"__name__": module, **names}
    exec(compile(source, str(ROOT / f"{module.replace('.', '/')}.py"), "exec"), found)
    return found


def look() -> tuple[str, str, bool] | None:
    found = calls.call("payments", Sites(ATLAS, ROOT), sys._getframe(1))
    return found and (found.caller.where, found.called.where, found.by_contract)


SAVE = code("payments.services", "def save(): return look()\ndef twice(): return save()", look=look)


def from_orders(called: Callable[[], Any], module: str = "orders.api") -> Any:
    return code(module, "def get(): return called()", called=called)["get"]()


def test_who_calls_past_the_contract_is_told_with_what_was_entered() -> None:
    assert from_orders(SAVE["twice"]) == ("orders/api.py:get", "payments/services.py:twice", False)


def test_the_contract_is_its_module_whatever_lies_behind() -> None:
    pay = code("payments.contract", "def pay(): return save()", save=SAVE["save"])["pay"]
    assert from_orders(pay) == ("orders/api.py:get", "payments/contract.py:pay", True)


def test_a_seam_that_reads_leaves_nothing_on_the_stack_and_is_known_by_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    local = code("payments.local", "class Local:\n  def count(self): return save()", save=SAVE["save"])["Local"]
    assert from_orders(local().count) == ("orders/api.py:get", "payments/local.py:Local.count", False)
    contract: Any = ModuleType("payments.contract")
    contract.payments = seam("payments", local="payments.local.Local", remote="", writes=())
    monkeypatch.setitem(sys.modules, "payments.contract", contract)
    assert from_orders(local().count) == ("orders/api.py:get", "payments/local.py:Local.count", True)


def test_a_receiver_is_not_called_but_a_call_that_sends_is_one() -> None:
    saved, receiver = Signal(), code("payments.receivers", "def hear(**_): return save()", save=SAVE["save"])["hear"]
    saved.connect(receiver)
    answers = from_orders(lambda: saved.send(None))
    assert [answer for _, answer in answers] == [None]
    pay = code("payments.contract", "def pay(): return saved.send(None)", saved=saved)["pay"]
    assert [answer for _, answer in from_orders(pay)] == [("orders/api.py:get", "payments/contract.py:pay", True)]


@pytest.mark.parametrize("module", ["orders.tests.test_api", "orders.factories", "payments.api", "elsewhere"])
def test_neither_tests_nor_the_context_itself_call_from_outside(module: str) -> None:
    assert from_orders(SAVE["save"], module) is None
