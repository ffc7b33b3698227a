"""The row digest, held against the golden vectors that every language is tested on."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain import wire
from strangler.domain.digest import MODULUS, RangeDigest, canonical, canonical_json, number, row_digest, row_text
from strangler.domain.wire import JSON_NULL, Kind

VECTORS = json.loads((Path(__file__).parents[3] / "extracted/contract/vectors/digest.json").read_text(encoding="utf-8"))


def fields_of(vector: dict) -> dict[str, tuple[Kind, wire.Json]]:
    return {field["name"]: (Kind(field["type"]), field["value"]) for field in vector["fields"]}


@pytest.mark.parametrize("vector", VECTORS["rows"], ids=lambda vector: vector["name"])
def test_golden_rows(vector):
    assert row_text(fields_of(vector)) == vector["canonical"]
    assert row_digest(fields_of(vector)) == int(vector["digest"]) == int(vector["hex"], 16)


@pytest.mark.parametrize("vector", VECTORS["ranges"], ids=lambda vector: vector["name"])
def test_golden_ranges(vector):
    digests = [int(VECTORS["rows"][index]["digest"]) for index in vector["rows"]]
    assert RangeDigest.of(digests) == RangeDigest(vector["count"], int(vector["digest"]))


# From the appendix of RFC 8785.
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (-5e-324, "-5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (1e23, "1e+23"),
        (999999999999999700000.0, "999999999999999700000"),
        (1e21, "1e+21"),
        (9.999999999999997e-7, "9.999999999999997e-7"),
        (0.000001, "0.000001"),
        (333333333.3333332, "333333333.3333332"),
        (-0.0000033333333333333333, "-0.0000033333333333333333"),
    ],
)
def test_numbers_are_written_as_ecmascript_does(value, text):
    assert number(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_itself(value):
    assert float(number(value)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_equal_decimals_have_one_text(value):
    text = canonical(Kind.DECIMAL, str(value))
    assert Decimal(text) == value
    assert "E" not in text
    assert canonical(Kind.DECIMAL, f"{text}{'' if '.' in text else '.'}000") == text


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.text(), st.integers(-(2**53), 2**53)), max_size=5))
def test_canonical_json_does_not_depend_on_the_order_of_members(value):
    assert canonical_json(value) == canonical_json(dict(reversed(value.items())))
    assert json.loads(canonical_json(value)) == value


ROWS = st.dictionaries(st.text(min_size=1, max_size=4), st.one_of(st.none(), st.text(max_size=6)), max_size=4)


@given(ROWS, ROWS)
def test_different_rows_have_different_texts(one, other):
    texts = [row_text({name: (Kind.TEXT, value) for name, value in row.items()}) for row in (one, other)]
    names_are_plain = all("=" not in name and ";" not in name for name in (*one, *other))
    assert (texts[0] == texts[1]) == (one == other) or not names_are_plain


@given(st.lists(st.integers(0, MODULUS - 1)), st.integers(0, 20))
def test_ranges_may_be_cut_anywhere(digests, cut):
    assert RangeDigest.of(digests[:cut]) + RangeDigest.of(digests[cut:]) == RangeDigest.of(digests)


def test_a_json_null_is_not_the_sql_null():
    assert row_text({"j": (Kind.JSON, JSON_NULL)}) == "j=4:null;"
    assert row_text({"j": (Kind.JSON, None)}) == "j=-;"
