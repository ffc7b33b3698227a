"""What can be deleted of a context of the shop, and the migration for it, run on a copy of the shop's database."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from psycopg import sql

from monolith.payments.models import Payment
from strangler import conf
from strangler.analysis.removal import items, migration
from strangler.errors import Misuse
from tests.integration.seams.shop import make_order, make_payment

ROOT = Path(__file__).resolve().parents[3]


COPY = "shop_to_retire"


@pytest.fixture
def copied(transactional_db: None, postgres: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Django is on a copy of the test's database, with a row in it and a table that no model knows."""
    payment = make_payment(make_order())
    connection.close()
    with psycopg.connect(postgres.url.rpartition("/")[0] + "/postgres", autocommit=True) as server:
        server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(COPY)))
        template = sql.Identifier(connection.settings_dict["NAME"])
        server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(COPY), template))
    postgres.made.append(COPY)
    with monkeypatch.context() as there:
        there.setitem(connection.settings_dict, "NAME", COPY)
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE legacy (payment_id bigint REFERENCES payments_payment)")
            cursor.execute("INSERT INTO legacy VALUES (%s)", [payment.pk])
        yield
        connection.close()


@pytest.fixture
def migrations_of(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An app's migrations in a folder that may be written."""
    made = []

    def copy(label: str) -> Path:
        name = f"written_{label}"
        folder = tmp_path / name
        source = Path(apps.get_app_config(label).path) / "migrations"
        if source.exists():
            shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__"))
        monkeypatch.syspath_prepend(str(tmp_path))
        settings.MIGRATION_MODULES = {**settings.MIGRATION_MODULES, label: name}
        made.append(name)
        invalidate_caches()
        return folder

    yield copy
    for module in [one for one in sys.modules if one.partition(".")[0] in made]:
        del sys.modules[module]


def tables() -> set[str]:
    with connection.cursor() as cursor:
        return set(connection.introspection.table_names(cursor))


def constraints_of(table: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = to_regclass(%s)", [table])
        return [name for (name,) in cursor.fetchall()]


def test_the_tables_are_dropped_and_come_back_empty(copied: None, migrations_of: Any) -> None:
    folder = migrations_of("payments")
    file = migration.write(conf.estate().contexts["payments"], ROOT / "monolith" / "payments")
    assert file == folder / "0003_retire_payments.py"
    invalidate_caches()
    before = {model._meta.db_table for model in apps.get_app_config("payments").get_models()}
    assert before <= tables()

    call_command("migrate", "payments", verbosity=0)
    assert not before & tables()
    assert constraints_of("legacy") == []
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM legacy")
        assert cursor.fetchone() == (1,), "what pointed there keeps its value"

    call_command("migrate", "payments", "0002", verbosity=0)
    assert before <= tables()
    assert Payment.objects.count() == 0
    assert constraints_of("legacy"), "not validated, as the old values point to nothing"


def test_sqlmigrate_shows_what_it_does(copied: None, migrations_of: Any, capsys: pytest.CaptureFixture[str]) -> None:
    migrations_of("payments")
    migration.write(conf.estate().contexts["payments"], ROOT / "monolith" / "payments")
    invalidate_caches()
    call_command("sqlmigrate", "payments", "0003")
    shown = capsys.readouterr().out
    order = ["DROP CONSTRAINT", 'DROP TABLE "payments_refund"', 'DROP TABLE "payments_payment"']
    assert sorted(order, key=shown.index) == order


def test_a_key_of_another_context_becomes_a_plain_column(copied: None, migrations_of: Any) -> None:
    """Customers: orders point to them, users have one, products are their favourites."""
    migrations_of("customers")
    file = migration.write(conf.estate().contexts["customers"], ROOT / "monolith" / "customers")
    invalidate_caches()
    text = file.read_text()
    assert "app_label='orders'" in text
    assert "db_column='customer_id'" in text
    call_command("migrate", "customers", verbosity=0)
    assert not {name for name in tables() if name.startswith("customers_")}
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(customer_id) FROM orders_order")
        assert cursor.fetchone() == (1,)
    call_command("migrate", "customers", "0002", verbosity=0)
    assert "customers_customer_favourites" in tables()


def test_in_another_app_it_drops_by_sql_what_is_there(copied: None, migrations_of: Any) -> None:
    migrations_of("shell")
    file = migration.write(conf.estate().contexts["payments"], ROOT / "monolith" / "shell")
    invalidate_caches()
    assert "payments" not in file.read_text().partition("dependencies")[2].partition("]")[0]
    call_command("migrate", "shell", verbosity=0)
    assert not {name for name in tables() if name.startswith("payments_")}


def test_a_file_is_never_overwritten_and_a_folder_must_be_an_app(
    copied: None, migrations_of: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = migrations_of("payments")
    context = conf.estate().contexts["payments"]
    monkeypatch.setattr(migration, "_name", lambda *_: "0002_ledger_and_partial_refunds")
    with pytest.raises(Misuse, match="is there already"):
        migration.write(context, ROOT / "monolith" / "payments")
    assert "retire" not in (folder / "0002_ledger_and_partial_refunds.py").read_text()
    with pytest.raises(Misuse, match="not the folder of an installed app"):
        migration.write(context, tmp_path)


def test_what_can_be_deleted_is_listed_with_its_place() -> None:
    found = items.removal(conf.estate().contexts["payments"])
    listed = {(item.kind, item.name): item.where for item in found.items}
    for kind, name, file, text in (
        ("setting", "monolith.payments", "monolith/settings/base.py", '"monolith.payments"'),
        ("setting", "payments.resolve_processing", "monolith/settings/tasks.py", "payments.resolve_processing"),
        ("url", "api/payments/", "monolith/urls.py", "api/payments/"),
        ("url", "pay/confirm/<str:token>/", "monolith/urls.py", "pay/confirm"),
        ("task", "payments.resolve_processing", "monolith/payments/tasks.py", "owner_task"),
        ("table", "payments_payment", "monolith/payments/models.py", "class Payment"),
    ):
        where, _, line = listed[kind, name].partition(":")
        assert where == file
        assert text in (ROOT / file).read_text().splitlines()[int(line) - 1]
    assert listed["command", "check_ledger"] == "monolith/payments/management/commands/check_ledger.py"
    changes = {(item.kind, item.where.partition(":")[0]) for item in found.obstacles}
    assert ("import", "monolith/orders/checkout.py") in changes
    assert ("text", "monolith/orders/admin.py") in changes
    assert not any(item.where.startswith("monolith/payments/") for item in found.obstacles)


def test_templates_are_listed_file_by_file() -> None:
    found = items.removal(conf.estate().contexts["orders"])
    assert ("template", "orders/packing.html") in {(item.kind, item.name) for item in found.items}
