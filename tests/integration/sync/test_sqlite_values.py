"""What Django stores in SQLite travels as the same wire values, and gives the same digests, as in PostgreSQL."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from strangler.domain.digest import row_digest
from strangler.domain.wire import Kind
from strangler.sync import digest
from strangler.sync.database import port, quote, snapshot
from strangler.sync.databases.sqlite.columns import StoredCollection, StoredColumn
from strangler.sync.databases.sqlite.values import BadValue, Form, key_in, to_stored, to_wire
from strangler.sync.digest import Range
from tests.integration.sync.estate import CONTEXT, SOURCE

VECTORS = json.loads((Path(__file__).parents[3] / "extracted/contract/vectors/digest.json").read_text(encoding="utf-8"))["rows"]
FORMS = {
    "integer": (Form.INTEGER, "integer"),
    "decimal": (Form.DECIMAL, "decimal"),
    "boolean": (Form.BOOLEAN, "bool"),
    "text": (Form.TEXT, "text"),
    "timestamp": (Form.MOMENT, "datetime"),
    "local": (Form.MOMENT, "datetime"),
    "date": (Form.DATE, "date"),
    "uuid": (Form.UUID, "char(32)"),
    "bytes": (Form.BYTES, "BLOB"),
    "json": (Form.JSON, "text"),
    "float": (Form.FLOAT, "real"),
}
HOLDABLE = [vector for vector in VECTORS if any(field["type"] in FORMS for field in vector["fields"])]
UNHOLDABLE = {"12345678901234567890.12345678900", "NaN", "infinity"}  # more digits than a float has; no such value there


def column(name: str, type_: str) -> StoredColumn:
    form, declared = FORMS[type_]
    return StoredColumn(name, declared, Kind.LOCAL if type_ == "local" else form.kind, form=form)


@pytest.mark.only("sqlite", "its storage")
@pytest.mark.parametrize("vector", HOLDABLE, ids=lambda vector: vector["name"])
def test_golden_vectors(estate, vector):
    """All that SQLite can hold. What it can't is refused by name, and never rounded."""
    fields = [field for field in vector["fields"] if field["type"] in FORMS and str(field["value"]) not in UNHOLDABLE]
    for field in vector["fields"]:
        if field["type"] in FORMS and field not in fields:
            with pytest.raises(BadValue):
                to_stored(FORMS[field["type"]][0], field["value"])
    fields = [field for field in fields if field["name"] != "B" or "b" not in {f["name"] for f in fields}]  # one name to SQLite
    made = [StoredColumn("golden_key", "integer", Kind.INTEGER, form=Form.INTEGER)]
    made += [column(field["name"], field["type"]) for field in fields]
    whole = StoredCollection("golden", CONTEXT, "golden", (made[0],), tuple(made))
    seen = StoredCollection("golden", CONTEXT, "golden", (made[0],), tuple(made[1:]))
    expected = row_digest({field["name"]: (Kind(field["type"]), field["value"]) for field in fields})
    if len(fields) == len(vector["fields"]):
        assert expected == int(vector["digest"])
    with port(SOURCE).writing() as cursor:
        cursor.execute(f"CREATE TABLE golden ({', '.join(f'{quote(c.name)} {c.type}' for c in made)}, PRIMARY KEY (golden_key))")
        port(SOURCE).upsert(cursor, whole, made, [{"golden_key": 1, **{field["name"]: field["value"] for field in fields}}])
    try:
        with snapshot(SOURCE) as reading:
            assert digest.keys(reading, seen, Range()) == [("1", expected)]
            (bucket,) = digest.buckets(reading, seen, Range(), 8)
        assert (bucket.count, bucket.digest) == (1, expected)
    finally:
        with port(SOURCE).writing() as cursor:
            cursor.execute("DROP TABLE golden")


@pytest.mark.parametrize(
    ("form", "wire", "stored"),
    [
        (Form.DURATION, "-1 days +00:00:00.000001", -86_400_000_000 + 1),
        (Form.DURATION, "00:00:00", 0),
        (Form.DURATION, "1 day", 86_400_000_000),
        (Form.DURATION, "2 days 03:04:05.5", 2 * 86_400_000_000 + 11_045_500_000),
        (Form.TIME, "23:59:59.5", "23:59:59.500000"),
        (Form.ADDRESS, "10.0.0.1/32", "10.0.0.1"),
        (Form.ADDRESS, "2001:db8::1/128", "2001:db8::1"),
        (Form.MOMENT, "2026-01-02T03:04:05.000000Z", "2026-01-02 03:04:05"),
        (Form.MOMENT, "2026-01-02T03:04:05.120000Z", "2026-01-02 03:04:05.120000"),
        (Form.UUID, "00000000-0000-0000-0000-000000000001", "0" * 31 + "1"),
        (Form.BOOLEAN, True, 1),
    ],
)
def test_wire_values_are_those_of_postgresql_and_stored_ones_those_of_django(form, wire, stored):
    assert to_stored(form, wire) == stored
    assert to_wire(form, stored) == wire


@pytest.mark.parametrize(
    ("form", "wire"),
    [
        (Form.INTEGER, 2**63),
        (Form.INTEGER, 1.5),
        (Form.INTEGER, "one"),
        (Form.FLOAT, "NaN"),
        (Form.DURATION, "1 year 2 mons"),
        (Form.ADDRESS, "10.0.0.0/8"),
        (Form.DATE, "0044-03-15 BC"),
        (Form.TEXT, {"bytes": "AA=="}),
        (Form.UUID, "not one"),
        (Form.BYTES, "***"),
    ],
)
def test_what_sqlite_cannot_hold_is_refused_and_not_changed(form, wire):
    with pytest.raises(BadValue) as refused:
        to_stored(form, wire)
    assert refused.value.sqlstate[:2] == "22"


def test_moments_of_another_zone_are_carried_in_utc():
    zone = dt.timezone(dt.timedelta(hours=2))
    assert to_wire(Form.MOMENT, "2026-01-02 03:04:05", zone) == "2026-01-02T01:04:05.000000Z"
    assert to_stored(Form.MOMENT, "2026-01-02T01:04:05.000000Z", zone) == "2026-01-02 03:04:05"


def test_a_key_of_bytes_is_its_hexadecimal_text():
    assert key_in(Form.BYTES, "\\x00ff") == b"\x00\xff"
