"""Names of places in JSON, as patterns: every item of a list has the same one, and so have the entries of a map from ids."""

from __future__ import annotations

import json
import re

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
# A number, a UUID, a digest, a date, an address, a token: names that say which one, not what.
IDENTITY = re.compile(
    r"-?\d+|[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}|(?=.*\d)[0-9a-f]{16,}|\d{4}-\d{2}(?:-\d{2}.*)?|[^@\s]+@[^@\s]+"
    r"|(?=.*\d)[A-Za-z0-9_=-]{20,}(?:\.[A-Za-z0-9_=-]+)*",
    re.IGNORECASE | re.ASCII,
)
MOST_NAME = 64


def below(path: str, name: str) -> str:
    """``$.a`` and ``b`` give ``$.a.b``; an id gives ``$.a.*``; a name that isn't a word is quoted: ``$.a["b c"]``."""
    if PLAIN.fullmatch(name) and not IDENTITY.fullmatch(name):
        return f"{path}.{name}"
    if IDENTITY.fullmatch(name[:400]):
        return f"{path}.*"
    return f"{path}[{json.dumps(name[:MOST_NAME])}]"


def items(path: str) -> str:
    return path + "[*]"
