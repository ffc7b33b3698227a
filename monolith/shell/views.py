"""The storefront's pages. They put contexts together, and know them by their contracts alone."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, redirect_to_login
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as say
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from monolith.orders.contract import CouponRefused, OrderNotFound, PaymentDeclined, Wanted, orders
from monolith.problems import Problem
from monolith.products.contract import products
from monolith.shell import cart, visitor
from monolith.shell.forms import CartForm, CheckoutForm, LoginForm
from strangler.seams import Fenced, NotOwner, SeamTimeout, SeamUnavailable

PRODUCTS_A_PAGE, ORDERS_A_PAGE = 24, 10
CANCELLABLE = ("pending", "paid", "packed")
HELD, KEPT_MINUTES = "held", 15
LATER = (SeamUnavailable, SeamTimeout, NotOwner, Fenced)


class ShopLoginView(LoginView):
    template_name = "shell/login.html"
    form_class = LoginForm
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        answer = super().form_valid(form)
        visitor.remember(self.request, user_id=form.get_user().pk)
        return answer


class Slice:
    """What Django's paginator needs of a sequence that is fetched a page at a time: one call of a contract."""

    def __init__(self, fetch: Any, number: int, size: int) -> None:
        self.items, self.total = fetch(offset=(number - 1) * size, limit=size)

    def count(self) -> int:
        return self.total

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, _: slice) -> list[Any]:
        return self.items


def _page(request: HttpRequest, fetch: Any, size: int) -> Any:
    text = request.GET.get("page", "1")
    number = int(text) if text.isdecimal() and 0 < len(text) < 7 and int(text) > 0 else 1
    paginator = Paginator(Slice(fetch, number, size), size)  # type: ignore[arg-type]
    if number > paginator.num_pages:
        raise Http404("There are not that many pages.")
    return paginator.page(number)


@require_safe
def product_list(request: HttpRequest) -> HttpResponse:
    q = request.GET.get("q", "").replace("\0", "")[:200]
    category = request.GET.get("category", "").replace("\0", "")[:400]

    def fetch(*, offset: int, limit: int) -> tuple[list[Any], int]:
        page = products.page(offset=offset, limit=limit, q=q, category=category, currency=visitor.currency(request))
        return page.products, page.total

    page = _page(request, fetch, PRODUCTS_A_PAGE)
    narrowed = urlencode({name: value for name, value in (("q", q), ("category", category)) if value})
    content = {"page": page, "q": q, "category": category, "categories": products.categories(), "narrowed": narrowed}
    return render(request, "shell/products.html", content)


@require_safe
def product_detail(request: HttpRequest, sku: str) -> HttpResponse:
    found = products.by_sku(skus=[sku], currency=visitor.currency(request))
    if sku not in found:
        raise Http404("There is no such product.")
    pictures = products.pictures(product_ids=[found[sku].id])
    return render(request, "shell/product.html", {"product": found[sku], "pictures": pictures.get(found[sku].id, [])})


@require_http_methods(["GET", "HEAD", "POST"])
def choose_currency(request: HttpRequest) -> HttpResponse:
    """For this visit; who has an account keeps one in their profile."""
    known = products.currencies()
    if request.method != "POST":
        return render(request, "shell/currency.html", {"currencies": known, "next": request.GET.get("next", "")})
    if request.POST.get("currency") in known:
        visitor.choose_currency(request, request.POST["currency"])
    return _back(request, "shell:products")


@require_safe
def cart_show(request: HttpRequest) -> HttpResponse:
    return render(request, "shell/cart.html", {"cart": cart.priced(request)})


@require_POST
def cart_add(request: HttpRequest) -> HttpResponse:
    """So many more of it."""
    form = CartForm(request.POST)
    if form.is_valid():
        sku = form.cleaned_data["sku"]
        cart.put(request, sku=sku, quantity=cart.quantities(request).get(sku, 0) + form.cleaned_data["quantity"])
        messages.success(request, say("It is in your cart."))
    return _back(request, "shell:cart")


def _back(request: HttpRequest, otherwise: str) -> HttpResponse:
    """To the page of this shop that the form names."""
    back = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return redirect(back if safe else otherwise)


@require_POST
def cart_change(request: HttpRequest) -> HttpResponse:
    """Exactly so many of it."""
    form = CartForm(request.POST)
    if form.is_valid():
        cart.put(request, **form.cleaned_data)
    return redirect("shell:cart")


