"""What can keep the estate from starting. The message is one sentence and the way out; `make up` prints it alone."""

from __future__ import annotations


class CannotStart(Exception):
    """The estate can't start or go on. ``make up`` ends with 1."""


class Misconfigured(CannotStart):
    """An environment variable or a file says something that makes no sense. ``make up`` ends with 2."""
