from __future__ import annotations

import io
from pathlib import Path

import pytest

from deploy.local.logs import Follower, wants_colour


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_carry_the_name_and_come_whole(tmp_path: Path) -> None:
    out, log = io.StringIO(), tmp_path / "worker.log"
    log.write_text("before\n")
    follower = Follower(out)
    follower.watch("worker", log)
    follower.watch("proxy", tmp_path / "proxy.log")
    follower.start()
    with log.open("a") as file:
        file.write("one\ntwo\nunfinis")
    follower.stop()
    assert out.getvalue() == "worker | one\nworker | two\n"


def test_a_file_that_began_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    out, log = io.StringIO(), tmp_path / "worker.log"
    log.write_text("a long line of an earlier start\n")
    follower = Follower(out)
    follower.watch("worker", log)
    follower.start()
    log.write_text("anew\n")
    follower.stop()
    assert out.getvalue() == "worker | anew\n"


@pytest.mark.parametrize(
    ("stream", "environ", "wanted"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colours_only_on_a_terminal_that_wants_them(stream: io.StringIO, environ: dict[str, str], wanted: bool) -> None:
    assert wants_colour(stream, environ) is wanted
