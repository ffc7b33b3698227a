"""The rows that PostgreSQL is given are the same whichever way they were written."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain import wire
from strangler.sync.databases.postgresql.writing import _array

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.decimals(allow_nan=False, allow_infinity=False)
ROWS = st.lists(st.dictionaries(st.text(), st.none() | st.booleans() | st.text() | NUMBERS | st.lists(NUMBERS)), max_size=3)


def exactly(text):
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


@given(ROWS)
def test_the_quick_way_writes_what_the_exact_one_does(rows):
    assert exactly(_array(rows)) == exactly(wire.dumps(rows))


@pytest.mark.parametrize("number", ["1.10", "123456789012345678901234567890.5", "12345678901234567890123"])
def test_a_number_is_written_as_it_was_read(number):
    assert _array(wire.loads(f'[{{"x":{number}}}]')) == f'[{{"x":{number}}}]'
