"""The list of planted couplings is complete: nothing crosses contexts that isn't in it, and what it lists is there."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import ForeignKey, OneToOneField

CONTEXTS = {"users", "customers", "products", "orders", "payments"}
PLATFORM = {"auth", "contenttypes"}
SHOP = Path(settings.BASE_DIR) / "monolith"
LISTED: list[dict[str, Any]] = tomllib.loads((SHOP / "couplings.toml").read_text(encoding="utf-8"))["coupling"]


def test_every_relation_across_contexts_is_listed() -> None:
    found = set()
    for label in {*CONTEXTS, "shell"}:
        for model in apps.get_app_config(label).get_models():
            for field in model._meta.local_fields:
                if isinstance(field, ForeignKey) and field.related_model._meta.app_label not in {label, *PLATFORM}:
                    kind = "one_to_one" if isinstance(field, OneToOneField) else "foreign_key"
                    where = f"monolith/{label}/models.py:{model.__name__}.{field.name}"
                    found.add((kind, label, field.related_model._meta.app_label, where))
    listed = {
        (entry["kind"], entry["from"], to, entry["where"])
        for entry in LISTED
        for to in entry["to"]
        if entry["kind"] in ("foreign_key", "one_to_one")
    }
    assert found == listed


def test_every_listed_place_exists_and_says_that_it_is_planted() -> None:
    for entry in LISTED:
        path, _, name = entry["where"].partition(":")
        source = (SHOP.parent / path).read_text(encoding="utf-8")
        assert "planted:" in source, entry
        assert name in source if path.endswith(".html") else set(name.split(".")) <= _names(ast.parse(source)), entry
        assert set(entry) == {"kind", "from", "to", "where", "reason"}


def test_every_planted_comment_is_listed() -> None:
    sources = [*SHOP.rglob("*.py"), *SHOP.rglob("*.html")]
    commented = {path for path in sources if "planted:" in path.read_text(encoding="utf-8")}
    assert commented == {SHOP.parent / entry["where"].partition(":")[0] for entry in LISTED}


def test_every_kind_that_a_monolith_has_is_planted() -> None:
    header = (SHOP / "couplings.toml").read_text(encoding="utf-8").split("# from ")[0].split("# kind")[1]
    kinds = set(header.replace("#", " ").replace(",", " ").split())
    assert {entry["kind"] for entry in LISTED} == kinds


def _names(tree: ast.AST) -> set[str]:
    names = {node.name for node in ast.walk(tree) if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    return names | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
