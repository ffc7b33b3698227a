"""The monolith's own ways to write a context that has moved (P28): its admin is read-only and says who the owner is, and a
management command that meets the fence ends with one sentence.

Nothing in the project changes for it. What writes past the admin's permissions still meets the fence in the database.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.management.base import BaseCommand, CommandError
from django.db import models
from django.http import HttpRequest

from strangler import conf
from strangler.analysis import usage
from strangler.errors import Fenced
from strangler.seams.claims import Claim, Owner, read
from strangler.seams.errors import NotOwner
from strangler.seams.loose import context_of
from strangler.sync import fence

PERMISSIONS = ("has_add_permission", "has_change_permission", "has_delete_permission")
VIEWS = ("changelist_view", "changeform_view", "delete_view")
DONE = "strangler_wrapped"


def restrain() -> None:
    """Wraps Django's admin and its commands. Called once the apps are loaded; idempotent."""
    if conf.side() == "monolith":
        _restrain_admin()
    _wrap(BaseCommand, "execute", _in_one_sentence)


def elsewhere(model: type[models.Model], request: HttpRequest) -> Owner | None:
    """Who owns the model's context, if that isn't this side now; looked up once a request."""
    context = context_of(model)
    if not context:
        return None
    known: dict[str, Owner | None] = request.__dict__.setdefault("_strangler_owners", {})
    if context not in known:
        owner = read(context)
        known[context] = owner if owner and owner.claim is Claim.REMOTE else None
    return known[context]


def _restrain_admin() -> None:
    from django.contrib.admin import ModelAdmin
    from django.contrib.admin.options import BaseModelAdmin, InlineModelAdmin

    for kind in (BaseModelAdmin, InlineModelAdmin):
        for name in PERMISSIONS:
            if name in vars(kind):
                _wrap(kind, name, _only_where_owned)
    _wrap(ModelAdmin, "get_actions", _without_actions)
    for name in VIEWS:
        _wrap(ModelAdmin, name, _saying_who)


def _wrap(kind: type, name: str, how: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    original = getattr(kind, name)
    if not hasattr(original, DONE):
        wrapped = functools.wraps(original)(how(original))
        setattr(wrapped, DONE, True)
        setattr(kind, name, wrapped)


def _only_where_owned(original: Callable[..., bool]) -> Callable[..., bool]:
    def has_permission(self: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> bool:
        return original(self, request, *args, **kwargs) and not elsewhere(self.model, request)

    return has_permission


def _without_actions(original: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """What an action does can't be known; here it may not write."""

    def get_actions(self: Any, request: HttpRequest) -> dict[str, Any]:
        return {} if elsewhere(self.model, request) else original(self, request)

    return get_actions


def _saying_who(original: Callable[..., Any]) -> Callable[..., Any]:
    def view(self: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        owner = elsewhere(self.model, request)
        if owner and request.method == "POST":
            raise PermissionDenied(_sentence(owner))
        inlines = [] if owner else [elsewhere(inline.model, request) for inline in self.inlines]
        for said in dict.fromkeys(map(_sentence, filter(None, [owner, *inlines]))):
            messages.warning(request, said)
        return original(self, request, *args, **kwargs)

    return view


def _sentence(owner: Owner) -> str:
    if owner.undecided:
        return f"{owner.context} changes its owner just now and is read-only for a moment."
    return f"{owner.context} is owned by the {owner.owner} (epoch {owner.epoch}): this is its copy, and read-only."


def _in_one_sentence(original: Callable[..., Any]) -> Callable[..., Any]:
    """Only for the command line: code that calls a command gets the error as it is."""

    def execute(self: BaseCommand, *args: Any, **options: Any) -> Any:
        try:
            with usage.command(self), fence.translate():
                return original(self, *args, **options)
        except (Fenced, NotOwner) as refused:
            if not getattr(self, "_called_from_command_line", False):
                raise
            if refused.owner == "none":
                raise CommandError(f"{_ended(refused)} A hand-over is under way: repeat the command in a moment.") from refused
            name = type(self).__module__.rpartition(".")[2]
            raise CommandError(f"{_ended(refused)} Run `{name}` in the unit of the owner.") from refused

    return execute


def _ended(refused: Exception) -> str:
    """Its sentence with a full stop."""
    return f"{str(refused).rstrip('.')}."
