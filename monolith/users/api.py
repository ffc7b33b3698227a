"""/api/users/"""

from __future__ import annotations

from django.contrib.auth import authenticate
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monolith.users import keys, tokens
from monolith.users.authentication import JWTAuthentication


class Credentials(serializers.Serializer[dict[str, str]]):
    email = serializers.EmailField()
    password = serializers.CharField(trim_whitespace=False, write_only=True)


class AccessToken(serializers.Serializer[dict[str, str]]):
    access = serializers.CharField()


class Me(serializers.Serializer[object]):
    id = serializers.IntegerField()
    email = serializers.EmailField()
    is_staff = serializers.BooleanField()


class TokenView(APIView):
    permission_classes = [AllowAny]

    def get_authenticators(self) -> list[JWTAuthentication]:
        """None authenticates here; it is named so that a refusal is a 401 and says what to send."""
        return [JWTAuthentication()]

    def perform_authentication(self, request: Request) -> None:
        """A stale token must not keep its bearer from getting a fresh one."""

    @extend_schema(request=Credentials, responses=AccessToken, auth=[])
    def post(self, request: Request) -> Response:
        credentials = Credentials(data=request.data)
        credentials.is_valid(raise_exception=True)
        email, password = credentials.validated_data["email"].lower(), credentials.validated_data["password"]
        user = authenticate(request, username=email, password=password)
        if user is None:
            raise AuthenticationFailed("No active user has this e-mail address and password.")
        return Response({"access": tokens.issue(user_id=user.pk)})


class JWKSView(APIView):
    authentication_classes: list[type] = []
    permission_classes = [AllowAny]

    @extend_schema(responses=OpenApiTypes.OBJECT, auth=[])
    def get(self, request: Request) -> Response:
        return Response({"keys": [keys.jwk()]}, headers={"Cache-Control": "public, max-age=300"})


class MeView(APIView):
    @extend_schema(responses=Me)
    def get(self, request: Request) -> Response:
        return Response(Me(request.user).data)
