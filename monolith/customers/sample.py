"""Sample customers, one a user, each with an address."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime
from typing import Any

CUSTOMER_COLUMNS = ("id", "user_id", "name", "phone", "language", "currency", "created_at", "updated_at")
ADDRESS_COLUMNS = ("id", "customer_id", "label", "recipient", "street", "postcode", "city", "country", "is_default")
_FIRST = (
    "Ada",
    "Ben",
    "Clara",
    "David",
    "Elif",
    "Femi",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Kaya",
    "Lena",
    "Milo",
    "Nora",
    "Olga",
    "Paul",
)
_LAST = (
    "Albrecht",
    "Baumann",
    "Costa",
    "Demir",
    "Engel",
    "Fischer",
    "Garcia",
    "Haas",
    "Ivanov",
    "Jensen",
    "Keller",
    "Lindner",
    "Moreau",
)
_STREETS = ("Lindenweg", "Hauptstraße", "Am Markt", "Gartenstraße", "Bergweg", "Rue Haute", "Mill Lane")
_CITIES = (
    ("10115", "Berlin", "DE"),
    ("20095", "Hamburg", "DE"),
    ("1010", "Wien", "AT"),
    ("75002", "Paris", "FR"),
    ("8001", "Zürich", "CH"),
)


def name(number: int) -> str:
    return f"{_FIRST[number % len(_FIRST)]} {_LAST[number // len(_FIRST) % len(_LAST)]}"


def currency(number: int) -> str:
    """The first hundred, by whom people log in, pay in euros."""
    if number <= 100:
        return "EUR"
    return "CHF" if number % 20 == 7 else "USD" if number % 50 == 3 else "EUR"


def customers(count: int, *, now: datetime) -> Iterator[tuple[Any, ...]]:
    for number in range(1, count + 1):
        language = "de" if number > 100 and number % 3 == 0 else "en"
        yield number, number, name(number), f"+49 30 {number:06}", language, currency(number), now, now


def addresses(count: int, chance: random.Random) -> Iterator[tuple[Any, ...]]:
    for number in range(1, count + 1):
        postcode, city, country = chance.choice(_CITIES)
        street = f"{chance.choice(_STREETS)} {chance.randint(1, 120)}"
        yield number, number, "Home", name(number), street, postcode, city, country, True
