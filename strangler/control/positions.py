"""Where a context stands: what is declared of it, and its row."""

from __future__ import annotations

import uuid

from strangler import conf
from strangler.control.models import Migration
from strangler.domain.estate import Context
from strangler.domain.stages import Position, Stage
from strangler.errors import Misuse


def declared_context(name: str) -> Context:
    """Raises ``Misuse`` for a context that isn't declared."""
    contexts = conf.estate().contexts
    if name not in contexts:
        raise Misuse(f"there is no context {name!r}; strangler.toml declares {', '.join(sorted(contexts)) or 'none'}")
    return contexts[name]


def context_named(name: str) -> Context:
    """Raises ``Misuse`` for a context that isn't declared or has no service to move to."""
    context = declared_context(name)
    if not context.service_urls:
        raise Misuse(
            f"{name} has no service to move to; give it one in strangler.toml:"
            f' contexts.{name}.service = {{ urls = ["http://…"] }}'
        )
    return context


def migration_of(context: str) -> Migration:
    rows = Migration.objects.using(conf.setting("DATABASE"))
    return rows.get_or_create(context=context, defaults={"salt": uuid.uuid4().hex})[0]


def position_of(context: str) -> Position:
    row = Migration.objects.using(conf.setting("DATABASE")).filter(context=context).first()
    return Position.of(Stage(row.stage), row.percent) if row else Position.of(Stage.MONOLITH)
