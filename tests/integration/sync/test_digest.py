"""The golden vectors in PostgreSQL: its own SQL and the way through Python give the same digests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from strangler.sync import digest
from strangler.sync.collections import Collection
from strangler.sync.columns import columns_of
from strangler.sync.database import connection, port, quote, snapshot
from strangler.sync.digest import Range
from tests.integration.sync.estate import CONTEXT, SOURCE

VECTORS = json.loads((Path(__file__).parents[3] / "extracted/contract/vectors/digest.json").read_text(encoding="utf-8"))["rows"]
TYPES = {
    "integer": "bigint",
    "decimal": "numeric",
    "boolean": "boolean",
    "text": "text",
    "timestamp": "timestamptz",
    "local": "timestamp",
    "date": "date",
    "uuid": "uuid",
    "bytes": "bytea",
    "json": "jsonb",
    "float": "double precision",
}
BY_FIELD = {
    ("arrays as canonical JSON of their wire values", "b"): "int[]",
    ("other types by the database's own text", "r"): "int4range",
    ("other types by the database's own text", "ip"): "inet",
}


@pytest.mark.only("postgresql", "digests in SQL; test_sqlite_values has the vectors for SQLite")
@pytest.mark.parametrize("way", ["sql", "python"])
@pytest.mark.parametrize("vector", [vector for vector in VECTORS if vector["fields"]], ids=lambda vector: vector["name"])
def test_golden_vectors(estate, vector, way, monkeypatch):
    types = {
        field["name"]: BY_FIELD.get((vector["name"], field["name"])) or TYPES.get(field["type"], "text[]")
        for field in vector["fields"]
    }
    with connection(SOURCE).cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS golden")
        cursor.execute(
            f"CREATE TABLE golden (golden_key int PRIMARY KEY, {', '.join(f'{quote(n)} {t}' for n, t in types.items())})"
        )
        try:
            made = columns_of("golden", SOURCE)
            whole = Collection("golden", CONTEXT, "golden", (made[0],), tuple(made))
            row = {"golden_key": 1, **{field["name"]: field["value"] for field in vector["fields"]}}
            port(SOURCE).upsert(cursor, whole, made, [row])
            seen = Collection("golden", CONTEXT, "golden", (made[0],), tuple(made[1:]))
            if way == "python":
                monkeypatch.setattr(digest, "in_sql", lambda collection: False)
            with snapshot(SOURCE) as reading:
                assert digest.keys(reading, seen, Range()) == [("1", int(vector["digest"]))]
                total = digest.total(reading, seen, Range())
                (bucket,) = digest.buckets(reading, seen, Range(), 8)
            assert (total.count, total.digest) == (bucket.count, bucket.digest) == (1, int(vector["digest"]))
        finally:
            cursor.execute("DROP TABLE golden")


def test_ranges_are_cut_by_the_order_of_the_key_on_every_server(estate):
    """Text keys by their bytes, not by the database's collation: two servers may have different ones."""
    from tests.integration.sync.bank.models import Code

    Code.objects.using(SOURCE).bulk_create([Code(code=code) for code in ("a", "B", "ä", "_", "Z", "z", "")])
    from strangler.sync import collections

    code = collections.for_stream(CONTEXT, SOURCE)["bank.Code"]
    with snapshot(SOURCE) as cursor:
        listed = [key for key, _ in digest.keys(cursor, code, Range())]
        half = [key for key, _ in digest.keys(cursor, code, Range("_", "z", is_closed=False))]
    assert listed == sorted(listed, key=str.encode)
    assert half == ["_", "a"]
