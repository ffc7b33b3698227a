"""What other contexts may know of users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from monolith.binding import local


@dataclass(frozen=True)
class UserRecord:
    id: int
    email: str
    is_active: bool
    is_staff: bool


class Users(Protocol):
    def get(self, *, user_id: int) -> UserRecord | None:
        """The user, or ``None``. Includes those that are not active."""


users: Users = local("monolith.users.selectors.LocalUsers")
