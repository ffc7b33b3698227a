"""``Authorization: Bearer`` with an access token of the shop."""

from __future__ import annotations

import jwt
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from monolith.users import tokens
from monolith.users.models import User

# Asked at every request: putting the query together would cost more than running it.
BY_ID = "SELECT * FROM users_user WHERE id = %s"


class JWTAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[User, str] | None:
        """Tokens that are not RS256 are somebody else's and are left to the next class."""
        scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "bearer" or not tokens.is_ours(token):
            return None
        try:
            user = next(iter(User.objects.raw(BY_ID, [tokens.user_id(token)])), None)
        except (jwt.InvalidTokenError, ValueError) as error:
            raise AuthenticationFailed("The access token is not valid, or no longer.") from error
        if user is None or not user.is_active:
            raise AuthenticationFailed("This user doesn't exist or is not active.")
        return user, token

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class JWTScheme(OpenApiAuthenticationExtension):
    target_class = JWTAuthentication
    name = "accessToken"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class ServiceTokenScheme(OpenApiAuthenticationExtension):
    target_class = "strangler.seams.authentication.ServiceTokenAuthentication"
    name = "serviceToken"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A service that acts for a user."}
