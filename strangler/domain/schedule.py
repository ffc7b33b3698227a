"""When a ramp may step: not before a moment, on certain days, between certain hours, as the clocks of a time zone show it.

``read`` never raises: like the estate file as a whole, it gives what it understood and what is wrong, with the fix.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOURS = re.compile(r"^(\d{1,2})(?::([0-5]\d))?\s*[-–]\s*(\d{1,2})(?::([0-5]\d))?$", re.ASCII)
WHOLE_DAY = (0, 24 * 60)
YEARS = range(1970, 3000)
AHEAD = 15  # days: a week, and another one where a clock that is put forward swallows the hours of one


@dataclass(frozen=True)
class Schedule:
    """``days`` from 0 (Monday) to 6; ``hours`` in minutes since midnight, the end not included."""

    not_before: datetime | None = None
    days: frozenset[int] = frozenset(range(7))
    hours: tuple[int, int] = WHOLE_DAY
    timezone: str = "UTC"

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def opens(self, now: float) -> float:
        """The first moment from ``now`` on at which it is open, in seconds since the epoch; ``now`` itself where it is."""
        if self.not_before is not None:
            now = max(now, self.not_before.timestamp())
        if len(self.days) == len(DAYS) and self.hours == WHOLE_DAY:
            return now
        today = datetime.fromtimestamp(now, self._zone).date()
        for day in (today + timedelta(days=ahead) for ahead in range(AHEAD)):
            begin, end = (self._moment(day, minutes) for minutes in self.hours)
            if day.weekday() in self.days and begin < end and now < end:
                return max(now, begin)
        raise AssertionError("no day of the week has such an hour")

    def _moment(self, day: date, minutes: int) -> float:
        day, minutes = (day + timedelta(days=1), 0) if minutes == WHOLE_DAY[1] else (day, minutes)
        return datetime.combine(day, time(*divmod(minutes, 60)), self._zone).timestamp()

    def say(self, moment: float) -> str:
        """A moment as people of that time zone write it: ``Mon 2026-03-02 09:00 Europe/Vienna``."""
        return f"{datetime.fromtimestamp(moment, self._zone):%a %Y-%m-%d %H:%M} {self.timezone}"


Wrong = tuple[str, str, str]  # key, what is wrong, the fix


def read(raw: Mapping[str, Any]) -> tuple[Schedule, list[Wrong]]:
    """From the keys ``not_before``, ``days``, ``hours`` and ``timezone`` of a table. A wrong one counts as left out."""
    wrong: list[Wrong] = []
    values: dict[str, Any] = {}
    hints = {
        "timezone": 'Write timezone = "Europe/Vienna", a name of the IANA database; without one it is UTC.',
        "not_before": 'Write not_before = 2026-03-02T09:00:00, or "2026-03-02".',
        "days": 'Write days = "mon-fri", or "tue,thu"; without it, all seven.',
        "hours": 'Write hours = "9-16" or "9:30-16:45", within one day; without it, all day.',
    }
    parse = {"timezone": _timezone, "not_before": _not_before, "days": _days, "hours": _hours}
    for key in parse:
        if key in raw:
            try:
                values[key] = parse[key](raw[key])
            except (ValueError, TypeError, OverflowError) as error:
                wrong.append((key, str(error), hints[key]))
    if "not_before" in values:
        values["not_before"] = _in_zone(values["not_before"], str(values.get("timezone", Schedule.timezone)))
    return Schedule(**values), wrong


def _timezone(value: Any) -> str:
    try:
        return ZoneInfo(value).key
    except (KeyError, ValueError, TypeError, OSError):  # unknown here; or a path, a directory, no text at all
        raise ValueError(f"{value!r} is no time zone that this machine knows") from None


def _not_before(value: Any) -> datetime:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError(f"{value!r} is no date or time") from None
    if not isinstance(found, date) or found.year not in YEARS:
        raise ValueError(f"{value!r} is no date or time")
    return found if isinstance(found, datetime) else datetime.combine(found, time())


def _in_zone(moment: datetime, timezone: str) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)


def _days(value: Any) -> frozenset[int]:
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list) or not words:
        raise ValueError(f"{value!r} names no days")
    return frozenset(day for word in words for day in _span(str(word).strip().lower()))


def _span(word: str) -> list[int]:
    """``fri-mon`` goes on past Sunday."""
    ends = [DAYS.index(name) if name in DAYS else -1 for name in (part.strip() for part in re.split("[-–]", word))]
    if -1 in ends or len(ends) > 2:
        raise ValueError(f"{word!r} is no day; the days are {', '.join(DAYS)}")
    return [(ends[0] + more) % 7 for more in range((ends[-1] - ends[0]) % 7 + 1)]


def _hours(value: Any) -> tuple[int, int]:
    match = HOURS.match(value.strip()) if isinstance(value, str) else None
    if not match:
        raise ValueError(f"{value!r} are no hours of a day")
    begin, end = (int(match[place]) * 60 + int(match[place + 1] or 0) for place in (1, 3))
    if not begin < end <= WHOLE_DAY[1]:
        raise ValueError(f"{value!r} does not end after it begins, within one day")
    return begin, end
