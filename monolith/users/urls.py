from django.urls import path

from monolith.users import api

app_name = "users"
urlpatterns = [
    path("token/", api.TokenView.as_view(), name="token"),
    path("jwks", api.JWKSView.as_view(), name="jwks"),
    path("me/", api.MeView.as_view(), name="me"),
]
