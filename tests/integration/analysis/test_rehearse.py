"""``strangler rehearse`` and ``strangler ratchet`` on a project with tests of its own, in processes of their own, on SQLite."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
FILES = {
    "manage.py": """
        import os, sys
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
        if __name__ == "__main__":
            from django.core.management import execute_from_command_line
            execute_from_command_line(sys.argv)
    """,
    "pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = settings_of_tests\naddopts = -p no:cacheprovider\n",
    "settings.py": """
        from pathlib import Path
        BASE_DIR = Path(__file__).resolve().parent
        SECRET_KEY, USE_TZ, DEFAULT_AUTO_FIELD = "x", True, "django.db.models.BigAutoField"
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "live.sqlite3"}}
        INSTALLED_APPS, ROOT_URLCONF, ALLOWED_HOSTS = ["strangler", "orders", "payments"], "urls", ["*"]
        STRANGLER = {"ESTATE": str(BASE_DIR / "strangler.toml")}
    """,
    "settings_of_tests.py": "from settings import *\n",
    "urls.py": "urlpatterns = []\n",
    "orders/__init__.py": "",
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
SETTLE = ["foreign_write", "orders", "payments", "orders/services.py:settle", "payments_payment"]
CASCADE = ["cascade", "orders", "payments", "orders/services.py:drop", "payments_payment"]
UPDATE = ["foreign_write", "orders", "payments", "orders/services.py:settle_unpaid", "payments_payment"]
PAID = ["foreign_read", "orders", "payments", "orders/services.py:paid", "payments_payment"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        put(tmp_path, name, text)
    return tmp_path


def put(project: Path, name: str, text: str) -> None:
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text(textwrap.dedent(text), encoding="utf-8")


def strangler(project: Path, *words: str, **given: str) -> tuple[int, str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env = {**kept, "PYTHONPATH": os.pathsep.join((str(project), str(ROOT))), "PYTHONDONTWRITEBYTECODE": "1", **given}
    argv = [sys.executable, "-m", "strangler.management.cli", *words]
    done = subprocess.run(argv, cwd=project, env=env, capture_output=True, text=True, timeout=100, check=False)
    return done.returncode, done.stdout, done.stderr


def rehearse(project: Path, *words: str) -> tuple[int, dict[str, Any]]:
    code, out, err = strangler(project, "rehearse", "payments", "--json", *words)
    assert out.startswith("{"), out + err
    return code, json.loads(out)


def of(found: dict[str, Any], key: list[str]) -> dict[str, Any]:
    names = ("kind", "source", "target", "where", "what")
    (one,) = [one for one in found["crossings"] if [one["edge"][name] for name in names] == key]
    return dict(one)


def test_refusals_are_ranked_by_crossing_with_what_mends_them(project: Path) -> None:
    put(project, "tests/test_orders.py", DIRTY)
    code, found = rehearse(project, "--baseline", "--", sys.executable, "-m", "pytest", "-q")
    assert (code, found["tests"], found["clean"]) == (1, 7, False)
    tests = [(one["edge"]["where"].partition(":")[2], len(one["tests"])) for one in found["crossings"]]
    assert tests == [("settle", 3), ("drop", 1), ("settle_unpaid", 1)]
    assert of(found, SETTLE)["seam"]
    assert of(found, SETTLE)["passed"] == ["tests/test_orders.py::test_swallows"]
    assert "payments.contract" in of(found, SETTLE)["remedy"]
    assert not of(found, CASCADE)["seam"]
    assert (of(found, UPDATE)["seam"], of(found, UPDATE)["joined"]) == (False, ["orders_order"])
    assert found["failing_anyway"] == ["tests/test_orders.py::test_fails_anyway"]
    assert found["failed_otherwise"] == []
    assert [(one["where"], one["agreed"]) for one in found["calls"]] == [("orders/services.py:pay", True)]
    kept = json.loads((project / ".strangler/rehearsal-payments.json").read_text())
    assert (kept["clean"], kept["refused"], kept["failed_anyway"]) == (False, 5, 1)


def test_unreachable_tables_are_not_read_either_and_the_suite_is_shown_as_it_goes(project: Path) -> None:
    put(project, "tests/test_orders.py", DIRTY)
    only = ("-k", "contract or drops", "-p", "no:randomly")
    code, out, err = strangler(
        project, "rehearse", "payments", "--unreachable", "--", sys.executable, "-m", "pytest", "-q", *only
    )
    assert code == 1, err
    assert "WouldBeFenced" in out
    assert "payments_payment belongs to payments, and can't be read at orders/services.py:paid, line" in out
    assert "1 test meets  orders → payments  reads payments_payment  orders/services.py:paid" in out
    assert "cascades into payments_payment  orders/services.py:drop" in out
    assert "1 place outside call payments by its contract" in out


@pytest.mark.parametrize("how", ["pytest", "manage.py test"])
def test_a_suite_that_keeps_to_the_contract_is_clean(project: Path, how: str) -> None:
    put(project, "tests/test_paying.py", CLEAN)
    put(project, "tests/__init__.py", "")
    command = ("pytest", "-q") if how == "pytest" else ("django", "test", "--settings=settings_of_tests")
    code, found = rehearse(project, "--", sys.executable, "-m", *command)
    assert (code, found["clean"], found["tests"], found["crossings"]) == (0, True, 1, [])
    assert not (project / "live.sqlite3").exists()


def test_what_unittest_runs_is_told_by_test_and_strictly_of_test_code_too(project: Path) -> None:
    put(project, "tests/test_paying.py", CLEAN.replace("services.pay(", "services.settle("))
    put(project, "tests/__init__.py", "")
    command = (sys.executable, "manage.py", "test", "--settings=settings_of_tests")
    code, found = rehearse(project, "--", *command)
    assert code == 1
    assert of(found, SETTLE)["tests"] == ["tests.test_paying.Paying.test_pays"]
    assert found["failed_tests"] == ["tests.test_paying.Paying.test_pays"]
    code, out, err = strangler(project, "rehearse", "payments", "--strict-tests", "--json", "--", *command)
    assert code == 2, err
    assert "no test ran" in json.loads(out)["error"]  # its class could not be set up


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
    code, out, err = strangler(project, "rehearse", "payments", "--", sys.executable, "-m", "pytest", "-q")
    assert code == 2, out
    assert "is no test database" in err
    assert not (project / ".strangler").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rehearse", "payment", "--", "true"), "there is no context 'payment'; there are orders, payments"),
        (("rehearse", "payments", "--", "no-such-command"), "no-such-command can not be started"),
        (("rehearse", "payments", "--", "true"), "the fence was never up (the command ended with 0)"),
    ],
)
def test_misuse_ends_with_2_and_a_sentence(project: Path, words: tuple[str, ...], said: str) -> None:
    code, _, err = strangler(project, *words)
    assert code == 2
    assert said in err


# ---- the ratchet -----------------------------------------------------------------------------------------------------


def test_the_ratchet_lets_crossings_only_become_fewer(project: Path) -> None:
    code, _, err = strangler(project, "ratchet", "check")
    assert (code, "ratchet update --owner" in err) == (2, True)
    code, _, err = strangler(project, "ratchet", "update", "--owner", "ann", CI="true")
    assert (code, "CI is set" in err) == (2, True)
    code, _, err = strangler(project, "ratchet", "update")
    assert (code, "somebody has to own" in err) == (2, True)
    assert not (project / "strangler-ratchet.txt").exists()

    code, _, err = strangler(project, "ratchet", "update", "--owner", "ann")
    assert code == 0, err
    text = (project / "strangler-ratchet.txt").read_text()
    assert "payments/models.py:Payment.order | foreign_key | payments -> orders | orders.Order | ann | ?\n" in text
    assert strangler(project, "ratchet", "check", CI="true")[0] == 0
    assert strangler(project, "ratchet", "check", "--strict")[0] == 1

    put(project, "orders/reports.py", "def one():\n    from payments.models import Payment\n    return Payment\n")
    services = (project / "orders/services.py").read_text()
    (project / "orders/services.py").write_text("# later\n" + services.replace("order__total=0", "amount=0"))
    (project / "strangler-ratchet.txt").write_text(text.replace("| ann | ?", "| bob | it was so"))
    code, out, err = strangler(project, "ratchet", "check", "--json")
    assert code == 1, err
    found = json.loads(out)
    assert [(one["kind"], one["where"]) for one in found["new"]] == [("late_import", "orders/reports.py:one")]
    assert [(one["kind"], one["what"]) for one in found["stale"]] == [("lookup", "order__total")]

    code, _, err = strangler(project, "ratchet", "update", "--owner", "cid", "--reason", "a try", "--until", "2020-01-01")
    assert code == 0, err
    code, out, _ = strangler(project, "ratchet", "check")
    assert (code, "expired on 2020-01-01: strangler-ratchet.txt:" in out) == (1, True)
    assert "payments.Payment | bob | it was so" not in out
    lines = (project / "strangler-ratchet.txt").read_text()
    assert "| orders.Order | bob | it was so\n" in lines
    assert "order__total" not in lines
