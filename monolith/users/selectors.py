"""Reads of users."""

from __future__ import annotations

from django.db.models import QuerySet

from monolith.users.contract import UserRecord
from monolith.users.models import User


class Selectors:
    def get(self, *, user_id: int) -> UserRecord | None:
        found = User.objects.filter(pk=user_id).first()
        return record(found) if found else None


def record(user: User) -> UserRecord:
    return UserRecord(user.pk, user.email, user.is_active, user.is_staff)


def search(*, q: str = "", is_active: bool | None = None, is_staff: bool | None = None) -> QuerySet[User]:
    """For staff. What is not given does not narrow."""
    asked = {"email__icontains": q or None, "is_active": is_active, "is_staff": is_staff}
    return User.objects.filter(**{name: value for name, value in asked.items() if value is not None}).order_by("id")
