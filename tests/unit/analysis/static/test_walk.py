"""Where things stand, and what becomes of files that can't be read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from strangler.analysis.static import walk
from strangler.analysis.static.source import Finding, Project, Source
from strangler.domain.coupling.edges import Kind
from tests.unit.analysis.static.sources import found, project

AT = "shop/payments/views.py"


class Marks:
    """Finds each string that begins with ``!``."""

    nodes: ClassVar[tuple[type[ast.AST], ...]] = (ast.Constant,)
    words = (b"!",)

    def __init__(self, project: Project, source: Source) -> None:
        self.source = source

    def look(self, node: ast.AST) -> Iterator[Finding]:
        if isinstance(node, ast.Constant) and str(node.value).startswith("!"):
            yield Finding(Kind.IMPORT, "orders", str(node.value), note="typing" if self.source.typing else "")


class Breaks(Marks):
    """A detector with a bug."""

    def look(self, node: ast.AST) -> Iterator[Finding]:
        yield from super().look(node)
        raise KeyError("bug")


def marked(root: Path, text: str) -> dict[str, str]:
    edges = walk.scan(project(root, {AT: text}), (Marks,)).edges
    return {edge.what.lstrip("!"): edge.where.removeprefix(f"{AT}:") for edge in edges}


def test_a_place_is_the_innermost_definition_or_the_name_that_is_assigned_to(tmp_path: Path) -> None:
    text = """
f("!alone")
A = f("!assigned")
B: str = "!annotated"
C = D = "!twice"
c.attribute = "!attribute"
E, F = "!tuple"
if x:
    G = "!in a block"
H += ["!added"]
for I in "!loop": ...
@f("!decorator")
class K(f("!base"), key="!keyword"):
    "!docstring"
    L = "!of a class"
    class Meta:
        M = "!of a class in a class"
    @f("!decorator of a method")
    def m(self, a="!default") -> "!returned":
        N = "!in a method"
        def inner(): return lambda: "!in a function in it"
"""
    assert marked(tmp_path, text) == {
        "alone": "*",
        "assigned": "A",
        "annotated": "B",
        "twice": "C",
        "attribute": "*",
        "tuple": "*",
        "in a block": "*",
        "added": "H",
        "loop": "*",
        "decorator": "*",
        "base": "*",
        "keyword": "*",
        "docstring": "K",
        "of a class": "K.L",
        "of a class in a class": "K.Meta.M",
        "decorator of a method": "K",
        "default": "K",
        "returned": "K",
        "in a method": "K.m",
        "in a function in it": "K.m.inner",
    }


def test_nodes_come_in_the_order_of_the_text(tmp_path: Path) -> None:
    text = 'x = ["!a", ("!b", {"!c": "!d"}), f(1, "!e", k="!f") or "!g"]\ndef f(a: "!h" = "!i"): return "!j"\ny = "!k"'
    assert "".join(sorted(marked(tmp_path, text))) == "abcdefghijk"
    assert list(marked(tmp_path, 'x = "!a", "!b"\ndef f(): "!c"\ny = "!d"')) == list("abcd")


def test_a_branch_for_typing_is_told_and_what_follows_it_is_not(tmp_path: Path) -> None:
    text = 'if TYPE_CHECKING:\n    x = "!a"\nelse:\n    x = "!b"\ndef f(): return "!c"\n'
    edges = walk.scan(project(tmp_path, {AT: text}), (Marks,)).edges
    assert {edge.what: edge.note for edge in edges} == {"!a": "typing", "!b": "", "!c": ""}


def test_a_detector_that_fails_takes_what_it_would_have_seen_in_that_file_and_no_more(tmp_path: Path) -> None:
    files = {AT: 'x = 1\ny = "!a"', "shop/payments/b.py": "x = 1"}
    got = walk.scan(project(tmp_path, files), (Breaks, Marks))
    assert [edge.what for edge in got.edges] == ["!a"]
    assert [(one.where, one.why) for one in got.skipped] == [(AT, "Breaks failed at line 1: KeyError: 'bug'")]


GOOD = b"from shop.orders.models import Order\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"def f(:\n", "line 1: invalid syntax (as Python 3."),
        (b"x = 1\nprint 'x'\n", "line 2: Missing parentheses in call to 'print'"),
        (b"x = '\xff'\n", "line 1: "),
        (b"# coding: no-such-code\nx = 1\n", "unknown encoding"),
        (b"x = 1\x00\n", "null bytes"),
        (b"x = " + b"(" * 3000 + b")" * 3000, ""),
        (b"x = " + b"-" * 200_000 + b"1", ""),
        (b"x = 1\n" * 700_000, "4.2 MB: more than 4 MB is not read as source"),
    ],
)
def test_a_file_that_can_t_be_read_is_named_and_counted_and_the_others_are_read(tmp_path: Path, text: bytes, why: str) -> None:
    got = found(tmp_path, {"shop/orders/bad.py": text, AT: GOOD})
    [skipped] = got.skipped
    assert skipped.what == "file"
    assert skipped.where == "shop/orders/bad.py"
    assert why in skipped.why
    assert skipped.why
    assert [edge.where for edge in got.edges] == [f"{AT}:*"]
    assert got.looked_at["files"] == 2


def test_a_file_that_is_gone_or_a_circle_of_links_is_named(tmp_path: Path) -> None:
    known = project(tmp_path, {AT: GOOD, "shop/orders/gone.py": "", "shop/orders/circle.py": ""})
    for name in ("gone", "circle"):
        (tmp_path / f"shop/orders/{name}.py").unlink()
    (tmp_path / "shop/orders/circle.py").symlink_to("circle.py")
    got = walk.scan(known, (Marks,))
    assert {one.where: one.why for one in got.skipped} == {
        "shop/orders/circle.py": "Too many levels of symbolic links",
        "shop/orders/gone.py": "No such file or directory",
    }


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + GOOD,
        "# -*- coding: latin-1 -*-\nX = 'é'\n".encode("latin-1") + GOOD,
        "# coding: utf-8\nX = 'é'\r\n".encode() + GOOD,
        "X = '\u2028'\n\x0c\n".encode() + GOOD,
        b"x = 1\r" + GOOD,
        b"X = '\\d'\n" + GOOD,
    ],
)
def test_odd_encodings_and_ends_of_lines_are_read_as_python_reads_them(tmp_path: Path, text: bytes) -> None:
    got = found(tmp_path, {AT: text})
    assert got.skipped == ()
    assert [edge.evidence[0].text for edge in got.edges] == [GOOD.decode().strip()]


def test_an_expression_of_ten_thousand_terms_is_read_or_named(tmp_path: Path) -> None:
    got = found(tmp_path, {AT: b"x = " + b" + ".join([b"1"] * 10_000) + b"\n" + GOOD})
    assert len(got.edges) + len(got.skipped) == 1
