"""Progress on a terminal is one line that is gone in the end; elsewhere there is none."""

from __future__ import annotations

import io

import pytest

from strangler.management.progress import Telling, line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("part", "done", "whole", "seconds", "said"),
    [
        ("static", 0, 400, 0.0, "reading the source: 0 of 400 files"),
        ("static", 100, 400, 1.0, "reading the source: 100 of 400 files, 3 s left"),
        ("static", 1, 4000, 0.01, "reading the source: 1 of 4,000 files"),
        ("static", 400, 400, 4.0, "reading the source: 400 of 400 files"),
        ("live", 0, 0, 0.0, "asking Django and the database …"),
    ],
)
def test_a_line(part: str, done: int, whole: int, seconds: float, said: str) -> None:
    assert line(part, done, whole, seconds) == said


def test_it_leaves_nothing_on_the_line() -> None:
    stream = Terminal()
    with Telling(stream) as telling:
        telling.told("live", 0, 0)
        telling.told("static", 9, 9)
    *_, blank, end = stream.getvalue().split("\r")
    assert "reading the source: 9 of 9 files" in stream.getvalue()
    assert blank.strip() == end == ""


def test_a_pipe_and_json_see_nothing() -> None:
    for stream, quiet in ((io.StringIO(), False), (Terminal(), True)):
        with Telling(stream, quiet=quiet) as telling:
            telling.told("static", 1, 2)
        assert stream.getvalue() == ""
