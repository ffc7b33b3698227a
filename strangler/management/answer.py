"""What a verb gives back: data for ``--json``, something to look at for people, and the exit code."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType

PASS, FAILED, MISUSE = 0, 1, 2


class Whole(str):
    """A line that people copy: it is never wrapped."""


class Line(str):
    """A line for programs: printed as it is."""


@dataclass(frozen=True)
class Answer:
    """``code``: 0 pass, 1 a check failed, 2 misuse."""

    data: Any
    shown: Sequence[RenderableType] = ()
    code: int = PASS


Verb = Callable[[argparse.Namespace], Answer]
Subparsers = Any  # argparse's own type for it is private


def verb(
    subparsers: Subparsers, name: str, run: Verb, *, help: str, example: str, more: str = "", anywhere: bool = False
) -> argparse.ArgumentParser:
    """One verb's parser: every one has ``--json``, a sentence and an example.

    ``more``: what its own page says besides. ``anywhere``: it makes sense on a service too.
    """
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=help,
        description=textwrap.fill(f"{help} {more}", 100),
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    parser.set_defaults(run=run, anywhere=anywhere)
    return parser
