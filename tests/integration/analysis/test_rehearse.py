"""``strangler rehearse`` on a project with tests of its own, in processes of their own, on SQLite."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from strangler.analysis.rehearsing import notes, suite
from strangler.analysis.rehearsing.order import Order
from strangler.domain.coupling.ledger import Ledger
from strangler.domain.coupling.reach import Reach
from strangler.domain.coupling.rehearsed import Rehearsal, rehearsal
from strangler.errors import Misuse

ROOT = Path(__file__).parents[3]
FILES = {
    "manage.py": """
        import os, sys
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
        if __name__ == "__main__":
            from django.core.management import execute_from_command_line
            execute_from_command_line(sys.argv)
    """,
    "pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = settings_of_tests\naddopts = -p pytest_django.plugin\n",
    "strangler.toml": "",
    "settings.py": """
        from pathlib import Path
        BASE_DIR = Path(__file__).resolve().parent
        SECRET_KEY, USE_TZ, DEFAULT_AUTO_FIELD = "x", True, "django.db.models.BigAutoField"
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "live.sqlite3"}}
        INSTALLED_APPS, ROOT_URLCONF, ALLOWED_HOSTS = ["strangler", "orders", "payments"], "urls", ["*"]
        STRANGLER = {"ESTATE": str(BASE_DIR / "strangler.toml")}
    """,
    "settings_of_tests.py": 'from settings import *\nOF_TESTS, MIGRATION_MODULES = True, {"strangler": None}\n',
    "urls.py": "urlpatterns = []\n",
    "orders/__init__.py": "",
    "orders/apps.py": """
        from django.apps import AppConfig
        from django.db.models.signals import post_migrate
        class Orders(AppConfig):
            name = "orders"
            def ready(self):
                post_migrate.connect(clean, sender=self)
        def clean(**_):
            from payments.models import Payment
            Payment.objects.update(amount=0)
    """,
    "orders/models.py": """
        from django.db import models
        class Order(models.Model):
            total = models.IntegerField(default=0)
    """,
    "orders/services.py": """
        from django.db import DatabaseError
        from orders.models import Order
        from payments import contract
        from payments.models import Payment

        def settle(order):
            Payment.objects.create(order=order, amount=order.total)

        def quietly(order):
            try:
                settle(order)
            except DatabaseError:
                pass

        def pay(order):
            return contract.pay(order.pk, order.total)

        def drop(order):
            order.delete()

        def settle_unpaid():
            Payment.objects.filter(order__total=0).update(amount=1)

        def paid(order):
            return Payment.objects.filter(order=order).count()
    """,
    "payments/__init__.py": "",
    "payments/models.py": """
        from django.db import models
        class Payment(models.Model):
            order = models.ForeignKey("orders.Order", models.CASCADE)
            amount = models.IntegerField(default=0)
    """,
    "payments/contract.py": """
        from payments.models import Payment
        def pay(order, amount):
            return Payment.objects.create(order_id=order, amount=amount).pk
    """,
}
DIRTY = """
    import pytest
    from orders import services
    from orders.models import Order
    from payments.models import Payment
    from django.conf import settings

    assert settings.OF_TESTS
    pytestmark = pytest.mark.django_db

    @pytest.fixture
    def order():
        return Order.objects.create(total=7)

    def test_settles(order):
        services.settle(order)

    def test_settles_twice(order):
        services.settle(order)
        services.settle(order)

    def test_swallows(order):
        services.quietly(order)

    def test_drops(order):
        Payment.objects.create(order=order)
        services.drop(order)

    def test_updates_over_a_join(order):
        services.settle_unpaid()

    def test_pays_by_the_contract(order):
        assert services.pay(order)
        assert services.paid(order) == 1

    def test_fails_anyway():
        assert False
"""
CLEAN = """
    from django.test import TestCase
    from orders import services
    from orders.models import Order
    from payments.models import Payment

    class Paying(TestCase):
        @classmethod
        def setUpTestData(cls):
            cls.order = Order.objects.create(total=7)
            Payment.objects.create(order=cls.order)

        def test_pays(self):
            services.pay(self.order)
            self.assertEqual(Payment.objects.count(), 2)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        put(tmp_path, name, text)
    return tmp_path


def put(project: Path, name: str, text: str) -> None:
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text(textwrap.dedent(text), encoding="utf-8")


