"""Events: there and back, ordered by version, and rubbish is named."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strangler.domain.envelope import BadEvent, Event, Op, Version, from_json, schema_hash, to_json
from strangler.domain.wire import JSON_NULL

NUMBERS = st.integers(0, 2**63 - 1)
VERSIONS = st.builds(Version, NUMBERS, NUMBERS, NUMBERS)
EVENT = Event("payments", Op.UPSERT, "payments.Payment", "7", Version(7, 3, 4711), {"id": 7, "amount": "1.10"}, "0a1b2c3d", 4711)


@given(VERSIONS)
def test_a_versions_text_reads_back(version):
    assert Version.parse(str(version)) == version


@given(VERSIONS, VERSIONS)
def test_versions_are_ordered_by_epoch_then_token_then_round(one, other):
    def numbers(version: Version) -> tuple[int, int, int]:
        return version.epoch, version.token, version.round

    assert (one < other) == (numbers(one) < numbers(other))


@pytest.mark.parametrize("text", ["", "1", "1.2", "1.2.3.4", "a.b.c", "-1.2.3", "1.2.³", None, 1.5])
def test_what_is_no_version_is_refused(text):
    with pytest.raises(BadEvent, match="three numbers"):
        Version.parse(text)


@given(
    st.sampled_from(list(Op)),
    st.from_regex(r"[a-z]+\.[A-Z][a-z]+(_[a-z]+)?", fullmatch=True),
    st.text(),
    VERSIONS,
    st.dictionaries(
        st.text(min_size=1), st.one_of(st.none(), st.text(), st.integers(), st.just(JSON_NULL)), min_size=1, max_size=4
    ),
)
def test_events_read_back_as_they_were(op, collection, key, version, data):
    event = Event(
        "s", op, collection, None if op is Op.RESET else key, version, data if op is Op.UPSERT else None, marker=version.round
    )
    assert from_json(to_json([event])) == [event]


def test_the_wire_form_is_a_cloudevent():
    (body,) = json.loads(to_json([EVENT]))
    assert body == {
        "specversion": "1.0",
        "id": "payments/3-4711/payments.Payment/7",
        "source": "strangler/monolith",
        "type": "strangler.row.upsert",
        "subject": "payments.Payment/7",
        "strstream": "payments",
        "strversion": "7.3.4711",
        "strschema": "0a1b2c3d",
        "strmarker": 4711,
        "data": {"id": 7, "amount": "1.10"},
    }


def test_a_json_null_travels_as_null_with_its_column_named():
    event = Event("s", Op.UPSERT, "a.B", "1", Version(0, 1, 1), {"id": 1, "j": JSON_NULL, "k": None})
    (body,) = json.loads(to_json([event]))
    assert (body["data"], body["strjsonnull"]) == ({"id": 1, "j": None, "k": None}, '["j"]')


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"type": "other"}, "type is 'other'"),
        ({"type": ["x"]}, "type is"),
        ({"subject": ""}, "subject"),
        ({"subject": "payments.Payment"}, "collection/key"),
        ({"type": "strangler.collection.reset"}, "a reset names a collection alone"),
        ({"strversion": "1"}, "strversion"),
        ({"strmarker": True}, "strmarker"),
        ({"strstream": None}, "strstream"),
        ({"source": 5}, "source"),
        ({"data": None}, "data is not a row"),
        ({"data": {}}, "data is not a row"),
        ({"strjsonnull": "["}, "strjsonnull"),
    ],
)
def test_what_is_wrong_is_named_with_the_event(changed, said):
    good = json.loads(to_json([EVENT]))[0]
    with pytest.raises(BadEvent, match="event 1: ") as refused:
        from_json(json.dumps([good, {**good, **changed}]))
    assert said in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "{}", '"x"', "[1]", "[null]"])
def test_what_is_no_batch_is_refused(text):
    with pytest.raises(BadEvent):
        from_json(text)


def test_a_schema_is_the_same_whatever_the_order_of_its_columns():
    assert schema_hash({"a": "int", "b": "text"}) == schema_hash({"b": "text", "a": "int"})
    assert schema_hash({"a": "int"}) != schema_hash({"a": "bigint"})
    assert len(schema_hash({})) == 8
