"""When a ramp may step, as people write it down."""

from __future__ import annotations

import tomllib
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from strangler.domain.estate_file import parse
from strangler.domain.schedule import Schedule, read

FILE = """
[contexts.payments]
apps = ["shop.payments"]
ramp = {{ {line} }}
"""


def at(text: str, timezone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone)).timestamp()


def declared(line: str) -> Schedule:
    schedule, wrong = read(tomllib.loads(line))
    assert wrong == []
    return schedule


def test_without_one_it_is_always_open() -> None:
    assert Schedule().opens(0.5) == 0.5


def test_weekdays_from_nine_to_four() -> None:
    schedule = declared('days = "mon-fri"\nhours = "9-16"\ntimezone = "Europe/Vienna"')
    friday = at("2026-03-06T15:59:59", "Europe/Vienna")
    assert schedule.opens(friday) == friday
    assert schedule.opens(friday + 1) == at("2026-03-09T09:00", "Europe/Vienna")
    assert schedule.opens(at("2026-03-09T08:00", "Europe/Vienna")) == at("2026-03-09T09:00", "Europe/Vienna")
    assert schedule.say(friday) == "Fri 2026-03-06 15:59 Europe/Vienna"


def test_days_may_go_over_the_weekend_and_be_a_list() -> None:
    assert declared('days = "fri-mon"').days == {4, 5, 6, 0}
    assert declared('days = "tue, thu"').days == declared('days = ["Tue", "thu"]').days == {1, 3}


def test_not_before_a_date_or_a_moment() -> None:
    for written in ("2026-03-02", '"2026-03-02"', "2026-03-02T00:00:00", "2026-03-02T01:00:00+01:00"):
        assert declared(f"not_before = {written}").opens(0) == at("2026-03-02T00:00")
    local = declared('not_before = 2026-03-02T09:00:00\ntimezone = "America/New_York"')
    assert local.opens(0) == at("2026-03-02T14:00")
    assert local.opens(at("2026-03-03T00:00")) == at("2026-03-03T00:00")
    later = declared('not_before = 2026-03-07\ndays = "mon-fri"\nhours = "9:30-24"')
    assert later.opens(0) == at("2026-03-09T09:30")


def test_where_the_clocks_go_forward_there_is_no_such_hour() -> None:
    schedule = declared('hours = "2-3"\ntimezone = "Europe/Vienna"')
    assert schedule.opens(at("2026-03-29T00:00", "Europe/Vienna")) == at("2026-03-30T02:00", "Europe/Vienna")


def test_where_the_clocks_go_back_the_hour_lasts_two() -> None:
    schedule = declared('hours = "2-3"\ntimezone = "Europe/Vienna"')
    begin = at("2026-10-25T00:00")  # 02:00 in Vienna, for the first time
    assert [schedule.opens(begin + more) - begin for more in (0, 3600, 7199)] == [0, 3600, 7199]
    assert schedule.opens(begin + 7200) == at("2026-10-26T02:00", "Europe/Vienna")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'on_fail = "explode"',
            "ramp.on_fail: is 'explode' (strangler.E060). It is back (to the last share that held) or freeze.",
        ),
        ("max_backs = 0", "ramp.max_backs: is 0, not a number from 1 to 100 (strangler.E006)"),
        ('interval = "0s"', "ramp.interval: '0s' is shorter than a tick, which is a second (strangler.E016)"),
        ("steps = [true, 100]", "ramp.steps: is [True, 100] (strangler.E015)"),
        ('days = "mon-xyz"', "ramp.days: 'mon-xyz' is no day; the days are mon, tue, wed, thu, fri, sat, sun (strangler.E061)"),
        ("days = []", "ramp.days: [] names no days (strangler.E061)"),
        ("days = 3", "ramp.days: 3 names no days (strangler.E061)"),
        ('hours = "16-9"', "ramp.hours: '16-9' does not end after it begins, within one day (strangler.E061)"),
        ('hours = "9-25"', "ramp.hours: '9-25' does not end after it begins, within one day (strangler.E061)"),
        ("hours = 9", 'ramp.hours: 9 are no hours of a day (strangler.E061). Write hours = "9-16"'),
        ('timezone = "Mars/Base"', "ramp.timezone: 'Mars/Base' is no time zone that this machine knows (strangler.E061)"),
        ('timezone = "../etc"', "ramp.timezone: '../etc' is no time zone"),
        ('timezone = ""', "ramp.timezone: '' is no time zone"),
        ("timezone = 1", "ramp.timezone: 1 is no time zone"),
        ('not_before = "soon"', "ramp.not_before: 'soon' is no date or time (strangler.E061)"),
        ("not_before = 9999-12-31", "ramp.not_before: datetime.date(9999, 12, 31) is no date or time"),
        ("not_before = 09:00:00", "ramp.not_before: datetime.time(9, 0) is no date or time"),
        ("after = 3", "ramp.after: is not a known key (strangler.E003)"),
    ],
)
def test_what_is_wrong_is_named_with_its_fix(line: str, said: str) -> None:
    estate, problems = parse(tomllib.loads(FILE.format(line=line)))
    assert len(problems) == 1
    assert f"contexts.payments.{said}" in str(problems[0])
    assert problems[0].hint
    assert estate.contexts["payments"].ramp.schedule == Schedule()
