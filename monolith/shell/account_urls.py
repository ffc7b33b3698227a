from django.urls import path

from monolith.shell import accounts

urlpatterns = [
    path("", accounts.account, name="account"),
    path("register/", accounts.register, name="register"),
    path("password/", accounts.change_password, name="change-password"),
    path("addresses/", accounts.address_add, name="address-add"),
    path("addresses/<int:address_id>/", accounts.address_change, name="address"),
    path("reset/", accounts.ask_reset, name="ask-reset"),
    path("reset/<str:uid>/<str:token>/", accounts.reset, name="reset"),
]
