"""How a remote implementation of a contract talks to the side that has the code: bounded, honest, and never twice by accident."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import pybreaker
import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from strangler import conf
from strangler.domain import tokens
from strangler.seams import exchange
from strangler.seams.claims import read
from strangler.seams.errors import NotOwner, SeamTimeout, SeamUnavailable
from strangler.seams.stamps import NOT_EXECUTED, SAFE_METHODS, Stamp

IDEMPOTENT_METHODS = SAFE_METHODS | {"PUT", "DELETE"}
FAILURES, OPEN_S = 5, 2.0
_breakers: dict[str, pybreaker.CircuitBreaker] = {}
_local = threading.local()


class ServiceHttp:
    """Calls of the side that owns ``context``, from this one. Thread-safe; make one a module, or one a call.

    ``timeout`` is (connect, read) in seconds, for each of ``attempts``. Only a call that can be repeated is: a safe method, PUT,
    DELETE, or one with an idempotency key; any call whose connection was never made. Between attempts a pause that grows from
    ``pause_s``, with jitter. After 5 failed attempts in a row the circuit of this process is open for 2 s, then one call tries.
    """

    def __init__(
        self, context: str, *, timeout: tuple[float, float] = (1.0, 5.0), attempts: int = 4, pause_s: float = 0.05
    ) -> None:
        self.context, self.timeout, self.attempts, self.pause_s = context, timeout, attempts, pause_s

    def get(self, path: str, **given: Any) -> requests.Response:
        return self.request("GET", path, **given)

    def post(self, path: str, **given: Any) -> requests.Response:
        return self.request("POST", path, **given)

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        idempotency_key: str = "",
        act: Any = None,
    ) -> requests.Response:
        """The answer, whatever its status, but for 421 (``NotOwner``) and 502…504.

        ``act`` is the id of the user for whom this is done. Raises ``SeamUnavailable`` if nothing was executed, ``SeamTimeout``
        if nobody can know, ``NotOwner`` if the owner has changed: resolve again.
        """
        repeatable = method in IDEMPOTENT_METHODS or bool(idempotency_key)
        sent = {**exchange.outbound_headers(), **self._stamp(method), **(headers or {}), "Accept": "application/json"}
        if idempotency_key:
            sent["Idempotency-Key"] = idempotency_key

        def attempt(number: int) -> requests.Response:
            bearer = {"Authorization": f"Bearer {self._token(act)}"}
            url = self._origins()[number % len(self._origins())] + path
            return self._send(method, url, json=json, params=params, headers={**sent, **bearer})

        answer = self._insist(attempt, repeatable)
        exchange.note_positions(answer.headers.get(exchange.POSITION, ""))
        return answer

    def _insist(self, attempt: Callable[[int], requests.Response], repeatable: bool) -> requests.Response:
        unknown: SeamTimeout | None = None  # once an attempt may have been executed, no later refusal takes that back
        refused: SeamUnavailable | None = None
        for number in range(self.attempts):
            if number:
                time.sleep(random.uniform(0.5, 1.0) * self.pause_s * 2**number)
            try:
                return through_circuit(self.context, partial(attempt, number))
            except SeamTimeout as error:
                unknown = error
                again = repeatable
            except SeamUnavailable as error:
                refused = error
                never_sent = isinstance(error.__cause__, requests.RequestException)
                again = (repeatable or never_sent) and not isinstance(error.__cause__, pybreaker.CircuitBreakerError)
            if not again:
                break
        raise unknown or refused or AssertionError("no attempt was allowed")

    def _send(self, method: str, url: str, **given: Any) -> requests.Response:
        try:
            answer = session().request(method, url, timeout=self.timeout, allow_redirects=False, **given)
        except requests.RequestException as error:
            if _never_connected(error):
                raise SeamUnavailable(self.context, f"no connection to {url}") from error
            raise SeamTimeout(self.context, f"{method} {url}: {type(error).__name__}") from error
        if answer.status_code == 421:
            raise self._not_owner(answer)
        if answer.status_code == 503:
            raise SeamUnavailable(self.context, f"{url} answered 503")
        if answer.status_code in (502, 504):
            raise SeamTimeout(self.context, f"{url} answered {answer.status_code}")
        return answer

    def _not_owner(self, answer: requests.Response) -> Exception:
        if answer.headers.get(NOT_EXECUTED) != "1":
            return SeamUnavailable(self.context, f"{answer.url} does not serve it")
        said = answer.json()
        return NotOwner(said.get("context", self.context), said.get("owner", ""), said.get("epoch", 0))

    def _stamp(self, method: str) -> dict[str, str]:
        local = read(self.context)
        return Stamp(self.context, local.epoch, method not in SAFE_METHODS).headers() if local else {}

    def _to_monolith(self) -> bool:
        return conf.side() == "service" and conf.setting("CONTEXT") != self.context

    def _origins(self) -> tuple[str, ...]:
        estate = conf.estate()
        origins = estate.monolith_urls if self._to_monolith() else estate.contexts[self.context].service_urls
        if not origins:
            raise SeamUnavailable(self.context, f"contexts.{self.context}.service.urls names nobody")
        return origins

    def _token(self, act: Any) -> str:
        claims = {} if act is None else {"act": act}
        audience = "monolith" if self._to_monolith() else self.context
        return tokens.issue(conf.service_secret(), audience=audience, now=time.time(), **claims)


def through_circuit(context: str, call: Callable[[], requests.Response]) -> requests.Response:
    """``call`` under the breaker of ``context``. Raises ``SeamUnavailable`` while the circuit is open.

    pybreaker holds its lock during a call, which would send the calls of all threads one after the other. So while it is closed
    the call runs outside, and only its outcome is told to it; half open, one call at a time tries, as it should be.
    """
    breaker = _breaker(context)
    try:
        if breaker.current_state != pybreaker.STATE_CLOSED:
            return breaker.call(call)
    except pybreaker.CircuitBreakerError as error:
        raise SeamUnavailable(context, "too many failures in a row; the circuit is open") from error
    try:
        answer = call()
    except (SeamUnavailable, SeamTimeout) as error:
        _tell(breaker, error)
        raise
    _tell(breaker, None)
    return answer


def _tell(breaker: pybreaker.CircuitBreaker, error: Exception | None) -> None:
    def outcome() -> None:
        if error:
            raise error

    try:
        breaker.call(outcome)
    except (SeamUnavailable, SeamTimeout, pybreaker.CircuitBreakerError):
        pass  # counted; another thread may have opened the circuit meanwhile


def _breaker(context: str) -> pybreaker.CircuitBreaker:
    fresh = pybreaker.CircuitBreaker(FAILURES, OPEN_S, exclude=[NotOwner], name=context, throw_new_error_on_trip=False)
    return _breakers.setdefault(context, fresh)


def session() -> requests.Session:
    """One keep-alive session a thread. Cookies are refused: the next call may be for another user."""
    if not hasattr(_local, "session"):
        _local.session = requests.Session()
        _local.session.trust_env = False
        _local.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return _local.session  # type: ignore[no-any-return]


def _never_connected(error: requests.RequestException) -> bool:
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(reason, (NewConnectionError, ConnectTimeoutError))
