"""Counts and bytes as people say them."""

from __future__ import annotations

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def bytes_in_words(count: int) -> str:
    """Decimal, as ``strangler.toml`` has them: 3_210_000 → ``3.2 MB``."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {UNITS[unit]}" if unit == 0 or value >= 99.5 else f"{value:.2g} {UNITS[unit]}"


def number(count: int) -> str:
    return f"{count:,}"


def plural(count: int, noun: str) -> str:
    """``1 transaction``, ``no edges``, ``2 rows``; the nouns here take an s."""
    if count == 1:
        return f"1 {noun}"
    return f"{number(count) if count else 'no'} {noun}s"
