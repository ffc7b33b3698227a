"""/api/users/"""

from __future__ import annotations

from typing import Any

import jwt
from django.contrib.auth import authenticate
from django.contrib.auth.models import update_last_login
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.generics import ListAPIView
from rest_framework.permissions import AllowAny, IsAdminUser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from monolith.users import keys, selectors, tokens
from monolith.users.authentication import JWTAuthentication
from monolith.users.contract import users
from monolith.users.models import User
from monolith.users.throttles import Throttle


class Credentials(serializers.Serializer[dict[str, str]]):
    email = serializers.EmailField()
    password = serializers.CharField(trim_whitespace=False, write_only=True)


class Tokens(serializers.Serializer[dict[str, str]]):
    access = serializers.CharField()
    refresh = serializers.CharField()


class RefreshToken(serializers.Serializer[dict[str, str]]):
    refresh = serializers.CharField(max_length=4096)


class Registration(serializers.Serializer[dict[str, str]]):
    email = serializers.EmailField(max_length=254)
    password = serializers.CharField(trim_whitespace=False, write_only=True, max_length=1000)


class NewPassword(serializers.Serializer[dict[str, str]]):
    old = serializers.CharField(trim_whitespace=False, write_only=True, max_length=1000)
    password = serializers.CharField(trim_whitespace=False, write_only=True, max_length=1000)


class ResetRequest(serializers.Serializer[dict[str, str]]):
    email = serializers.EmailField(max_length=254)


class Reset(serializers.Serializer[dict[str, str]]):
    uid = serializers.CharField(max_length=64)
    token = serializers.CharField(max_length=128)
    password = serializers.CharField(trim_whitespace=False, write_only=True, max_length=1000)


class UserFilter(serializers.Serializer[dict[str, Any]]):
    q = serializers.CharField(max_length=254, required=False, allow_blank=True, help_text="a part of the e-mail address")
    is_active = serializers.BooleanField(required=False, allow_null=True, default=None)
    is_staff = serializers.BooleanField(required=False, allow_null=True, default=None)


class UserBody(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ["id", "email", "is_active", "is_staff", "date_joined", "last_login"]


class Me(serializers.Serializer[object]):
    id = serializers.IntegerField()
    email = serializers.EmailField()
    is_staff = serializers.BooleanField()


class Anonymous(APIView):
    """For who has no valid token yet."""

    permission_classes = [AllowAny]
    throttle_classes = [Throttle]

    def get_authenticators(self) -> list[JWTAuthentication]:
        """None authenticates here; it is named so that a refusal is a 401 and says what to send."""
        return [JWTAuthentication()]

    def perform_authentication(self, request: Request) -> None:
        """A stale token must not keep its bearer from getting a fresh one."""


class TokenView(Anonymous):
    throttle_scope = "login"

    @extend_schema(request=Credentials, responses=Tokens, auth=[])
    def post(self, request: Request) -> Response:
        credentials = Credentials(data=request.data)
        credentials.is_valid(raise_exception=True)
        email, password = credentials.validated_data["email"].lower(), credentials.validated_data["password"]
        user = authenticate(request, username=email, password=password)
        if user is None:
            raise AuthenticationFailed("No active user has this e-mail address and password.")
        update_last_login(None, user)  # type: ignore[arg-type]
        return Response(_tokens(user))


class RefreshView(Anonymous):
    throttle_scope = "login"

    @extend_schema(request=RefreshToken, responses=Tokens, auth=[])
    def post(self, request: Request) -> Response:
        """A new pair. It ends with the user's password, and with the user."""
        body = RefreshToken(data=request.data)
        body.is_valid(raise_exception=True)
        try:
            user_id, stamp = tokens.refreshed(body.validated_data["refresh"])
        except (jwt.InvalidTokenError, ValueError) as error:
            raise AuthenticationFailed("The refresh token is not valid, or no longer.") from error
        user = User.objects.filter(pk=user_id, is_active=True).first()
        if user is None or tokens.digest(user.session_stamp) != stamp:
            raise AuthenticationFailed("The refresh token is not valid, or no longer.")
        return Response(_tokens(user))


def _tokens(user: Any) -> dict[str, str]:
    refresh = tokens.issue_refresh(user_id=user.pk, stamp=user.session_stamp)
    return {"access": tokens.issue(user_id=user.pk), "refresh": refresh}


class RegisterView(Anonymous):
    throttle_scope = "login"

    @extend_schema(request=Registration, responses={201: Me}, auth=[])
    def post(self, request: Request) -> Response:
        body = Registration(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(Me(users.register(**body.validated_data)).data, status=201)


class PasswordView(APIView):
    @extend_schema(request=NewPassword, responses={204: None})
    def post(self, request: Request) -> Response:
        body = NewPassword(data=request.data)
        body.is_valid(raise_exception=True)
        if not request.user.check_password(body.validated_data["old"]):
            raise serializers.ValidationError({"old": ["This is not your password."]})
        users.change_password(user_id=request.user.pk, password=body.validated_data["password"])
        return Response(status=204)


class ResetRequestView(Anonymous):
    throttle_scope = "reset"

    @extend_schema(request=ResetRequest, responses={202: None}, auth=[])
    def post(self, request: Request) -> Response:
        """The answer is the same whether there is such a user or not."""
        body = ResetRequest(data=request.data)
        body.is_valid(raise_exception=True)
        users.request_reset(email=body.validated_data["email"])
        return Response(status=202)


class ResetView(Anonymous):
    throttle_scope = "reset"

    @extend_schema(request=Reset, responses={204: None}, auth=[])
    def post(self, request: Request) -> Response:
        body = Reset(data=request.data)
        body.is_valid(raise_exception=True)
        users.reset_password(**body.validated_data)
        return Response(status=204)


class UsersView(ListAPIView[User]):
    permission_classes = [IsAdminUser]
    serializer_class = UserBody
    queryset = User.objects.none()

    def get_queryset(self):
        asked = UserFilter(data=self.request.query_params)
        asked.is_valid(raise_exception=True)
        return selectors.search(**asked.validated_data)

    @extend_schema(parameters=[UserFilter])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """For staff."""
        return super().get(request, *args, **kwargs)


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
