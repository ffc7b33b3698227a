from __future__ import annotations

import pytest

from strangler_proxy import bounds
from strangler_proxy.settings import Limits, parse


def test_sizes_counts_and_times_have_units_and_the_last_word_wins() -> None:
    limits = bounds.parse(Limits, ["body=10M", "first-byte=500ms", "total=5m", "connections=7", "idle-response=3", "body=1k"])
    assert (limits.body, limits.first_byte, limits.total, limits.connections) == (1024, 0.5, 300.0, 7)
    assert limits.idle_response == 3.0
    assert limits.head == Limits().head


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("first-byte", "is not NAME=VALUE with one of the names"),
        ("nonsense=1", "first-byte"),
        ("first-byte=soon", "'soon' is not a time such as 500ms, 10s or 5m"),
        ("first-byte=-1", "is not a time"),
        ("head=1.5", "'1.5' is not a whole number such as 512, 64K or 1G"),
        ("head=0", "it can't be 0; only body, body-rate"),
        ("connect=0s", "it can't be 0"),
        ("body=", "is not a whole number"),
        ("first-byte=1e9", "is not a time"),
        ("body=٣", "is not a whole number"),
    ],
)
def test_nonsense_is_one_sentence_that_says_what_would_do(given: str, said: str) -> None:
    with pytest.raises(ValueError, match=".") as raised:
        bounds.parse(Limits, [given])
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_0_switches_off_what_can_be_off() -> None:
    assert bounds.parse(Limits, ["body=0", "total=0s"]) == Limits(body=0, total=0.0)
    assert {name for name in bounds.OFF if not hasattr(Limits, name)} == set()


def test_the_environment_gives_defaults_and_the_command_line_replaces_them() -> None:
    given = {"PROXY_LIMITS": "body=1M, first-byte=7s"}
    limits = parse(["--table", "t.json", "--limit", "first-byte=8s"], given).limits
    assert (limits.body, limits.first_byte) == (1024 * 1024, 8.0)


def test_misuse_ends_with_2_and_names_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--table", "t.json", "--limit", "bodies=1"], {})
    assert ended.value.code == 2
    assert "--limit 'bodies=1' is not NAME=VALUE" in capsys.readouterr().err


def test_every_limit_is_listed_as_it_is_given() -> None:
    shown = bounds.listing(Limits).split(", ")
    assert "body=1G" in shown
    assert "freshness=200ms" in shown
    assert bounds.parse(Limits, [each for each in shown if not each.endswith(("=0", "=0s"))]) == Limits()
