"""How a page of the guide is compared with what the shell said."""

from __future__ import annotations

import pytest

from tests.guide import agrees, steps


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
