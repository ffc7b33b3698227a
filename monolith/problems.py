"""Errors of the API as RFC 9457 problem documents."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as say
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from strangler.seams import NotOwner, SeamTimeout, SeamUnavailable

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A refusal that the client can act on. Subclasses say status and title; the message is the detail, in English.

    A message that a page may show names what varies by members of ``more``, as ``%(name)s``: so it can be said in the
    visitor's language (``in_words``).
    """

    status = 409
    title = "Conflict"

    def __init__(self, message: str, **more: Any) -> None:
        self.message, self.more = message, more
        self.detail = message % more if more and "%(" in message else message
        super().__init__(self.detail)

    def in_words(self) -> str:
        """In the language that is active. What varies may be a word of ours itself, such as a state."""
        said = say(self.message) if self.message else ""
        words = {name: say(value) if value and isinstance(value, str) else value for name, value in self.more.items()}
        return said % words if words and "%(" in self.message else said


class NotFound(Problem):
    status = 404
    title = "Not found"


class KeyReused(Problem):
    """An idempotency key came again with other content."""

    status = 422
    title = "Idempotency key reused"


class NotYetKnown(Problem):
    """What was asked for may exist: the read copy that was asked is behind."""

    status = 503
    title = "Not known here yet"


def document(status: int, detail: str, *, title: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "about:blank", "title": title or HTTPStatus(status).phrase, "status": status, "detail": detail, **more}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """For ``REST_FRAMEWORK['EXCEPTION_HANDLER']``. What is not ours to answer (``None``) goes to the middlewares."""
    headers: dict[str, str] = {}
    if isinstance(error, Problem):
        body = document(error.status, error.detail, title=error.title, **error.more)
        headers = {"Retry-After": "1"} if error.status == 503 else {}
    elif isinstance(error, exceptions.ValidationError):
        body = document(400, "The request is not valid.", title="Not valid", errors=error.detail)
    elif isinstance(error, exceptions.APIException):
        body = document(error.status_code, str(error.detail))
        if getattr(error, "auth_header", None):
            headers["WWW-Authenticate"] = error.auth_header  # type: ignore[attr-defined]
        if getattr(error, "wait", None):
            headers["Retry-After"] = str(int(error.wait))  # type: ignore[attr-defined]
    elif isinstance(error, (SeamUnavailable, SeamTimeout, NotOwner)):
        body, headers = (
            document(503, f"{error.context} can't be reached now. Send it again with the same key."),
            {"Retry-After": "1"},
        )
    elif isinstance(error, Http404):
        body = document(404, str(error) or "There is nothing here.")
    elif isinstance(error, PermissionDenied):
        body = document(403, str(error) or "You may not do this.")
    else:
        return None
    set_rollback()
    return Response(body, status=body["status"], headers=headers, content_type=MEDIA_TYPE)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse(document(404, f"There is no {request.path}."), status=404, content_type=MEDIA_TYPE)
    return defaults.page_not_found(request, exception, template_name="shell/404.html")


def server_error(request: HttpRequest) -> HttpResponse:
    if request.path.startswith("/api/"):
        detail = "The request failed here; it may or may not have taken effect. Ask again with the same Idempotency-Key."
        return JsonResponse(document(500, detail), status=500, content_type=MEDIA_TYPE)
    return defaults.server_error(request)


def describe(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """For ``POSTPROCESSING_HOOKS``: whatever else an operation answers is a problem document."""
    texts = {"type": "string"}
    properties = {"type": texts, "title": texts, "status": {"type": "integer"}, "detail": texts}
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = {"type": "object", "properties": properties, "required": list(properties)}
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"].setdefault("default", {"description": "A problem (RFC 9457)", "content": content})
    return result
