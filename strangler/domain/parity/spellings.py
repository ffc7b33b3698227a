"""One spelling for all the spellings of a value, for the kinds that a rule may name. What isn't of the kind stays as it is."""

from __future__ import annotations

import datetime as dt
import re
from email.utils import parsedate_to_datetime

NUMBER = re.compile(r"\s*([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,15}))?\s*", re.ASCII)
FRACTION = re.compile(r"(?<=:\d\d)[.,](\d+)", re.ASCII)
HEXADECIMAL = re.compile(r"(?:urn:uuid:)?\{?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})\}?", re.I)


def decimal(text: str) -> str | None:
    """``1.10``, ``1.1`` and ``11e-1`` as ``11e-1``, exactly, without a limit of digits or a number written out."""
    match = NUMBER.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        return None
    fraction = match[3] or ""
    digits = (match[2] + fraction).lstrip("0")
    exponent = int(match[4] or 0) - len(fraction)
    short = digits.rstrip("0")
    if not short:
        return "0e0"
    return f"{'-' if match[1] == '-' else ''}{short}e{exponent + len(digits) - len(short)}"


def timestamp(text: str) -> str | None:
    """The instant in UTC to its last digit; without a zone it is no instant, and the same only as another without one."""
    if not 10 <= len(text) <= 64:
        return None
    fraction = FRACTION.search(text)
    whole = text if fraction is None else text[: fraction.start()] + text[fraction.end() :]
    try:
        found = dt.datetime.fromisoformat(whole.strip())
    except ValueError:
        try:
            found = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    try:
        found = found.astimezone(dt.UTC) if found.tzinfo else found
    except OverflowError:
        return None
    digits = fraction[1].rstrip("0") if fraction else ""
    return found.isoformat() + ("." + digits if digits else "")


def uuid(text: str) -> str | None:
    match = HEXADECIMAL.fullmatch(text) if len(text) <= 50 else None
    return None if match is None else "-".join(match.groups()).lower()
