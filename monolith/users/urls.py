from django.urls import path

from monolith.users import api

app_name = "users"
urlpatterns = [
    path("", api.UsersView.as_view(), name="users"),
    path("register/", api.RegisterView.as_view(), name="register"),
    path("token/", api.TokenView.as_view(), name="token"),
    path("token/refresh/", api.RefreshView.as_view(), name="refresh"),
    path("password-reset/", api.ResetRequestView.as_view(), name="password-reset"),
    path("password-reset/confirm/", api.ResetView.as_view(), name="password-reset-confirm"),
    path("jwks", api.JWKSView.as_view(), name="jwks"),
    path("me/", api.MeView.as_view(), name="me"),
    path("me/password/", api.PasswordView.as_view(), name="password"),
]
