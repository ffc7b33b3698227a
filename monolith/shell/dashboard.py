"""The dashboard of the admin: panels that the settings name, each a function that gives a title and lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext as say

from monolith.shell import reports
from monolith.shell.models import Activity, DailySales


@dataclass(frozen=True)
class Panel:
    """``rows`` have as many cells as ``head``."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def panels() -> list[Panel]:
    """planted: a settings-driven import, ``SHOP_DASHBOARD``."""
    found: list[Callable[[], Panel]] = [import_string(path) for path in settings.SHOP_DASHBOARD]
    return [panel() for panel in found]


def sales() -> Panel:
    rows = DailySales.objects.all()[:14]
    cells = [(row.day, row.currency, row.orders, row.ordered, row.captured) for row in rows]
    return Panel(say("Sales by day"), (say("Day"), say("Currency"), say("Orders"), say("Ordered"), say("Captured")), cells)


def sellers() -> Panel:
    now = timezone.now()
    found = reports.best_sellers(since=now - timedelta(days=365), until=now)
    cells = [(seller.sku, seller.name, seller.customers, seller.pieces, seller.currency, seller.turnover) for seller in found]
    return Panel(
        say("Best sellers of the last year"),
        (say("SKU"), say("Product"), say("Customers"), say("Pieces"), say("Currency"), say("Turnover")),
        cells,
    )


def feed() -> Panel:
    return Panel(say("Latest"), (say("When"), say("What")), [(row.at, row.text) for row in Activity.objects.all()[:10]])
