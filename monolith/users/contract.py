"""What other contexts may know of users, and ask of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from monolith.binding import local
from monolith.problems import Problem


@dataclass(frozen=True)
class UserRecord:
    id: int
    email: str
    is_active: bool
    is_staff: bool


class EmailTaken(Problem):
    title = "E-mail address taken"


class WeakPassword(Problem):
    status = 400
    title = "Password refused"


class LinkNotValid(Problem):
    status = 400
    title = "Link not valid"


class Users(Protocol):
    def get(self, *, user_id: int) -> UserRecord | None:
        """The user, or ``None``. Includes those that are not active."""

    def register(self, *, email: str, password: str) -> UserRecord:
        """Raises ``EmailTaken``, ``WeakPassword``. The customer's profile comes with it."""

    def change_password(self, *, user_id: int, password: str) -> None:
        """Ends the user's sessions. Raises ``WeakPassword``."""

    def request_reset(self, *, email: str) -> None:
        """Mails a link if there is such a user; nobody can tell whether there is."""

    def check_reset(self, *, uid: str, token: str) -> UserRecord:
        """Whose link it is. Raises ``LinkNotValid``."""

    def reset_password(self, *, uid: str, token: str, password: str) -> None:
        """By the link of a mail, once. Raises ``LinkNotValid``, ``WeakPassword``."""


users: Users = local("monolith.users.services.LocalUsers")
