"""System checks: a wrong ``strangler.toml`` is reported by ``manage.py check`` with a stable id, the key and the fix."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from strangler import conf
from strangler.domain.estate import Context
from strangler.errors import StranglerError
from strangler.seams import retirement

NOT_YET = "`strangler analyze` needs none; `strangler analyze --propose --write` makes a strangler.toml."


@register("strangler")
def check_estate_file(**_: Any) -> list[CheckMessage]:
    declared, problems = conf.load()
    if not conf.is_begun():
        return [Warning("no context is declared yet, so nothing can move", hint=NOT_YET, id="strangler.W001")]
    messages: list[CheckMessage] = [
        Error(f"{problem.key}: {problem.message}", hint=problem.hint, id=problem.id) for problem in problems
    ]
    installed = {config.name for config in apps.get_app_configs()}
    for context in declared.contexts.values():
        for app in context.apps:
            if app not in installed and not _has_retired(context):
                messages.append(
                    Error(
                        f"contexts.{context.name}.apps: {app} is not installed",
                        hint="Name it as it stands in INSTALLED_APPS.",
                        id="strangler.E020",
                    )
                )
        if settings.CSRF_USE_SESSIONS and any(route.csrf for route in context.routes):
            messages.append(
                Error(
                    f"contexts.{context.name}.routes: csrf = true, but the token is in the session (CSRF_USE_SESSIONS)",
                    hint="The proxy compares it with a cookie: set CSRF_USE_SESSIONS = False, or leave the check to the service.",
                    id="strangler.E023",
                )
            )
        for copy in context.read_copies:
            messages.extend(_check_copy(context.name, copy.label, copy.columns))
        known = {model._meta.label for model in apps.get_models(include_auto_created=True)}
        messages += [
            Error(
                f"contexts.{context.name}.not_mirrored: there is no model {label}",
                hint='Write "app_label.Model".',
                id="strangler.E024",
            )
            for label in context.not_mirrored
            if label not in known
        ]
    return messages


def _has_retired(context: Context) -> bool:
    """Then its apps may have been deleted; what is declared of it still leads requests to its service."""
    return bool(context.service_urls) and context.name in retirement.retired()


def _check_copy(context: str, label: str, columns: tuple[str, ...]) -> list[CheckMessage]:
    key = f"contexts.{context}.read_copies"
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return [Error(f"{key}: there is no model {label}", hint='Write "app_label.Model".', id="strangler.E021")]
    names = {field.column for field in model._meta.local_fields}
    return [
        Error(f"{key}: {label} has no column {column}", hint=f"It has {', '.join(sorted(names))}.", id="strangler.E022")
        for column in columns
        if column not in names
    ]


@register("strangler-ratchet", deploy=True)
def check_ratchet(**_: Any) -> list[CheckMessage]:
    """Reads the whole source, so only ``check --deploy`` asks, where ``STRANGLER["RATCHET"]`` names the file."""
    if not conf.setting("RATCHET") or conf.side() != "monolith":
        return []
    from strangler.analysis import ratchet  # late: it takes what ``manage.py`` does not need

    try:
        held = ratchet.hold(ratchet.path())
    except StranglerError as error:
        return [Error(str(error), id="strangler.E040")]
    ids = {"new": "strangler.E041", "stale": "strangler.E042", "expired": "strangler.E043"}
    messages: list[CheckMessage] = [
        Error(said, hint=remedy, id=ids[said.partition(":")[0].partition(" ")[0]]) for said, remedy in ratchet.complaints(held)
    ]
    messages += [
        Warning(f"{held.path}:{entry.line}: nobody says why, or who owns it", hint="Write it there.", id="strangler.W044")
        for entry in held.compared.untold
    ]
    return messages
