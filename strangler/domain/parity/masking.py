"""Secrets are masked in an example before it is stored anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from strangler.domain.parity.answers import Answer
from strangler.domain.parity.difference import Difference

MASK = "•••"


def url(target: str) -> str:
    """A request target with the values of secret query parameters masked."""
    raise NotImplementedError


def headers(found: Mapping[str, str]) -> dict[str, str]:
    raise NotImplementedError


def body(content_type: str, text: bytes) -> str:
    """The body as text with its secrets masked; a body that isn't text is named by length alone."""
    raise NotImplementedError


def answer(found: Answer) -> dict[str, object]:
    """An answer as JSON to store: status, headers, content_type, body (text or None), length, ms."""
    raise NotImplementedError


def difference(found: Difference) -> Difference:
    return replace(found)
