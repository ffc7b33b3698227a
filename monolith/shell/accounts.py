"""The pages of an account: register, a forgotten password, profile and addresses."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth import authenticate, login, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as say
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from monolith.customers.contract import customers
from monolith.problems import Problem
from monolith.products.contract import products
from monolith.shell import visitor
from monolith.users.contract import LinkNotValid, users

PASSWORD = forms.PasswordInput(attrs={"autocomplete": "new-password"})
LANGUAGES = [("en", "English"), ("de", "Deutsch")]


class RegisterForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=200)
    email = forms.EmailField(label=_("E-mail"), max_length=254)
    password = forms.CharField(label=_("Password"), widget=PASSWORD, strip=False, max_length=1000)


class ResetRequestForm(forms.Form):
    email = forms.EmailField(label=_("E-mail"), max_length=254)


class PasswordForm(forms.Form):
    password = forms.CharField(label=_("New password"), widget=PASSWORD, strip=False, max_length=1000)


class ChangePasswordForm(PasswordForm):
    old = forms.CharField(label=_("Password until now"), widget=forms.PasswordInput, strip=False, max_length=1000)
    field_order = ["old", "password"]


class ProfileForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=200, required=False)
    phone = forms.CharField(label=_("Phone"), max_length=40, required=False)
    language = forms.ChoiceField(label=_("Language"), choices=LANGUAGES)
    currency = forms.ChoiceField(label=_("Currency"), choices=lambda: [(code, code) for code in products.currencies()])
    time_zone = forms.CharField(label=_("Time zone"), max_length=64)
    newsletter = forms.BooleanField(label=_("Send me news"), required=False)


class AddressForm(forms.Form):
    label = forms.CharField(label=_("Label"), max_length=60, required=False)
    recipient = forms.CharField(label=_("Recipient"), max_length=200)
    street = forms.CharField(label=_("Street"), max_length=200)
    postcode = forms.CharField(label=_("Postcode"), max_length=20)
    city = forms.CharField(label=_("City"), max_length=100)
    country = forms.RegexField(r"^[A-Z]{2}$", label=_("Country"), initial="DE")


def _form(request: HttpRequest, title: Any, form: forms.Form, button: Any, **more: Any) -> HttpResponse:
    return render(request, "shell/form.html", {"title": title, "form": form, "button": button, **more})


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def register(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("shell:account")
    form = RegisterForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        email, password = form.cleaned_data["email"], form.cleaned_data["password"]
        try:
            made = users.register(email=email, password=password)
        except Problem as refused:
            form.add_error(None, refused.in_words())
        else:
            customers.update(user_id=made.id, name=form.cleaned_data["name"])
            login(request, authenticate(request, username=made.email, password=password))
            messages.success(request, say("Welcome. You are logged in."))
            return redirect("shell:products")
    return _form(request, _("Register"), form, _("Register"))


@require_http_methods(["GET", "HEAD", "POST"])
def ask_reset(request: HttpRequest) -> HttpResponse:
    """Says the same whether there is such an account or not."""
    form = ResetRequestForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        users.request_reset(email=form.cleaned_data["email"])
        messages.info(request, say("If there is an account with this address, a mail with a link is on its way."))
        return redirect("shell:login")
    return _form(request, _("Forgotten password"), form, _("Send me a link"))


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def reset(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    form = PasswordForm(request.POST or None)
    try:
        users.check_reset(uid=uid, token=token)
        if request.method == "POST" and form.is_valid():
            users.reset_password(uid=uid, token=token, password=form.cleaned_data["password"])
            messages.success(request, say("Your password is changed. Log in with it."))
            return redirect("shell:login")
    except LinkNotValid as refused:
        messages.error(request, refused.in_words())
        return redirect("shell:ask-reset")
    except Problem as refused:
        form.add_error("password", refused.in_words())
    # The token in the address stays with us: SECURE_REFERRER_POLICY is same-origin. With no-referrer a browser would send the
    # form with `Origin: null`, which Django refuses as a forgery.
    return _form(request, _("New password"), form, _("Set it"))


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    user_id = int(request.user.pk)
    form = ProfileForm(request.POST or None, initial=vars(customers.profile(user_id=user_id)))
    if request.method == "POST" and form.is_valid():
        try:
            customers.update(user_id=user_id, **form.cleaned_data)
            visitor.remember(request, user_id=user_id)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, say("Saved."))
            return redirect("shell:account")
    content = {"form": form, "address_form": AddressForm(), "addresses": customers.addresses(user_id=user_id)}
    return render(request, "shell/account.html", content)


@sensitive_post_parameters()
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change_password(request: HttpRequest) -> HttpResponse:
    form = ChangePasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        user: Any = request.user
        try:
            if not user.check_password(form.cleaned_data["old"]):
                form.add_error("old", say("This is not your password."))
            else:
                users.change_password(user_id=user.pk, password=form.cleaned_data["password"])
                user.refresh_from_db()
                update_session_auth_hash(request, user)
                messages.success(request, say("Your password is changed."))
                return redirect("shell:account")
        except Problem as refused:
            form.add_error("password", refused.in_words())
    return _form(request, _("New password"), form, _("Set it"))


@login_required
@require_POST
def address_add(request: HttpRequest) -> HttpResponse:
    form = AddressForm(request.POST)
    if form.is_valid():
        customers.add_address(user_id=int(request.user.pk), **form.cleaned_data)
        return redirect("shell:account")
    return _form(request, _("New address"), form, _("Add"))


@login_required
@require_POST
def address_change(request: HttpRequest, address_id: int) -> HttpResponse:
    """Remove it, or make it the default."""
    act = customers.remove_address if "remove" in request.POST else customers.prefer_address
    act(user_id=int(request.user.pk), address_id=address_id)
    return redirect("shell:account")
