"""One spelling for a request's path, so that no encoding or dot-segment trick leads around a rule.

The path that is matched is normalised; the path that is forwarded is the client's own.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

RESERVED = "_strangler"
_ODD = re.compile(r"%|//|/\.|\\")
_PARAMETERS = re.compile(r";[^/\\]*")
_ROUNDS = 4


def normal(path: str) -> str:
    """The path as an application sees it: percent-decoded once, slashes collapsed, dot segments resolved."""
    if not _ODD.search(path):
        return path
    decoded = unquote(path, errors="surrogateescape").replace("\\", "/")
    kept: list[str] = []
    for segment in decoded.split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment not in ("", "."):
            kept.append(segment)
    trailing = "/" if kept and decoded.endswith(("/", "/.", "/..")) else ""
    return "/" + "/".join(kept) + trailing


def is_reserved(path: str) -> bool:
    """Whether some application could read ``path`` as one below ``/_strangler``; those are never forwarded.

    Frameworks differ: some decode twice, some drop ``;parameters`` (before they resolve dots), some ignore case, some end at a
    NUL. All readings count.
    """
    if "%" not in path and RESERVED not in path.lower():
        return False
    for _ in range(_ROUNDS):
        decoded = normal(path)
        if _names_it(decoded) or (";" in path and _names_it(normal(_PARAMETERS.sub("", path)))):
            return True
        if decoded == path:
            return False
        path = decoded
    return "%" in path


def _names_it(path: str) -> bool:
    """Whether the first segment of a normal path is the reserved one."""
    first = path[1:].partition("/")[0].partition(";")[0].partition("\0")[0]
    return first.strip().lower() == RESERVED
