"""Which tables move: the collections of a context and its read copies, from the model registry, the estate and the catalogue.

The estate says which apps and copies, the models say which tables and keys, and the database's own catalogue says which columns
there are and of what type. So unmanaged models, tables with columns of their own and inherited tables come out right.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.apps import apps
from django.db import models

from strangler import conf
from strangler.domain.envelope import schema_hash
from strangler.domain.estate import Context
from strangler.errors import Misconfigured
from strangler.sync import mirrorable
from strangler.sync.columns import Column
from strangler.sync.database import alias, port, quote, quoted

FRESH_S = 30.0  # how long what the catalogue said is believed; an error on a collection forgets it at once
_cache: dict[tuple[str, str, tuple[str, ...]], tuple[float, Collection]] = {}


@dataclass(frozen=True)
class Collection:
    """One mirrored table. ``table`` may be ``schema"."name`` (Django's way to write a schema into ``db_table``)."""

    name: str
    context: str
    table: str
    key: tuple[Column, ...]
    columns: tuple[Column, ...]
    partial: bool = False
    leaves: tuple[str, ...] = ()  # of a partitioned table

    @property
    def ddl(self) -> str:
        """The table's quoted name for SQL without parameters."""
        return f'"{self.table}"' if '"."' in self.table else quote(self.table)

    @property
    def sql(self) -> str:
        """The table's quoted name for SQL with parameters."""
        return self.ddl.replace("%", "%%")

    @cached_property
    def schema(self) -> str:
        """Changes with the names and types of the columns that travel; after a colon the names of the key's."""
        hashed = schema_hash({column.name: column.type for column in self.columns})
        return f"{hashed}:{','.join(column.name for column in self.key)}"

    @cached_property
    def key_form(self) -> str:
        """Names and types of the key: pointers from before it changed name nothing any more."""
        return ",".join(f"{column.name}:{column.key_type}" for column in self.key)

    def key_text(self, row: str) -> str:
        """SQL (for use with parameters): the key of ``row`` as text. One column: its text; several: a JSON array."""
        if len(self.key) == 1:
            return self.key[0].as_key(row)
        return f"jsonb_build_array({', '.join(column.as_key_element(row) for column in self.key)})::text"

    def key_matches(self, row: str, param: str = "%s") -> str:
        """SQL: the key of ``row`` is among the texts in the array parameter ``param``; uses the key's index."""
        if len(self.key) == 1:
            return f"{self.key[0].at(row)} = ANY({param}::text[]::{self.key[0].key_type}[])"
        columns = ", ".join(column.at(row) for column in self.key)
        return f"({columns}) IN (SELECT {self.key_parts('k')} FROM unnest({param}::text[]) AS k)"

    def key_parts(self, text: str) -> str:
        """SQL: the typed key columns out of the key's text expression ``text``."""
        if len(self.key) == 1:
            return f"{text}::{self.key[0].key_type}"
        return ", ".join(f"({text}::jsonb ->> {index})::{column.key_type}" for index, column in enumerate(self.key))

    def key_order(self, row: str) -> str:
        """SQL: the key's columns for ORDER BY and range comparisons, the same on every server (text by its bytes)."""
        return ", ".join(column.ordered(row) for column in self.key)

    def key_bound(self, param: str = "%s") -> str:
        """SQL: the parameter's key in the form of ``key_order``, to be put in brackets and compared with it."""
        if len(self.key) == 1:
            return f"{param}::{self.key[0].key_type}{self.key[0].collation}"
        return ", ".join(
            f"({param}::jsonb ->> {index})::{column.key_type}{column.collation}" for index, column in enumerate(self.key)
        )

    def keys_param(self, keys: Iterable[str]) -> Any:
        """The parameter of ``key_matches``."""
        return list(keys)

    def bound_params(self, key: str) -> list[Any]:
        return [key] * len(self.key)

    def row_json(self, row: str) -> str:
        """SQL: the row's wire values as JSON text."""
        fields = ", ".join(f"{column.on_wire(row)} AS {quoted(column.name)}" for column in self.columns)
        return f"(SELECT row_to_json(w) FROM (SELECT {fields}) AS w)::text"

    @property
    def json_columns(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.kind == "json")


def context_of(model: type[models.Model]) -> str:
    """The context that owns the model's table; ``platform`` where none declares its app."""
    app = model._meta.app_config.name
    for context in conf.estate().contexts.values():
        if app in context.apps:
            return context.name
    return "platform"


def declared(context: str) -> Context:
    try:
        return conf.estate().contexts[context]
    except KeyError:
        known = ", ".join(conf.estate().contexts) or "none"
        raise Misconfigured(f"there is no context {context!r} in strangler.toml; it has {known}") from None


def own_models(context: str) -> list[type[models.Model]]:
    """The context's models that have a table of their own, many-to-many tables included, in order of name."""
    owned, left_out = set(declared(context).apps), set(declared(context).not_mirrored)
    found = [
        model
        for model in apps.get_models(include_auto_created=True)
        if model._meta.app_config.name in owned
        and not model._meta.proxy
        and not model._meta.swapped
        and model._meta.label not in left_out
    ]
    return sorted(found, key=lambda model: model._meta.label)


def for_context(context: str, using: str | None = None) -> list[Collection]:
    """The collections of the context's own tables. Raises ``Misconfigured`` for a table that can't be mirrored."""
    return [_collection(model, (), using) for model in own_models(context)]


def refused(context: str, using: str | None = None) -> list[Misconfigured]:
    """Why tables of the context can't be mirrored, one reason each; empty where all can."""
    found = []
    for model in own_models(context):
        try:
            _collection(model, (), using)
        except Misconfigured as error:
            found.append(error)
    if not found:
        try:
            read_copies(context, using)
        except Misconfigured as error:
            found.append(error)
    return found


def read_copies(context: str, using: str | None = None) -> list[Collection]:
    """The tables of other contexts that the context's service gets a copy of, with the columns that it gets."""
    found = []
    for copy in declared(context).read_copies:
        try:
            model = apps.get_model(copy.label)
        except LookupError:
            raise Misconfigured(
                f"contexts.{context}.read_copies: there is no model {copy.label}; write app_label.Model"
            ) from None
        found.append(_collection(model, copy.columns, using))
    return found


def for_stream(stream: str, using: str | None = None) -> dict[str, Collection]:
    """The collections of a stream, by name. Raises ``Misconfigured`` for a name that no context has."""
    for context in conf.estate().contexts.values():
        if stream in (context.mirror_stream, context.reverse_stream):
            return {collection.name: collection for collection in for_context(context.name, using)}
        if stream == context.copies_stream:
            return {collection.name: collection for collection in read_copies(context.name, using)}
    raise Misconfigured(f"there is no stream {stream!r}: no context of that name in strangler.toml")


def of(context: str, using: str | None = None) -> list[Collection]:
    """Its own tables and the read copies: all that the context's service has."""
    return [*for_context(context, using), *read_copies(context, using)]


def find(context: str, name: str, using: str | None = None) -> Collection | None:
    """The collection ``name`` as the context's service has it: one of its own, or a read copy."""
    for collection in of(context, using):
        if collection.name == name:
            return collection
    return None


def forget() -> None:
    """Believe nothing that the catalogue said before: a table has changed."""
    _cache.clear()


def _collection(model: type[models.Model], only: tuple[str, ...], using: str | None) -> Collection:
    cached = _cache.get((alias(using), model._meta.label, only))
    if cached and time.monotonic() - cached[0] < FRESH_S:
        return cached[1]
    mirrorable.check_alias(model, using)
    made = describe(model._meta.label, context_of(model), model._meta.db_table, _key_columns(model), only, using)
    _cache[alias(using), model._meta.label, only] = (time.monotonic(), made)
    return made


def _key_columns(model: type[models.Model]) -> tuple[str, ...]:
    key: Any = model._meta.pk
    fields = getattr(key, "fields", None) or (key,)
    return tuple(field.column for field in fields)


def describe(
    name: str, context: str, table: str, key: tuple[str, ...], only: tuple[str, ...] = (), using: str | None = None
) -> Collection:
    """The collection as the catalogue has it. ``key`` are the wished key columns; a primary key is taken if they aren't unique.

    Raises ``Misconfigured`` where the table or a named column is absent, or where its rows can't be mirrored
    (``mirrorable``).
    """
    db, bare = port(using), Collection(name, context, table, (), ())
    columns = db.columns(bare)
    if not columns:
        raise Misconfigured(f"the table {table} of {name} does not exist; run manage.py migrate")
    by_name = {column.name: column for column in columns}
    leaves = db.check_table(bare)
    chosen = mirrorable.choose_key(name, table, by_name, db.unique_keys(bare), key)
    absent = [column for column in only if column not in by_name]
    if absent:
        raise Misconfigured(f"{name} has no column {', '.join(absent)}; it has {', '.join(sorted(by_name))}")
    wanted = {*only, *chosen} if only else set(by_name)
    taken = tuple(column for column in columns if column.name in wanted and not column.generated)
    mirrorable.check_columns(name, taken)
    return db.collection(name, context, table, tuple(by_name[column] for column in chosen), taken, bool(only), leaves)
