"""A contract's implementation, found by its dotted path when it is first used.

So a ``contract.py`` imports nothing of its own context, and contexts whose contracts need each other don't import in a circle.
"""

from __future__ import annotations

from typing import Any

from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string


def local(path: str) -> Any:
    """The one object of the class at ``path``, made at first use."""
    return SimpleLazyObject(lambda: import_string(path)())
