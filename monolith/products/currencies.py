"""Prices in the currency of who looks: by the rate of now, to the cent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

from monolith.products.contract import ProductRecord
from monolith.products.models import Rate

BASE = "EUR"
CENT = Decimal("0.01")


def known() -> list[str]:
    """In which one can pay: the euro first."""
    return [BASE, *Rate.objects.exclude(currency=BASE).values_list("currency", flat=True)]


def convert(records: Iterable[ProductRecord], currency: str) -> list[ProductRecord]:
    """The same goods with their price in ``currency``; as they are if it is "" or there is no rate for it.

    Asks for rates only if one is needed.
    """
    found = list(records)
    if not currency or all(record.currency == currency for record in found):
        return found
    rates = {BASE: Decimal(1), **dict(Rate.objects.values_list("currency", "per_euro"))}
    return [_converted(record, currency, rates) for record in found]


def _converted(record: ProductRecord, currency: str, rates: dict[str, Decimal]) -> ProductRecord:
    if record.currency == currency or not {record.currency, currency} <= rates.keys():
        return record
    price = record.price * rates[currency] / rates[record.currency]
    return replace(record, price=price.quantize(CENT, ROUND_HALF_UP), currency=currency)
