"""The project's models as plain data: what a path of lookups leads through, without Django and in another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FieldFacts:
    """``name`` as in ``_meta`` and in lookups (``query_name`` of a reverse relation). ``accessor``: the attribute on an instance
    (``order_set``). ``related``: the label of the model at the other end, empty for a plain column. ``kind``: "column",
    "foreign_key", "one_to_one", "many_to_many", "generic", or the same with a leading "reverse_".

    ``through``: the label of the model between, of a many-to-many. ``to_field``: the field that a foreign key points to, if not
    the primary key. ``owner``: the label of the parent whose table has it, of a field inherited over tables.
    """

    name: str
    kind: str = "column"
    related: str = ""
    attname: str = ""
    accessor: str = ""
    through: str = ""
    to_field: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """``label``: ``app_label.Model``. ``module`` and ``qualname``: where its class stands. ``managers``: attribute → class.
    ``pk``: the name of the primary key. ``querying``: the dotted classes of its managers and their querysets, with their bases.
    ``bases``: the dotted classes that it is made of and that are no models themselves: abstract ones, mixins.
    """

    label: str
    module: str
    qualname: str
    table: str
    fields: Mapping[str, FieldFacts] = field(default_factory=dict)
    managers: Mapping[str, str] = field(default_factory=dict)
    proxy_for: str = ""
    abstract: bool = False
    pk: str = "id"
    querying: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()

    def field(self, name: str) -> FieldFacts | None:
        """By name in a lookup, column (``order_id``) or accessor."""
        found = self.fields.get(name)
        if found is not None:
            return found
        return next((one for one in self.fields.values() if name in (one.attname, one.accessor)), None)


Models = Mapping[str, ModelFacts]
"""By label, as ``app_label.Model``."""
