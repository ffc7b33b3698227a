"""What both sides do around each view: judge the stamp, tell the position, answer for the fence."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import DatabaseError, connections
from django.http import HttpRequest, HttpResponseBase

from strangler import conf
from strangler.analysis import usage
from strangler.problems import from_error, problem
from strangler.seams import exchange, recording, retirement
from strangler.seams.claims import Owner, read, resolve
from strangler.seams.errors import Fenced, NotOwner, SeamTimeout, SeamUnavailable
from strangler.seams.stamps import ACCESS, NOT_EXECUTED, SAFE_METHODS, Stamp, accepts
from strangler.sync import databases, fence, wake
from strangler.sync.database import execute
from strangler.sync.databases.port import Statement

log = logging.getLogger(__name__)
GetResponse = Callable[[HttpRequest], HttpResponseBase]
RUNS = 3

HERE = Statement("""
SELECT {position_of:marker},
       coalesce((SELECT epoch FROM strangler_ownership WHERE context = %(context)s), 0),
       coalesce((SELECT owner FROM strangler_ownership WHERE context = %(context)s), ''),
       {array_of:SELECT name FROM strangler_stream WHERE state = 'live' AND kind IN ('mirror', 'copies')},
       {array_of:SELECT context || ' ' || share FROM strangler_recording WHERE until > CURRENT_TIMESTAMP}
""")


class StampMiddleware:
    """Answers 421, before the view, a request whose stamp shows that this side is not the owner, or is stale itself (P20)."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            stamp = Stamp.of(request.headers, request.method or "")
        except ValueError as error:
            return problem(400, "The stamp makes no sense", str(error))
        if stamp is None or _stays(stamp):
            return self.get_response(request)
        local = self._local(stamp.context)
        if accepts(stamp, local):
            return self.get_response(request)
        return misdirected(local)

    def _local(self, context: str) -> Owner:
        """What this side knows. Where nothing is written the monolith owns; a service knows nothing of other contexts."""
        return read(context) or Owner(context, 0, "monolith", conf.side())


def _stays(stamp: Stamp) -> bool:
    """Whether the context is one that declares no service, and so never had another owner: nothing to ask the database."""
    declared = conf.load()[0].contexts.get(stamp.context)
    return stamp.epoch == 0 and conf.side() == "monolith" and declared is not None and not declared.service_urls


def misdirected(local: Owner) -> HttpResponseBase:
    """421: nothing was executed, somebody else owns the context; only this may be sent again by the proxy."""
    response = problem(
        421,
        "Not the owner",
        f"{local.context} is owned by {local.owner} at epoch {local.epoch}; this is the {local.here}.",
        context=local.context,
        owner=local.owner,
        epoch=local.epoch,
        executed=False,
    )
    response[NOT_EXECUTED] = "1"
    response["Retry-After"] = "0"
    return response


class PositionMiddleware:
    """After a request that may have written: ``X-Strangler-Position`` (P23), and a nudge for the streams (P12).

    A write that met the fence is answered 503 with ``Retry-After`` (P15); under ``ATOMIC_REQUESTS``, where all of it was rolled
    back, it is first run again, whole (P17). A seam that nobody answered is 503, or 504 where the outcome is not known.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        usage.serving()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith("/_strangler/"):  # rows and ownership, not requests of users
            with usage.ours():
                return self.get_response(request)
        unit, response = usage.request_begun(request), None
        try:
            response = self._answer(request)
        finally:
            usage.request_ended(unit, response)
        return response

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        with exchange.begin(request.headers) as current:
            response = recording.run(request, self._run)
            writes = request.method not in SAFE_METHODS or request.headers.get(ACCESS) == "write"
            if writes:
                self._note_own(current)
            if current.positions:
                response[exchange.POSITION] = current.header()
        return response

    def process_view(self, request: HttpRequest, *_: object) -> HttpResponseBase | None:
        return retirement.refusal(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        if isinstance(exception, (SeamUnavailable, SeamTimeout, NotOwner)):
            return _unanswered(exception)
        refused = exception if isinstance(exception, Fenced) else fence.fenced(exception)
        if refused is None:
            return None
        request.strangler_fenced = refused  # type: ignore[attr-defined]
        log.warning("seams.fenced", extra={"context": refused.context, "owner": refused.owner, "epoch": refused.epoch})
        return from_error(refused)

    def _run(self, request: HttpRequest) -> HttpResponseBase:
        atomic = bool(connections[conf.setting("DATABASE")].settings_dict["ATOMIC_REQUESTS"])
        if atomic and request.method not in SAFE_METHODS:
            _ = request.body  # kept, so that the view can read it again
        for _run in range(RUNS):
            request.strangler_fenced = None  # type: ignore[attr-defined]
            response = self.get_response(request)
            refused: Fenced | None = request.strangler_fenced  # type: ignore[attr-defined]
            if refused is None or not (atomic and _rolled_back(request)):
                break
            try:
                resolve(refused.context)  # waits while there is no owner
            except Fenced:
                break
        return response

    def _note_own(self, current: exchange.Exchange) -> None:
        context = conf.setting("CONTEXT") if conf.side() == "service" else ""
        try:
            with connections[conf.setting("DATABASE")].cursor() as cursor:
                marker, epoch, owner, listed, recorded = execute(cursor, HERE, {"context": context}).fetchone()
                streams = databases.of(cursor.db).unlisted(listed)
                recording.learn(databases.of(cursor.db).unlisted(recorded))
        except DatabaseError:
            log.exception("seams.position_unknown")
            return
        current.note(context or "monolith", epoch, marker)
        if owner == "service":
            streams = [conf.estate().contexts[context].reverse_stream]
        for stream in streams:
            wake.wake(stream)


def _unanswered(error: SeamUnavailable | SeamTimeout | NotOwner) -> HttpResponseBase:
    """504 where the outcome is not known, 503 where nothing was executed on the other side."""
    status = 504 if isinstance(error, SeamTimeout) else 503
    response = problem(status, "The other side did not answer", str(error), context=error.context)
    response["Retry-After"] = "1"
    return response


def _rolled_back(request: HttpRequest) -> bool:
    """Was the whole view one transaction? Not if it opted out, nor can uploads be read twice."""
    view = getattr(request.resolver_match, "func", None)
    opted_out: set[str] = getattr(view, "_non_atomic_requests", set())
    return conf.setting("DATABASE") not in opted_out and not getattr(request, "_files", None)
