"""The list of planted couplings holds against the code, both ways: what it lists is there, and what can be seen is listed.

What crosses from one context to another is held against the ledger (``test_couplings_by_ledger``), and what only shows while it
runs by ``tests/integration/analysis/test_shop_while_running.py``.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from typing import Any

import pytest
from django.conf import settings
from django.urls import resolve

from tests import couplings
from tests.couplings import SHOP

WHOLE = tomllib.loads((SHOP / "couplings.toml").read_text(encoding="utf-8"))
LISTED: list[dict[str, Any]] = WHOLE["coupling"]
# Commands that write one context or none. Another one is listed.
AT_HOME = {"buy", "compile_translations", "post_ledger", "check_ledger", "send_webhook", "up"}
# What the source must show where nothing else tells that the coupling is still there.
EVIDENCE = {
    "transaction": r"atomic|in the transaction",
    "update_expression": r"\.update\([^)]*F\(",
    "bulk_update": r"\.bulk_update\(",
    "lookup": r"__|related_model",
}


def listed(*kinds: str, named: bool = True) -> set[tuple[str, str, str]]:
    """``(kind, where, to)``; without the name in the file where ``named`` is false."""
    entries = [entry for entry in LISTED if entry["kind"] in kinds]
    return {(e["kind"], e["where"] if named else file_of(e), to) for e in entries for to in e["to"]}


def file_of(entry: dict[str, Any]) -> str:
    return str(entry["where"]).partition(":")[0]


def test_every_trigger_of_the_database_is_listed(db: None) -> None:
    models = {where.rpartition(":")[2].split(".")[0] for _, where, _ in listed("trigger")}
    assert couplings.triggers() == {f"products_{model.lower()}" for model in models}


@pytest.mark.parametrize("kind", ["bulk_create", "bulk_update"])
def test_what_is_written_in_bulk_is_listed_and_what_is_listed_the_source_shows(kind: str) -> None:
    seen = {found for found in couplings.in_source() if found[0] == kind}
    inside = {found for found in listed(kind) if EVIDENCE.get(kind) and found[2] == found[1].split("/")[1]}
    assert seen == listed(kind) - inside  # what stays within a context is no crossing, and is listed for the tables' sake


@pytest.mark.parametrize("kind", ["settings_import", "task"])
def test_what_does_not_show_whereto_it_leads_is_listed_all_the_same(kind: str) -> None:
    seen = {where for found, where, _ in couplings.in_source() if found == kind}
    assert seen == {where for _, where, _ in listed(kind)}


def test_every_command_that_writes_other_contexts_is_listed() -> None:
    commands = {path.relative_to(SHOP.parent).as_posix() for path in SHOP.glob("*/management/commands/[a-z]*.py")}
    assert {path for _, path, _ in listed("command", named=False)} == {
        path for path in commands if path.rpartition("/")[2].removesuffix(".py") not in AT_HOME
    }


def test_every_route_whose_method_does_not_say_what_it_does_is_listed() -> None:
    estate = tomllib.loads((settings.BASE_DIR / "strangler.toml").read_text(encoding="utf-8"))
    declared = set()
    for context in estate["contexts"].values():
        for route in context["routes"]:
            if "access" in route:
                view = resolve(route.get("path") or f"{route['prefix']}/x/").func
                served = getattr(view, "cls", view)
                declared.add(f"{served.__module__.replace('.', '/')}.py:{served.__name__}")
    assert declared == {where for _, where, _ in listed("route")}


def test_each_place_says_that_it_is_planted_and_shows_what_is_listed() -> None:
    silent, gone = [], []
    for entry in LISTED:
        path, _, name = entry["where"].partition(":")
        source = (SHOP.parent / path).read_text(encoding="utf-8")
        assert set(entry) == {"kind", "from", "to", "where", "reason"}
        if path.endswith(".html"):
            assert name in source, entry
            continue
        first, last = place_of(ast.parse(source), name)
        near = "\n".join(source.splitlines()[max(0, first - 3) : last])
        said = [near, ast.get_docstring(ast.parse(source)) or "", docstring_around(ast.parse(source), first)]
        silent += [] if "planted:" in "".join(said) else [entry["where"]]
        gone += [] if re.search(EVIDENCE.get(entry["kind"], ""), near, re.DOTALL) else [(entry["kind"], entry["where"])]
    assert (silent, gone) == ([], [])


def place_of(tree: ast.Module, name: str) -> tuple[int, int]:
    """First and last line of what a dotted name stands for; fails if it is not there."""
    if name == "*":
        return 1, 10_000
    at: Any = tree
    for part in name.split("."):
        at = next((node for node in ast.walk(at) if part in names(node)), None)
        assert at is not None, f"there is no {name}"
    return at.lineno, at.end_lineno


def docstring_around(tree: ast.Module, line: int) -> str:
    """That of the class in which the line stands."""
    around = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.lineno <= line <= (node.end_lineno or 0)]
    return ast.get_docstring(around[0]) or "" if around else ""


def names(node: ast.AST) -> set[str]:
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def test_every_planted_comment_is_listed() -> None:
    sources = [*SHOP.rglob("*.py"), *SHOP.rglob("*.html")]
    commented = {path.relative_to(SHOP.parent).as_posix() for path in sources if "planted:" in path.read_text(encoding="utf-8")}
    assert commented == {file_of(entry) for entry in LISTED}


def test_they_are_counted_and_every_kind_that_a_monolith_has_is_planted() -> None:
    header = (SHOP / "couplings.toml").read_text(encoding="utf-8").split("# from ")[0].split("# kind")[1]
    kinds = set(header.replace("#", " ").replace(",", " ").split())
    assert Counter(entry["kind"] for entry in LISTED) == WHOLE["counted"]
    assert set(WHOLE["counted"]) == kinds
