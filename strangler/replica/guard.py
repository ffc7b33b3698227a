"""A lifted service has all of the monolith's URLs, and answers those of its own context only (DESIGN section 8)."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponseBase

from strangler import conf
from strangler.domain import paths
from strangler.domain.estate import Route
from strangler.domain.routes import Matcher, Rule
from strangler.problems import problem
from strangler.replica.rehearsal.run import HEADER, run

GetResponse = Callable[[HttpRequest], HttpResponseBase]
CONTRACT_URLS = "strangler.replica.urls"
CONTRACT_PREFIX = f"/{paths.RESERVED}/"
HEALTH = frozenset({"/livez", "/readyz", "/metrics"})


class GuardMiddleware:
    """The first middleware of a service: the service contract goes to its own URLs, what isn't of the context is answered 421.

    A prefix that another context declares inside one of ours is that other context's.
    """

    def __init__(self, get_response: GetResponse) -> None:
        if conf.side() != "service":
            raise MiddlewareNotUsed("this is not a service")
        self.get_response = get_response
        self.context: str = conf.setting("CONTEXT")
        declared = conf.estate().contexts.values()
        self.matcher = Matcher((_rule(route), context.name) for context in declared for route in context.routes)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        path = paths.normal(request.path_info)
        if path.startswith(CONTRACT_PREFIX) or path in HEALTH:
            request.urlconf = CONTRACT_URLS  # type: ignore[attr-defined]
            return self.get_response(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        matched = self.matcher.match(request.method or "", path, headers)
        if matched and matched[1] == self.context:
            return run(request, self.get_response) if HEADER in request.META else self.get_response(request)
        detail = f"This is the service of {self.context}; {path} is not one of its routes."
        return problem(421, "Not served here", detail, context=self.context)


def _rule(route: Route) -> Rule:
    return Rule(path=route.path, pattern=route.pattern, prefix=route.prefix, methods=frozenset(route.methods))
