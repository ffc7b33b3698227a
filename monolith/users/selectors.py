"""Reads of users."""

from __future__ import annotations

from monolith.users.contract import UserRecord
from monolith.users.models import User


class LocalUsers:
    def get(self, *, user_id: int) -> UserRecord | None:
        found = User.objects.filter(pk=user_id).values_list("id", "email", "is_active", "is_staff").first()
        return UserRecord(*found) if found else None
