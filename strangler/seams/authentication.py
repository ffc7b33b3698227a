"""Service tokens in Django REST framework: a service that calls for a user (DESIGN section 9)."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from django.contrib.auth import get_user_model
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from strangler import conf
from strangler.domain import tokens


def audience() -> str:
    """What a token must be meant for to be good here: the context that this service serves, or ``monolith``."""
    return str(conf.setting("CONTEXT") or "monolith")


class ServiceTokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer`` with a token of ``domain.tokens`` whose claim ``act`` names the user acted for.

    Another kind of bearer token (the shop's RS256) is left to the next authenticator. ``request.auth`` is the claims.
    """

    def authenticate(self, request: Request) -> tuple[Any, dict[str, Any]] | None:
        scheme, _, token = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not _is_service_token(token):
            return None
        try:
            claims = tokens.verify(conf.service_secret(), token, audience=audience(), now=time.time())
        except tokens.BadToken as error:
            raise AuthenticationFailed(f"The service token is not good: {error}.") from error
        return self._user(claims), claims

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="strangler"'

    def _user(self, claims: dict[str, Any]) -> Any:
        users = get_user_model()
        try:
            user = users._default_manager.get(pk=claims.get("act"))
        except (users.DoesNotExist, TypeError, ValueError) as error:
            raise AuthenticationFailed("The service token acts for nobody who is known here.") from error
        if not user.is_active:
            raise AuthenticationFailed("The service token acts for a user who is not active.")
        return user


def _is_service_token(token: str) -> bool:
    header = token.partition(".")[0]
    try:
        return bool(json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["alg"] == "HS256")
    except (ValueError, KeyError, TypeError):
        return False
