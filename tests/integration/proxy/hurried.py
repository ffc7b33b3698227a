"""The proxy with other limits, so that what takes a minute in life takes a moment in a test.

``python -m tests.integration.proxy.hurried first_byte=0.5,drain=1 --listen …``
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields, replace

from strangler_proxy import __main__ as program
from strangler_proxy.settings import Limits, Settings

parse = program.parse


def limits(words: str) -> Limits:
    kinds = {field.name: type(getattr(Limits(), field.name)) for field in fields(Limits)}
    given = dict(word.split("=") for word in words.split(","))
    return replace(Limits(), **{name: kinds[name](value) for name, value in given.items()})


def main(arguments: Sequence[str]) -> int:
    hurry = limits(arguments[0])

    def parsed(words: Sequence[str] | None) -> Settings:
        return replace(parse(words), limits=hurry)

    program.parse = parsed  # type: ignore[assignment]
    return program.main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
