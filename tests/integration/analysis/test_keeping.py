"""The ledger in the database of production, and in the file of a run of tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from strangler.analysis import runtime
from strangler.analysis.runtime import documents, gathering, storing, watching
from strangler.analysis.runtime.crossings import Crossing
from strangler.analysis.runtime.gathering import Gathering, Weight
from strangler.analysis.runtime.models import Crossing as Row
from strangler.analysis.runtime.pytest_plugin import Recording
from strangler.analysis.usage import storing as usage_storing
from strangler.analysis.usage import units
from strangler.domain.coupling.atlas import Atlas
from strangler.domain.coupling.edges import Kind
from tests.integration.analysis.conftest import Recorder
from tests.integration.analysis.crossing import code, forget, unit

READS = "def reads():\n  list(Payment.objects.all())"


@pytest.fixture
def ledger(recorder: Recorder) -> Iterator[Recorder]:
    forget()
    yield recorder
    forget()


def test_flushes_add_up_to_edges(ledger: Recorder) -> None:
    read = code("orders", READS)
    for name in ("a", "b", "a"):
        with unit("task", name):
            read()
        ledger.flush()
    found = runtime.read()
    (edge,) = found.edges
    assert (edge.kind, edge.source, edge.target, edge.what) == (Kind.FOREIGN_READ, "orders", "payments", "payments_payment")
    assert edge.where == "monolith/orders/written.py:reads"
    (evidence,) = edge.evidence
    assert (evidence.count, evidence.by, evidence.line) == (3, ("task a", "task b"), 2)
    assert found.looked_at["statements"] == 3
    assert found.skipped == ()


def test_a_handful_of_those_who_ran_it_is_kept(ledger: Recorder) -> None:
    read = code("orders", READS)
    for number in range(2 * gathering.MOST_BY):
        with unit("task", str(number)):
            read()
        ledger.flush()
    (edge,) = runtime.read().edges
    assert len(edge.evidence[0].by) == gathering.MOST_BY
    assert edge.evidence[0].count == 2 * gathering.MOST_BY


def test_what_nobody_adds_to_any_more_expires(ledger: Recorder) -> None:
    with unit():
        code("orders", READS)()
    ledger.flush()
    with usage_storing._cursor() as cursor:
        cursor.execute("UPDATE strangler_crossing SET last_at = now() - interval '91 days' WHERE kind = 'foreign_read'")
        watching.gathered.store(cursor, prune=True)
    assert set(Row.objects.values_list("kind", flat=True)) == {storing.LOOKED_AT}


def test_a_unit_that_is_not_sampled_is_counted_and_nothing_more(ledger: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "share", 0.0)
    with unit():
        code("orders", READS)()
    ledger.flush()
    found = runtime.read()
    assert (found.edges, found.looked_at) == ((), {"unsampled": 1})


def test_code_that_only_tests_run_is_no_coupling(ledger: Recorder) -> None:
    names: dict[str, Any] = {"__name__": "monolith.orders.tests.test_x"}
    exec("from monolith.payments.models import Payment\ndef check():\n  Payment.objects.count()", names)
    with unit():
        names["check"]()
    ledger.flush()
    assert (runtime.read().edges, runtime.read().looked_at["by tests"]) == ((), 1)


def test_what_finds_no_room_is_counted_and_said(ledger: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "MOST", 1)
    with unit():
        code("orders", "def reads():\n  list(Payment.objects.all())\n  list(User.objects.all())")()
    ledger.flush()
    found = runtime.read()
    assert len(found.edges) == 1
    assert [(one.what, one.where) for one in found.skipped] == [("statements", "runtime (1)")]


def test_templates_beyond_a_few_are_counted_together(ledger: Recorder) -> None:
    source = "def reads():\n  for n in range(20):\n    connection.cursor().execute(f'SELECT id AS a{n} FROM payments_payment')"
    with unit():
        code("orders", source)()
    ledger.flush()
    (edge,) = runtime.read().edges
    assert len(edge.evidence) == gathering.MOST_TEXTS + 1
    assert sum(one.count for one in edge.evidence) == 20


def test_a_ledger_that_cannot_be_read_says_what_to_do(ledger: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storing, "READ", "SELECT * FROM before_its_migration")
    with transaction.atomic():
        (skipped,) = runtime.read().skipped
        transaction.set_rollback(True)
    assert "manage.py migrate strangler" in skipped.why


# ---- files -----------------------------------------------------------------------------------------------------------


def gathered(count: int, by: str) -> Gathering:
    found = Gathering(Atlas)
    key = Crossing("join", "orders", "users", "orders/api.py:get", "a + b", "", "orders/api.py", "SELECT …")
    found.crossings[key] = Weight(count, 7, {by})
    found.looked_at["statements"] = count
    return found


def test_files_of_several_runs_are_one_ledger(tmp_path: Path) -> None:
    for name, count in (("a", 2), ("b", 3)):
        documents.write(tmp_path / f"deep/{name}.json", gathered(count, f"test {name}"))
    found = runtime.read([tmp_path / "deep/a.json", tmp_path / "deep/b.json"], database=False)
    (edge,) = found.edges
    assert (edge.evidence[0].count, edge.evidence[0].by, found.looked_at) == (5, ("test a", "test b"), {"statements": 5})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}', "[" * 100_000, '{"format": "strangler-ledger/1"}'])
def test_a_file_that_is_no_ledger_is_skipped_with_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(text)
    (skipped,) = runtime.read(
        [
            path,
        ],
        database=False,
    ).skipped
    assert skipped.where == str(path)
    assert "pytest --strangler-ledger" in skipped.why


def test_a_file_that_is_not_there_is_skipped_too(tmp_path: Path) -> None:
    (skipped,) = runtime.read([tmp_path / "no.json"], database=False).skipped
    assert "is not there" in skipped.why


class Node:
    """A worker of xdist that has ended."""

    def __init__(self, name: str, output: dict[str, Any]) -> None:
        self.gateway, self.workeroutput = self, output
        self.id = name


class Config:
    rootpath = Path("/nowhere")

    def getoption(self, _: str) -> str:
        return "ledger.json"


def test_workers_hand_over_what_they_saw_and_one_that_died_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Gathering(Atlas)
    monkeypatch.setattr(watching, "gathered", whole)
    recording = Recording(Config())  # type: ignore[arg-type]
    for name in ("gw0", "gw1"):
        recording.pytest_testnodedown(Node(name, {"strangler_ledger": documents.document(gathered(2, name))}))
    recording.pytest_testnodedown(Node("gw2", {}))
    (weight,) = whole.crossings.values()
    assert (weight.count, weight.by, recording._silent) == (4, {"gw0", "gw1"}, ["gw2"])


PROJECT = {
    "settings.py": """
        SECRET_KEY, USE_TZ, DEFAULT_AUTO_FIELD = "x", True, "django.db.models.BigAutoField"
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        INSTALLED_APPS, ROOT_URLCONF, ALLOWED_HOSTS = ["strangler", "shop", "bank"], "urls", ["*"]
    """,
    "urls.py": """
        from django.urls import path
        from shop.views import pay
        urlpatterns = [path("pay/<int:pk>/", pay)]
    """,
    "bank/__init__.py": "",
    "bank/models.py": """
        from django.db import models
        class Account(models.Model):
            amount = models.IntegerField(default=0)
    """,
    "shop/__init__.py": "",
    "shop/models.py": """
        from django.db import models
        class Order(models.Model):
            account = models.ForeignKey("bank.Account", models.CASCADE)
            paid = models.BooleanField(default=False)
    """,
    "shop/views.py": """
        from django.db import transaction
        from django.http import HttpResponse
        from bank.models import Account
        from shop.models import Order
        def pay(request, pk):
            with transaction.atomic():
                order = Order.objects.select_related("account").get(pk=pk)
                Order.objects.filter(pk=pk).update(paid=True)
                Account.objects.filter(pk=order.account_id).update(amount=1)
            return HttpResponse()
    """,
    "shop/tests.py": """
        from django.test import TestCase
        from bank.models import Account
        from shop.models import Order
        class Paying(TestCase):
            def test_pays(self):
                order = Order.objects.create(account=Account.objects.create())
                assert self.client.get(f"/pay/{order.pk}/").status_code == 200
    """,
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    return tmp_path


def run(project: Path, *words: str, **given: str) -> str:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env = kept | {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(project), **given}
    done = subprocess.run([sys.executable, "-m", *words], cwd=project, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("how", ["pytest", "manage.py test"])
def test_a_project_with_nothing_but_an_installed_app(project: Path, how: str) -> None:
    """On SQLite, without our middleware, with no context declared."""
    path = project / ".strangler/ledger.json"
    if how == "pytest":
        (project / "pytest.ini").write_text("[pytest]\npython_files = tests.py\n")
        plugin = "strangler.analysis.runtime.pytest_plugin"
        is_known = any(one.value == plugin for one in entry_points(group="pytest11"))
        said = run(project, "pytest", "-q", "--strangler-ledger", *([] if is_known else ["-p", plugin]))
        assert str(path) in said
        name = "shop/tests.py::Paying::test_pays"
    else:
        run(project, "django", "test", STRANGLER_LEDGER=str(path))
        name = "shop.tests.Paying.test_pays"
    found = runtime.read([path], database=False)
    assert [(edge.kind.value, edge.source, edge.target, edge.where, edge.what) for edge in found.edges] == [
        ("foreign_read", "shop", "bank", "shop/views.py:pay", "bank_account"),
        ("foreign_write", "shop", "bank", "shop/views.py:pay", "bank_account"),
        ("join", "shop", "bank", "shop/views.py:pay", "bank_account + shop_order"),
        ("transaction", "shop", "bank", "shop/views.py:pay", "bank_account, shop_order"),
    ]
    assert {one for edge in found.edges for each in edge.evidence for one in each.by} == {
        "request GET /pay/<int:pk>/", f"test {name}",
    }  # fmt: skip
    assert json.loads(path.read_text())["format"] == documents.FORMAT
