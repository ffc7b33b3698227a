"""Values travel as JSON without loss."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.wire import JSON_NULL, dumps, loads, to_wire

BERLIN = dt.timezone(dt.timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (0.1, 0.1),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (Decimal("1.10"), "1.10"),
        (Decimal("1E+3"), "1000"),
        (dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), "2026-10-25T00:30:00.000000Z"),
        (dt.datetime(2026, 10, 25, 2, 30), "2026-10-25T02:30:00.000000"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (uuid.UUID(int=10), "00000000-0000-0000-0000-00000000000a"),
        (b"\x00\xff", "AP8="),
        (memoryview(b"a"), "YQ=="),
        ([Decimal("1.0"), None], ["1.0", None]),
        ({"a": [1]}, {"a": [1]}),
        (dt.time(1, 2, 3), "01:02:03"),
    ],
)
def test_each_kind_of_value(value, sent):
    assert to_wire(value) == sent
    dumps(to_wire(value))


@pytest.mark.parametrize("text", ["1.10", "123456789012345678901234567890.5", "0.1", "1e5", "-0.0", "12345678901234567890123"])
def test_numbers_survive_as_they_were_written(text):
    again = dumps(loads(f'{{"x":[{text}]}}'))
    assert Decimal(json.loads(again, parse_float=str, parse_int=str)["x"][0]) == Decimal(text)
    if "e" not in text:
        assert again == f'{{"x":[{text}]}}'


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


@given(JSON)
def test_what_is_json_comes_back(value):
    assert loads(dumps(value)) == value


@given(JSON, st.decimals(allow_nan=False, allow_infinity=False))
def test_the_exact_way_writes_the_same_as_the_quick_one(value, exact):
    both = json.loads(dumps([value, exact]), parse_float=Decimal, parse_int=Decimal)
    assert both[1] == exact
    assert loads(dumps([value, exact]))[0] == value


@pytest.mark.parametrize("value", [float("nan"), Decimal("Infinity"), object(), {1, 2}])
def test_what_is_not_json_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        dumps([value])


@pytest.mark.parametrize("text", ["NaN", '{"x": [Infinity]}', "-Infinity"])
def test_a_number_that_is_none_is_not_read(text):
    """Else it would be a null, once orjson has written it."""
    with pytest.raises(ValueError, match="no place in JSON"):
        loads(text)


def test_the_json_null_is_false_and_names_itself():
    assert not JSON_NULL
    assert repr(JSON_NULL) == "JSON_NULL"
