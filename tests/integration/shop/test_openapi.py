"""The API is what its OpenAPI document says: the document is complete, and what is drawn from it finds no surprise."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.cache import cache
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from django.urls import URLPattern, URLResolver, get_resolver
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    missing_required_header,
    positive_data_acceptance,
    unsupported_method,
)

NOT_API = ("api/schema",)


def test_the_document_is_valid_and_nothing_had_to_be_guessed() -> None:
    out = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    assert "openapi: 3" in out.getvalue()


def test_every_path_of_the_api_is_in_it() -> None:
    out = io.StringIO()
    call_command("spectacular", "--format", "openapi-json", stdout=out)
    described = {path.strip("/") for path in json.loads(out.getvalue())["paths"]}
    served = {path for path in _paths(get_resolver().url_patterns) if path.startswith("api/") and path not in NOT_API}
    assert {_plain(path) for path in served} == {_plain(path) for path in described}


def _paths(patterns: Any, prefix: str = "") -> list[str]:
    found: list[str] = []
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            found += _paths(pattern.url_patterns, prefix + str(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            found.append(prefix + str(pattern.pattern))
    return found


def _plain(path: str) -> str:
    """Without the names and types of what varies."""
    return re.sub(r"<[^>]+>|\{[^}]+\}", "*", path).strip("/")


@pytest.fixture
def one_connection(db: None) -> Iterator[None]:
    """As Django's own test client does: the end of a request doesn't close the connection that the test's transaction is on."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def api_schema(one_connection: None) -> Any:
    from monolith.wsgi import application

    return schemathesis.openapi.from_wsgi("/api/schema", application)


FEW = settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
# What can't hold here: rows that a drawn id names are not there (404 for good data), a method that isn't served is 405 by Django,
# and a request without a token is 401 or 403 before its headers are looked at.
NOT_OURS = [positive_data_acceptance, missing_required_header, unsupported_method, ignored_auth]


@pytest.mark.slow
@pytest.mark.parametrize("is_staff", [False, True])
def test_what_is_drawn_from_the_document_finds_no_surprise(api_schema: Any, user: Any, products: Any, is_staff: bool) -> None:
    from monolith.users import tokens

    type(user).objects.filter(pk=user.pk).update(is_staff=is_staff)
    headers = {"Authorization": f"Bearer {tokens.issue(user_id=user.pk)}"}
    surprises: dict[str, str] = {}
    for found in api_schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @FEW
        def draw(case: Any) -> None:
            cache.clear()
            with transaction.atomic():
                case.call_and_validate(headers=headers, excluded_checks=NOT_OURS)

        try:
            draw()
        except (AssertionError, BaseExceptionGroup) as surprise:
            surprises[operation.label] = str(surprise)
    assert not surprises, "\n\n".join(f"{label}\n{said}" for label, said in surprises.items())
