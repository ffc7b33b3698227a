"""Sample users: ``user0001@example.com`` … and a member of staff. All have the same password, hashed once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import get_hasher

PASSWORD = "demo"
STAFF = "staff@example.com"
_NAMESPACE = uuid.UUID("6d1f0c1e-5f0b-4a53-9d5c-0c3c7f1b2a10")
COLUMNS = (
    "id", "password", "is_superuser", "email", "is_active", "is_staff", "date_joined", "session_stamp",
)  # fmt: skip


def email(number: int) -> str:
    return f"user{number:04}@example.com"


def users(count: int, *, now: datetime) -> Iterator[tuple[Any, ...]]:
    """``count`` customers with the ids 1 to ``count``, then the one of staff."""
    hashed = get_hasher("argon2").encode(PASSWORD, "c2FtcGxlIHVzZXJz")  # a fixed salt: the same rows every time
    for number in range(1, count + 2):
        staff = number > count
        address = STAFF if staff else email(number)
        joined = now - timedelta(days=400, minutes=-number)
        yield number, hashed, staff, address, True, staff, joined, uuid.uuid5(_NAMESPACE, address)
