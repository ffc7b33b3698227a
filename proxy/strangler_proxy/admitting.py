"""Before a service is asked: is the request a forgery of another site (CSRF), and who asks (identity)?

Whatever has to wait for this, for the rest of a form or for the monolith's word, is routed again afterwards by the table of
that moment. Nothing is counted as a write under way meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from strangler.domain import csrf
from strangler.domain.decision import ContextState
from strangler.domain.site import Site, cookies
from strangler_proxy import forwarding, problems
from strangler_proxy.ending import Ending

if TYPE_CHECKING:
    from strangler_proxy.routing import Way


class Admitting(Ending):
    """``_identity`` is the header line that goes to the service."""

    _awaits_form = _inquired = _unidentified = False
    _identity = b""
    _patient = True

    def _may_go(self, way: Way) -> bool:
        """Whether the request may go its way now. If not, it was answered, or waits and will be routed again."""
        decision, table = way.decision, self._table
        assert table is not None
        if decision.checked and not self._passes_csrf(table.site, decision.met.context):
            return False
        self._identity = b""
        return not decision.identified or self._passes_identity(table.site, decision.met.context)

    # -- who asks --------------------------------------------------------------------------------------------------------

    def _passes_identity(self, site: Site, context: ContextState | None) -> bool:
        assert context is not None
        identities, counts = self._plane.identities, self._plane.metrics.identity
        name = identities.credential(self.request, site)
        if not name:
            counts.add("anonymous")
            return True
        person = identities.known(name)
        if person is not None:
            if person.anonymous:
                counts.add("anonymous")
            elif not self._inquired:
                counts.add("cached")
            self._identity = person.line(self._plane.settings.token, context.name)
            return True
        if self._unidentified:
            self.answer(problems.UNIDENTIFIED)
        else:
            self._inquired = True
            self._wait(self._ask_who(name, context))
        return False

    async def _ask_who(self, name: bytes, context: ContextState) -> None:
        self._unidentified = await self._plane.identities.ask(name, self.request, context.monolith) is None
        self._dispatch(patient=self._patient)

    # -- where from ------------------------------------------------------------------------------------------------------

    def _passes_csrf(self, site: Site, context: ContextState | None) -> bool:
        """The rules are Django's, and so is the order: origin, then a form's token, then the header's."""
        request, fields = self.request, self.request.fields
        if not any(cookies(fields.cookie, site.session_cookie.encode())):
            return True  # no session to ride on
        sender = csrf.Sender(
            host=request.host.decode("latin-1"),
            secure=b"\r\nX-Forwarded-Proto: https\r\n" in request.forwarded,
            origin=fields.get("origin"),
            referer=fields.get("referer"),
        )
        wrong = csrf.foreign(site, sender)
        token = fields.get(site.csrf_header)
        form = request.method == "POST" and csrf.is_form(fields.get("content-type") or "")
        small = form and max(self._body_size, fields.length) <= csrf.FORM_LIMIT
        if not wrong and small:
            if not self.body_done:
                self._await_form()
                return False
            token = csrf.field(b"".join(self._body)) or token
        if not wrong:
            secrets = cookies(fields.cookie, site.csrf_cookie.encode())
            wrong = csrf.mismatch(secrets[-1].strip(b'"').decode("latin-1") if secrets else None, token)
        if wrong:
            self._plane.metrics.csrf.add(context.name if context else "-")
            self.answer(problems.forgery(wrong, site.csrf_header, unread=token is None and not small))
        return not wrong

    def _await_form(self) -> None:
        """The token may be in the rest of the form. A client that waits for a word before it sends on gets it."""
        request = self.request
        if request.fields.expects_continue and request.http11 and not self._body_size:
            self._client.write(forwarding.CONTINUE)
        self._awaits_form = True

    def _form_grew(self) -> None:
        """More of the form has come: judged when it is whole, or too large to be looked into."""
        if self.body_done or self._body_size > csrf.FORM_LIMIT:
            self._awaits_form = False
            self._dispatch(patient=self._patient)