@require_POST
def checkout_begin(request: HttpRequest) -> HttpResponse:
    """Keep the goods for a while, under the key that the checkout will have."""
    if not request.user.is_authenticated:
        return redirect_to_login(reverse("shell:checkout"))
    content, key = cart.priced(request), str(uuid.uuid4())
    if not content.lines:
        return redirect("shell:cart")
    if HELD in request.session:
        products.let_go(reference=request.session.pop(HELD))
    try:
        products.hold(reference=key, quantities={line.product.id: line.quantity for line in content.lines}, minutes=KEPT_MINUTES)
    except Problem as refused:
        messages.error(request, refused.in_words())
        return redirect("shell:cart")
    request.session[HELD] = key
    messages.info(request, say("The goods are kept for you for %(minutes)s minutes.") % {"minutes": KEPT_MINUTES})
    return redirect("shell:checkout")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def checkout(request: HttpRequest) -> HttpResponse:
    content = cart.priced(request)
    form = CheckoutForm(request.POST or None, initial={"key": request.session.get(HELD) or uuid.uuid4()})
    if request.method == "POST" and form.is_valid():
        return _place(request, content, form)
    if not content.lines:
        return redirect("shell:cart")
    return render(request, "shell/checkout.html", {"cart": content, "form": form})


def _place(request: HttpRequest, content: cart.Cart, form: CheckoutForm) -> HttpResponse:
    wanted = {line.product.sku: line.quantity for line in content.lines} or request.session.get("ordered", {})
    key = str(form.cleaned_data["key"])
    order = Wanted(
        quantities=wanted,
        method=form.cleaned_data["method"],
        pay="now",
        coupon=form.cleaned_data["coupon"],
        currency=visitor.currency(request),
        held=request.session.get(HELD) == key,
    )
    try:
        placed = orders.checkout(user_id=int(request.user.pk), key=key, wanted=order)
    except PaymentDeclined as declined:
        request.session.pop(HELD, None)  # another try is another order
        messages.error(request, f"{declined.in_words()} " + say("Nothing was charged; your cart is as it was."))
        return redirect("shell:checkout")
    except CouponRefused as refused:
        form.add_error("coupon", refused.in_words())
        return render(request, "shell/checkout.html", {"cart": content, "form": form})
    except Problem as refused:
        messages.error(request, refused.in_words())
        return redirect("shell:cart")
    cart.empty(request)
    request.session.pop(HELD, None)
    request.session["ordered"] = wanted  # sent again by a double click, the form names the same order
    if placed.order.state == "paid":
        messages.success(request, say("Thank you. Your order is paid."))
    else:
        messages.info(request, say("Thank you. Your order is placed; the payment is being processed."))
    return redirect("shell:order", number=placed.order.number)


@login_required
@require_safe
def order_list(request: HttpRequest) -> HttpResponse:
    def fetch(*, offset: int, limit: int) -> tuple[list[Any], int]:
        page = orders.page(user_id=int(request.user.pk), offset=offset, limit=limit)
        return page.orders, page.total

    return render(request, "shell/orders.html", {"page": _page(request, fetch, ORDERS_A_PAGE)})


@login_required
@require_safe
def order_detail(request: HttpRequest, number: str) -> HttpResponse:
    order = _own_order(request, number)
    past = orders.history(order_id=order.id)
    content = {"order": order, "history": past, "returns": orders.returns(order_id=order.id), "cancellable": CANCELLABLE}
    return render(request, "shell/order.html", content)


@login_required
@require_POST
def order_cancel(request: HttpRequest, number: str) -> HttpResponse:
    order = _own_order(request, number)
    try:
        orders.cancel(user_id=int(request.user.pk), order_id=order.id)
        messages.success(request, say("Your order is cancelled. What you paid goes back to you."))
    except Problem as refused:
        messages.error(request, refused.in_words())
    except LATER:
        messages.error(request, say("That could not be done just now. Try again in a moment."))
    return redirect("shell:order", number=number)


@login_required
@require_POST
def order_return(request: HttpRequest, number: str) -> HttpResponse:
    """``line-ID`` says how many of which line."""
    order = _own_order(request, number)
    wanted = {line.id: request.POST.get(f"line-{line.id}", "") for line in order.lines}
    quantities = {pk: int(text) for pk, text in wanted.items() if text.isdecimal() and len(text) < 6 and int(text)}
    reason = request.POST.get("reason", "").replace("\0", "")[:200]
    try:
        orders.request_return(user_id=int(request.user.pk), order_id=order.id, quantities=quantities, reason=reason)
        messages.success(request, say("Your return is noted. Send the goods once it is approved."))
    except Problem as refused:
        messages.error(request, refused.in_words())
    return redirect("shell:order", number=number)


def _own_order(request: HttpRequest, number: str) -> Any:
    try:
        return orders.get(user_id=int(request.user.pk), number=number)
    except OrderNotFound as missing:
        raise Http404(missing.detail) from missing
