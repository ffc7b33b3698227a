"""The storefront's forms."""

from __future__ import annotations

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.utils.translation import gettext_lazy as _

from monolith.orders.contract import MOST_OF_ONE

METHODS = [
    ("ok", _("Test card, is accepted")),
    ("declined", _("Test card, is declined")),
    ("timeout", _("Test card, the bank answers late")),
    ("twice", _("Test card, the bank answers twice")),
]


class CartForm(forms.Form):
    sku = forms.CharField(max_length=40)
    quantity = forms.IntegerField(min_value=0, max_value=MOST_OF_ONE)


class CheckoutForm(forms.Form):
    """``key`` was drawn when the page was made: sent twice, it is one order."""

    coupon = forms.CharField(label=_("Coupon"), max_length=40, required=False)
    method = forms.ChoiceField(choices=METHODS, initial="ok", widget=forms.RadioSelect)
    key = forms.UUIDField(widget=forms.HiddenInput)


class LoginForm(AuthenticationForm):
    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["username"].widget.attrs.update(type="email", autocomplete="email", maxlength=254)
        self.fields["username"].label = _("E-mail")
