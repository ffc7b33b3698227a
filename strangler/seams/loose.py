"""``on_delete`` across contexts, once parent and child may have different owners (P25).

Django's collector deletes or changes the children in the database of the parent. Where the child's context is owned by the other
side that would meet the fence, and the parent could not be deleted at all. So here:

- ``CASCADE``, ``SET_NULL``, ``SET_DEFAULT`` and ``SET(…)`` do nothing when the child's owner is the other side. That side does it
  when the delete event of the parent reaches it, as an ordinary write of the owner.
- ``PROTECT`` and ``RESTRICT`` still refuse, by the local read copy of the children.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from django.apps import apps
from django.db import connections, models
from django.db.models import deletion

from strangler import conf
from strangler.seams.claims import Claim, claim, resolve
from strangler.seams.rows import on_row_applied

REFUSING = (deletion.PROTECT, deletion.RESTRICT)
Key: TypeAlias = "models.ForeignKey[Any, Any]"
_loosened: dict[str, list[Key]] = {}


def loosen_deletes() -> None:
    """Wrap ``on_delete`` of every foreign key that crosses contexts. Called once the models are loaded; idempotent.

    Only where the child's context may move (it declares a service), or this process is a service. Migrations go on seeing the
    original ``on_delete``.
    """
    estate, _ = conf.load()
    movable = {name for name, context in estate.contexts.items() if context.service_urls}
    for field in crossing_keys():
        child = context_of(field.model)
        on_delete = field.remote_field.on_delete
        if on_delete is deletion.DO_NOTHING or hasattr(on_delete, "strangler_original"):
            continue
        if child in movable or conf.side() == "service":
            _keep_deconstruction(field, on_delete)
            field.remote_field.on_delete = _loose(child, on_delete)
            parent = field.remote_field.model._meta.label
            _loosened.setdefault(parent, []).append(field)
            _follow(parent)


def crossing_keys() -> Iterator[Key]:
    """Foreign keys and one-to-ones whose child and parent are in different declared contexts."""
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_fields:
            if isinstance(field, models.ForeignKey) and not isinstance(
                field.remote_field.model, str
            ):  # Django's checks name those
                child, parent = context_of(model), context_of(field.remote_field.model)
                if child and child != parent:
                    yield field


def context_of(model: type[models.Model]) -> str:
    """The declared context of a model's app; empty for ``platform``."""
    name = model._meta.app_config.name
    return next((context.name for context in conf.load()[0].contexts.values() if name in context.apps), "")


def sweep_orphans(context: str) -> int:
    """Do for children of ``context`` whose parent is gone what ``on_delete`` says; the number of rows.

    For a side that has just become the owner: a delete whose event fell between two owners was followed by nobody.
    """
    keys = [field for fields in _loosened.values() for field in fields if context_of(field.model) == context]
    return sum(_act(field, _orphans(field)) for field in keys if _original(field) not in REFUSING)


def _loose(context: str, original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def on_delete(collector: deletion.Collector, field: Any, sub_objs: Any, using: str) -> None:
        if original in REFUSING or _owned_here(context, using):
            original(collector, field, sub_objs, using)

    on_delete.strangler_original = original  # type: ignore[attr-defined]
    return on_delete


def _owned_here(context: str, using: str) -> bool:
    # Model.delete() collects before it opens its transaction; then the fence judges what is deleted in it.
    return (claim if connections[using].in_atomic_block else resolve)(context) is Claim.LOCAL


def _original(field: Key) -> Callable[..., None]:
    on_delete = field.remote_field.on_delete
    return getattr(on_delete, "strangler_original", on_delete)


def _keep_deconstruction(field: Key, original: Callable[..., None]) -> None:
    deconstruct = field.deconstruct

    def as_declared() -> Any:
        name, path, args, kwargs = deconstruct()
        return name, path, args, {**kwargs, "on_delete": original}

    field.deconstruct = as_declared  # type: ignore[method-assign]


def _follow(parent: str) -> None:
    """Hear of deletes of ``parent`` that the other side made."""
    if len(_loosened[parent]) == 1:
        on_row_applied(parent, functools.partial(_parent_applied, parent))


def _parent_applied(parent: str, key: str, op: str) -> None:
    """In the transaction that applies the delete, so that a crash can't part the two, and as an ordinary write of the owner.

    Raises ``Fenced`` while nobody owns the children: the delete then waits, and is applied again.
    """
    if op != "delete":
        return
    for field in _loosened[parent]:
        if _original(field) not in REFUSING and claim(context_of(field.model), wait_s=0) is Claim.LOCAL:
            _act(field, _children(field, key) if field.target_field.primary_key else _orphans(field))


def _act(field: Key, children: models.QuerySet[Any]) -> int:
    """Do to ``children`` what the key's ``on_delete`` says; how many there were."""
    original = _original(field)
    if original is deletion.CASCADE:
        return children.delete()[0]
    return children.update(**{field.name: _replacement(field, original)})


def _replacement(field: Key, original: Callable[..., None]) -> Any:
    if original is deletion.SET_NULL:
        return None
    if original is deletion.SET_DEFAULT:
        return field.get_default()
    (value,) = original.deconstruct()[1]  # type: ignore[attr-defined]  # SET(value) keeps it there for migrations
    return value() if callable(value) else value


def _children(field: Key, key: str) -> models.QuerySet[Any]:
    return field.model._base_manager.using(conf.setting("DATABASE")).filter(**{field.attname: field.target_field.to_python(key)})


def _orphans(field: Key) -> models.QuerySet[Any]:
    using = conf.setting("DATABASE")
    parents = field.remote_field.model._base_manager.using(using).filter(
        **{field.target_field.attname: models.OuterRef(field.attname)}
    )
    return field.model._base_manager.using(using).exclude(**{field.attname: None}).filter(~models.Exists(parents))
