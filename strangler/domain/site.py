"""How the monolith knows its browsers: those of Django's settings that its edge has to know too."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    """``csrf_header`` as it stands on the wire, in lower case. ``trusted_origins`` as in CSRF_TRUSTED_ORIGINS."""

    session_cookie: str = "sessionid"
    csrf_cookie: str = "csrftoken"
    csrf_header: str = "x-csrftoken"
    trusted_origins: tuple[str, ...] = ()


def cookies(header: bytes, name: bytes) -> list[bytes]:
    """The values of all cookies of that name in a Cookie header, split as Django splits it. Django goes by the last one."""
    if name not in header:
        return []
    found = []
    for part in header.split(b";"):
        key, equals, value = part.partition(b"=")
        if equals and key.strip() == name:
            found.append(value.strip())
    return found
