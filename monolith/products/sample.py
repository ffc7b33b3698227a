"""Sample products, with so much stock that a demonstration doesn't empty it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

COLUMNS = ("id", "sku", "name", "description", "price", "currency", "stock", "is_active", "created_at", "updated_at")
STOCK = 1_000_000
RATE_COLUMNS = ("id", "currency", "per_euro", "updated_at")
PRICE_COLUMNS = ("product_id", "amount", "currency", "valid_from", "valid_until")
RATES = (("CHF", Decimal("0.9425")), ("USD", Decimal("1.1612")))
CATEGORY_COLUMNS = ("id", "name", "slug", "parent_id", "path")
PLACEMENT_COLUMNS = ("id", "product_id", "category_id", "position")
_SHELVES = (("Home", "home", ("Kitchen", "Living")), ("Outdoors", "outdoors", ("Garden", "Travel")))
_KINDS = (
    "Kettle",
    "Lamp",
    "Chair",
    "Blanket",
    "Notebook",
    "Mug",
    "Backpack",
    "Clock",
    "Vase",
    "Basket",
    "Teapot",
    "Shelf",
    "Rug",
)
_STYLES = ("Plain", "Oak", "Enamel", "Linen", "Copper", "Slate", "Amber", "Nordic", "Woven", "Glazed", "Folding")


def products(count: int, chance: random.Random, *, now: datetime) -> Iterator[tuple[Any, ...]]:
    for number in range(1, count + 1):
        kind, style = _KINDS[number % len(_KINDS)], _STYLES[number * 7 % len(_STYLES)]
        name = f"{style} {kind.lower()} {number}"
        text = f"{style} and made to last: a {kind.lower()} for every day. Wipe with a damp cloth."
        price = Decimal(chance.randint(199, 14999)) / 100
        yield number, f"{kind[:3].upper()}-{number:05}", name, text, price, "EUR", STOCK, True, now, now


def rates(*, now: datetime) -> Iterator[tuple[Any, ...]]:
    for number, (currency, per_euro) in enumerate(RATES, 1):
        yield number, currency, per_euro, now


def prices(shelf: Iterable[tuple[Any, ...]], *, now: datetime) -> Iterator[tuple[Any, ...]]:
    """Every fifth product was cheaper once."""
    for number, _, _, _, price, currency, *_ in shelf:
        if number % 5 == 0:
            then = now - timedelta(days=30 + number % 200)
            yield number, (price * Decimal("0.9")).quantize(Decimal("0.01")), currency, now - timedelta(days=300), then
            yield number, price, currency, then, None


def categories() -> Iterator[tuple[Any, ...]]:
    number = 0
    for name, slug, below in _SHELVES:
        number += 1
        parent = number
        yield number, name, slug, None, f"{slug}/"
        for child in below:
            number += 1
            yield number, child, child.lower(), parent, f"{slug}/{child.lower()}/"


def placements(count: int) -> Iterator[tuple[Any, ...]]:
    """Each product in one of the lower categories."""
    shelves = [row[0] for row in categories() if row[3]]
    for number in range(1, count + 1):
        yield number, number, shelves[number % len(shelves)], number
