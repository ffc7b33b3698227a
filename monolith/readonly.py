"""For the admin: rows that are made elsewhere, and only looked at here."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


class ReadOnly:
    """Before ``ModelAdmin`` or an inline in the bases."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
