"""What migrations of one context wait for in another."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.analysis.static.sources import found

HEADER = """
from django.conf import settings
from django.db import migrations
from django.db.migrations import swappable_dependency as swappable


class Migration(migrations.Migration):
"""
FILE = "shop/payments/migrations/0001_initial.py"


def waits(root: Path, body: str) -> list[str]:
    settings = {"AUTH_USER_MODEL": ("users.User",)}
    edges = found(root, {FILE: HEADER + body}, settings=settings).edges
    assert {edge.kind.value for edge in edges} <= {"migration"}
    return sorted(f"{edge.target} {edge.where.removeprefix(FILE)} {edge.what}" for edge in edges)


def test_dependencies_on_another_context_are_known(tmp_path: Path) -> None:
    body = """
    dependencies = [("orders", "0001_initial"), ("payments", "0000_x"), ("auth", "0001_initial")] + [("customers", "__first__")]
    run_before: list = [("orders", "0003_more")]
"""
    assert waits(tmp_path, body) == [
        "customers :Migration.dependencies customers.__first__",
        "orders :Migration.dependencies orders.0001_initial",
        "orders :Migration.run_before orders.0003_more",
    ]


@pytest.mark.parametrize("value", ["NEEDS", "[NEEDED]", "[*NEEDS]", "[] + NEEDS"])
def test_a_constant_of_the_module_is_what_it_stands_for(tmp_path: Path, value: str) -> None:
    text = f"{HEADER}    dependencies = {value}\n".replace(
        "\n\nclass", '\nNEEDED = ("orders", "0001_initial")\nNEEDS = [NEEDED]\n\nclass'
    )
    edges = found(tmp_path, {FILE: text}).edges
    assert [f"{edge.where.removeprefix(FILE)} {edge.what}" for edge in edges] == [":Migration.dependencies orders.0001_initial"]


def test_a_swappable_dependency_is_one_on_the_model_of_the_setting(tmp_path: Path) -> None:
    for name in ("migrations.swappable_dependency", "swappable"):
        body = f"    dependencies = [{name}(settings.AUTH_USER_MODEL)]\n"
        assert waits(tmp_path, body) == ["users :Migration.dependencies users.__first__"]


def test_what_is_no_migration_s_attribute_is_none(tmp_path: Path) -> None:
    body = """
    replaces = [("orders", "0009_never")]
    # dependencies = [("orders", "0001_initial")]

def forwards(apps, editor):
    dependencies = [("orders", "0001_initial")]

class Plan:
    dependencies = [("orders", "0001_initial")]
"""
    assert waits(tmp_path, body) == []