def environment(project: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    paths = os.pathsep.join((str(project), str(ROOT)))
    return {**kept, "PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def strangler(project: Path, *words: str) -> tuple[int, str, str]:
    argv = [sys.executable, "-m", "strangler.management.cli", *words]
    done = subprocess.run(argv, cwd=project, env=environment(project), capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, done.stdout, done.stderr


def behind_the_fence(project: Path, *command: str, **how: Any) -> tuple[Rehearsal, str]:
    """The suite alone, as the command starts it."""
    into = project / "notes"
    into.mkdir(exist_ok=True)
    env = Order("payments", str(into), **how).environment(environment(project))
    argv = [sys.executable, *command]
    done = subprocess.run(argv, cwd=project, env=env, capture_output=True, text=True, timeout=100, check=False)
    found = rehearsal("payments", notes.read(into), reach=Reach(Ledger()), code=done.returncode)
    return found, done.stdout + done.stderr


def keys(found: Rehearsal) -> list[tuple[str, str, int]]:
    """(kind, name of the function, tests)"""
    return [(one.edge.kind.value, one.edge.where.rpartition(":")[2], len(one.tests)) for one in found.refusals]


def test_refusals_are_ranked_by_crossing_with_what_mends_them(project: Path) -> None:
    put(project, "tests/test_orders.py", DIRTY)
    words = ("rehearse", "payments", "--json", "--baseline", "--", sys.executable, "-m", "pytest", "-q")
    code, out, err = strangler(project, *words)
    found = json.loads(out)
    assert (code, found["tests"], found["clean"]) == (1, 7, False), err
    assert "1 failed, 6 passed" in err
    assert "5 failed, 2 passed" in err
    rows = [(one["edge"]["where"], one["edge"]["kind"], len(one["tests"]), one["seam"]) for one in found["crossings"]]
    assert rows == [
        ("orders/services.py:settle", "foreign_write", 3, True),
        ("orders/services.py:drop", "cascade", 1, False),
        ("orders/services.py:settle_unpaid", "foreign_write", 1, False),
    ]
    settle, _, unpaid = found["crossings"]
    assert (settle["edge"]["source"], settle["edge"]["target"], settle["edge"]["what"]) == (
        "orders",
        "payments",
        "payments_payment",
    )
    assert settle["passed"] == ["tests/test_orders.py::test_swallows"]
    assert "`from payments.contract import payments`" in settle["remedy"]
    assert (unpaid["joined"], unpaid["remedy"].startswith("First take orders_order out")) == (["orders_order"], True)
    assert found["failing_anyway"] == ["tests/test_orders.py::test_fails_anyway"]
    assert (found["failed_otherwise"], found["without_code"], found["tests_that_write_themselves"]) == ([], [], 1)
    assert [(one["where"], one["agreed"]) for one in found["calls"]] == [("orders/services.py:pay", True)]
    kept = json.loads((project / ".strangler/rehearsal-payments.json").read_text())
    assert (kept["clean"], kept["refused"], kept["failed_anyway"]) == (False, 5, 1)
    assert not (project / "live.sqlite3").exists()


def test_unreachable_tables_are_not_read_either_and_the_error_names_table_code_and_remedy(project: Path) -> None:
    put(project, "tests/test_orders.py", DIRTY)
    found, said = behind_the_fence(project, "-m", "pytest", "-q", "-k", "contract", unreachable=True)
    assert keys(found) == [("foreign_read", "paid", 1)]
    assert (
        "WouldBeFenced: payments_payment belongs to payments, and can't be read at orders/services.py:paid, line 26, of orders"
        in said
    )
    assert "strangler analyze payments" in said
    assert "fence.py" not in said.replace("rehearsing.fence.WouldBeFenced", ""), "its own frames are not shown"


@pytest.mark.parametrize("how", ["-m pytest -q", "manage.py test --settings=settings_of_tests"])
def test_a_suite_that_keeps_to_the_contract_is_clean(project: Path, how: str) -> None:
    put(project, "tests/test_paying.py", CLEAN)
    put(project, "tests/__init__.py", "")
    found, said = behind_the_fence(project, *how.split())
    assert (found.is_clean, found.tests, found.up, found.by_tests) == (True, 1, ("default",), 1), said


def test_what_unittest_runs_is_told_by_test(project: Path) -> None:
    put(project, "tests/test_paying.py", CLEAN.replace("services.pay(", "services.settle("))
    put(project, "tests/__init__.py", "")
    found, said = behind_the_fence(project, "manage.py", "test", "--settings=settings_of_tests")
    (one,) = found.refusals
    assert (one.tests, found.failed) == (("tests.test_paying.Paying.test_pays",), ("tests.test_paying.Paying.test_pays",)), said


def test_strictly_code_of_tests_is_code_of_its_own_context(project: Path) -> None:
    put(project, "orders/tests.py", CLEAN)
    put(project, "payments/tests.py", CLEAN)
    found, said = behind_the_fence(project, "-m", "pytest", "-q", "orders/tests.py", "payments/tests.py", strict_tests=True)
    assert keys(found) == [("foreign_write", "Paying.setUpTestData", 1)], said
    assert found.refusals[0].edge.where == "orders/tests.py:Paying.setUpTestData"


def test_a_database_that_is_no_test_database_is_never_fenced(project: Path) -> None:
    put(project, "tests/test_orders.py", DIRTY)
    put(project, "conftest.py", """
        import pytest
        @pytest.fixture(scope="session")
        def django_db_setup(django_db_blocker):
            from django.core.management import call_command
            with django_db_blocker.unblock():
                call_command("migrate", run_syncdb=True, verbosity=0)
    """)  # fmt: skip
    found, said = behind_the_fence(project, "-m", "pytest", "-q", "-k", "test_settles or drops")
    assert (found.refusals, found.up, len(found.not_tests)) == ((), (), 1)
    assert "live.sqlite3) is no test database" in said
    with pytest.raises(Misuse, match=r"live.sqlite3\) is no test database, and no other is ever fenced"):
        suite._check(found, 1)


def test_where_the_fence_was_never_up_that_is_no_clean_rehearsal() -> None:
    with pytest.raises(Misuse, match="never up"):
        suite._check(Rehearsal("payments", tests=7), 0)
    with pytest.raises(Misuse, match="no test ran"):
        suite._check(Rehearsal("payments", up=("default",)), 0)
    assert not Rehearsal("payments", tests=7).is_clean


def test_a_context_that_is_not_there_and_a_command_that_can_not_be_started_are_misuse(project: Path) -> None:
    code, _, err = strangler(project, "rehearse", "payment", "--", "true")
    assert (code, "there is no context 'payment'; there are orders, payments" in err) == (2, True)
    with pytest.raises(Misuse, match="no-such-command can not be started"):
        suite._run(Order("payments", str(project)), ["no-such-command"], True)
