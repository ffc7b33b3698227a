"""A table that a test makes on both sides, with an unmanaged model for it, captured and mirrored like any of the bank's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.db import models

from strangler.sync import capture, collections, fence, install, streams
from strangler.sync.database import connection, rows
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE

TABLE = "bank_extra"
NAME = "bank.Extra"


@contextmanager
def model(key: Sequence[str], table: str = TABLE, name: str = "Extra") -> Iterator[type[models.Model]]:
    """The model class, known to Django while the block runs. Only its table and key matter: columns come from the catalogue."""
    body: dict[str, Any] = {column: models.TextField() for column in key}
    if len(key) == 1:
        body = {"id": models.TextField(primary_key=True, db_column=key[0])}
    else:
        body["pk"] = models.CompositePrimaryKey(*key)
    before = apps.all_models["bank"].pop(name.lower(), None)
    meta = type("Meta", (), {"app_label": "bank", "managed": False, "db_table": table})
    made = type(name, (models.Model,), {"__module__": "tests.integration.sync.bank.models", "Meta": meta, **body})
    collections.forget()
    try:
        yield made
    finally:
        del apps.all_models["bank"][name.lower()]
        if before is not None:
            apps.all_models["bank"][name.lower()] = before
        apps.clear_cache()
        collections.forget()


@contextmanager
def table(definition: str, key: Sequence[str] = ("id",), *, there: str | None = None, before: str = "") -> Iterator[None]:
    """``CREATE TABLE bank_extra (definition)`` on both sides (``there``: another one at the destination), mirrored."""
    for alias, columns in ((SOURCE, definition), (DESTINATION, there or definition)):
        if before:
            rows(before, using=alias)
        rows(f"CREATE TABLE {TABLE} ({columns})", using=alias)
    try:
        with model(key):
            guard()
            yield
    finally:
        rows("DELETE FROM strangler_subscription WHERE collection = %s", [NAME], SOURCE)
        for alias in (SOURCE, DESTINATION):
            cascade = " CASCADE" if connection(alias).vendor == "postgresql" else ""
            rows(f"DROP TABLE IF EXISTS {TABLE}{cascade}", using=alias)
            capture.prune(alias)


def guard() -> None:
    """Capture on the source, as ``sync install`` does it, for this table alone."""
    found = collections.for_stream(CONTEXT, SOURCE)[NAME]
    streams.subscribe(CONTEXT, list(collections.for_stream(CONTEXT, SOURCE)), SOURCE)
    capture.install(found, SOURCE)
    fence.install(found, CONTEXT, "monolith", SOURCE)


__all__ = ["NAME", "TABLE", "guard", "install", "model", "table"]
