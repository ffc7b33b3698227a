"""How a page of the guide is compared with what the shell said."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.guide import ROOT, agrees, steps

PAGES = sorted((ROOT / "docs" / "guide").glob("*.md"))


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (["done in 1.5 s"], ["done in 12.25 s"]),
        (["order S-1VG68EF4CS is paid"], ["order S-K3HSCTBGSJ is paid"]),
        (["a   4  ──"], ["a 12,000   ───────"]),
        (["first", "…", "last"], ["first", "last"]),
        (["first", "…", "last"], ["first", "one", "two", "last"]),
        (["target   …"], ["target   service"]),
        (["…"], []),
        ([], []),
    ],
)
def test_what_may_differ(shown: list[str], said: list[str]) -> None:
    assert agrees(shown, said)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (["target   monolith"], ["target   service"]),
        (["one"], ["one", "two"]),
        (["one", "two"], ["one"]),
        ([], ["something"]),
        (["first", "…", "last"], ["first", "one"]),
    ],
)
def test_what_may_not(shown: list[str], said: list[str]) -> None:
    assert not agrees(shown, said)


def test_commands_go_over_several_lines_and_answers_follow() -> None:
    block = '$ python -c "\n> print(1)"\n1\n$ true\n$ echo $?\n0\n'
    assert list(steps(block)) == [('python -c "\nprint(1)"', ["1"]), ("true", []), ("echo $?", ["0"])]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_says_what_why_how_how_to_check_and_undo_and_provokes_a_failure(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "**You will see**" in text
    assert re.search(r"\*\*Why\.\*\*[^#]*\*[a-z]", text), "the pattern by its name"
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert sorted(headings) == ["Check", "Do", "Undo", "What goes wrong"]
    provoked = text.split("## What goes wrong")[1].split("\n## ")[0]
    assert "```console" in provoked


def test_the_pages_lead_from_one_to_the_next() -> None:
    for page, after in pairwise(PAGES):
        assert f"]({after.name})" in page.read_text(encoding="utf-8").rsplit("Next:", 1)[1]
