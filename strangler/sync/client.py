"""The HTTP client of a service's contract (DESIGN section 6), from the monolith's side."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import requests

from strangler import conf
from strangler.domain import wire
from strangler.domain.envelope import CONTENT_TYPE, Event, to_json
from strangler.domain.tokens import issue
from strangler.errors import Misconfigured, NotServed, ServiceUnavailable
from strangler.sync import deadline
from strangler.sync.answer import judge
from strangler.sync.collections import declared

TIMEOUT = (1.0, 5.0)  # seconds to connect, to answer
_sessions = threading.local()


class ServiceClient:
    """Calls the service of ``context``; connections are kept alive per thread.

    Every call raises ``ServiceUnavailable`` when it does not answer or answers 5xx, ``StaleEpoch`` for 409, ``Gone`` for
    410, ``StranglerError`` else.
    """

    def __init__(self, context: str, url: str | None = None, timeout: tuple[float, float] = TIMEOUT) -> None:
        urls = (url,) if url else declared(context).service_urls
        if not urls:
            raise Misconfigured(f"contexts.{context}.service: no urls; name where the service listens in strangler.toml")
        self.context, self.url, self.timeout = context, str(urls[0]).rstrip("/"), timeout

    def post_changes(self, events: Iterable[Event]) -> dict[str, Any]:
        """What the service applied, skipped, keeps waiting and can't take: lists by subject."""
        body = to_json(events).encode()
        return self._answer("POST", "/_strangler/changes", data=body, headers={"Content-Type": CONTENT_TYPE})

    def changes(self, after: int, limit: int) -> dict[str, Any]:
        return self._answer("GET", "/_strangler/changes", params={"after": after, "limit": limit})

    def digest(
        self,
        collection: str,
        from_: str | None = None,
        to: str | None = None,
        buckets: int = 32,
        since: int | None = None,
    ) -> list[dict[str, Any]]:
        """``[{from, to, count, digest}]``; with ``since`` one entry per key applied after that marker (count 0: deleted)."""
        asked = {"collection": collection, "from": from_, "to": to, "buckets": buckets, "since": since}
        answer = self._answer("GET", "/_strangler/digest", params={k: v for k, v in asked.items() if v is not None}, slow=True)
        return [{**bucket, "digest": int(bucket["digest"])} for bucket in answer]

    def digest_keys(self, collection: str, keys: Sequence[str]) -> list[dict[str, Any]]:
        """One entry per key, count 0 where it isn't there."""
        params = {"collection": collection, "keys": wire.dumps(list(keys))}
        return [{**item, "digest": int(item["digest"])} for item in self._answer("GET", "/_strangler/digest", params=params)]

    def rows(self, collection: str, keys: Sequence[str]) -> dict[str, dict[str, str | None]] | None:
        """Key → column → canonical text, of those that exist; None where the service doesn't have this optional call."""
        params = {"collection": collection, "keys": wire.dumps(list(keys))}
        try:
            return {item["key"]: item["data"] for item in self._answer("GET", "/_strangler/rows", params=params)}
        except NotServed:
            return None

    def note(self, collection: str, keys: Sequence[str]) -> int:
        """Ask the service to send these keys again through its feed: how drift of a reverse stream is repaired."""
        answer = self._answer("POST", "/_strangler/notes", json={"collection": collection, "keys": list(keys)})
        return int(answer["noted"])

    def ownership(self) -> dict[str, Any]:
        """``{context, epoch, owner, operation, next_ids, marker}``; the marker is drawn while it answers."""
        return self._answer("GET", "/_strangler/ownership")

    def put_ownership(
        self, *, epoch: int, owner: str, operation: str, next_ids: Mapping[str, int] | None = None
    ) -> dict[str, Any]:
        """Answers the row as it is now, with the service's ``next_ids`` and a ``marker`` drawn after the change."""
        body = {"context": self.context, "epoch": epoch, "owner": owner, "operation": operation, "next_ids": next_ids or {}}
        return self._answer("PUT", "/_strangler/ownership", json=body)

    def ready(self) -> None:
        """Returns if the service is ready to serve."""
        self._answer("GET", "/readyz")

    def _answer(self, method: str, path: str, *, slow: bool = False, **request: Any) -> Any:
        headers = {
            "Authorization": f"Bearer {issue(conf.service_secret(), audience=self.context, now=time.time())}",
            **request.pop("headers", {}),
        }
        longest = (self.timeout[0], self.timeout[1] * (12 if slow else 1))

        def call() -> requests.Response:
            timeout = (deadline.cap(longest[0]), deadline.cap(longest[1]))
            return _session().request(method, self.url + path, headers=headers, timeout=timeout, allow_redirects=False, **request)

        try:
            try:
                response = call()
            except requests.ConnectionError as error:
                if isinstance(error, requests.ConnectTimeout):
                    raise
                response = call()  # the server may have closed a kept-alive connection; every call of the contract is idempotent
        except requests.RequestException as error:
            raise ServiceUnavailable(
                f"the {self.context} service at {self.url} does not answer ({type(error).__name__}); "
                "is it running? See: strangler status"
            ) from error
        judge(
            response.status_code,
            response.content,
            who=f"the {self.context} service at {self.url}",
            call=f"{method} {self.url}{path}",
        )
        is_json = "json" in response.headers.get("Content-Type", "")  # a health check may be answered with any text
        return wire.loads(response.content) if is_json and response.content else None


def _session() -> requests.Session:
    session: requests.Session | None = getattr(_sessions, "session", None)
    if session is None:
        session = _sessions.session = requests.Session()
        session.trust_env = False  # no proxy and no .netrc between our own processes
    return session
