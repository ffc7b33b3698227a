"""Which paths are lookups into another context, and where they start from: told by the source alone."""

from __future__ import annotations

import pytest

from strangler.analysis.static.queries import Queries
from tests.unit.analysis.static.shop import seen

IMPORTS = """
from django.apps import apps
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import *
from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Prefetch, Q, QuerySet, Subquery, Sum, Value, When
from django.shortcuts import get_list_or_404, get_object_or_404
from shop.orders.models import Line, Order
from shop.payments.models import Payment
from shop.customers.models import Customer
from shop.products.models import Product
"""


def found(source: str, module: str = "shop.orders.code") -> set[str]:
    """``customers customer__name``"""
    return {f"{target} {what}" for kind, target, what in seen(Queries, IMPORTS + source, module) if kind == "lookup"}


NAME = {"customers customer__name"}
EMAIL = {"customers customer__account__email", "accounts customer__account__email"}

FOUND = {
    "a manager": ("Order.objects.filter(customer__name=1)", NAME),
    "with a lookup behind it": ("Order.objects.filter(customer__name__icontains=1)", NAME),
    "over two contexts": ("Order.objects.exclude(customer__account__email__iexact=1)", EMAIL),
    "ordered backwards": ("Order.objects.order_by('-customer__name')", NAME),
    "random order is none": ("Order.objects.order_by('?', 'customer__name')", NAME),
    "values": ("Order.objects.values('number', 'customer__name')", NAME),
    "values of an expression": ("Order.objects.values(x=F('customer__name'))", NAME),
    "a list with a star": ("FIELDS = ['customer__name']\nOrder.objects.values_list(*FIELDS, 'number')", NAME),
    "dates take one path": ("Order.objects.dates('customer__name', 'customer__account__email')", NAME),
    "in an aggregate": ("Order.objects.annotate(n=Count('customer__name', filter=Q(customer__account__email=1)))", NAME | EMAIL),
    "in functions within functions": (
        "Order.objects.annotate(n=Upper(Concat('customer__name', Value('customer__account__email'))))",
        NAME,
    ),
    "a mixin's queryset is that of what it is mixed into": (
        "class Named:\n    def get_queryset(self):\n        return super().get_queryset().filter(customer__name=1)\n"
        "class Orders(Named, View):\n    queryset = Order.objects.all()",
        NAME,
    ),
    "Q with operators": ("Order.objects.filter(~Q(number=1) | Q(customer__name=1) & Q(state=2))", NAME),
    "Q of a pair": ("Order.objects.filter(Q(('customer__name', 1)))", NAME),
    "Q of a dict": ("Order.objects.filter(Q(**{'customer__name': 1}))", NAME),
    "F on the other side": ("Order.objects.filter(number=F('customer__name'))", NAME),
    "F with a direction": ("Order.objects.order_by(F('customer__name').desc(nulls_last=True))", NAME),
    "When and then": ("Order.objects.annotate(x=Case(When(customer__name=1, then='customer__account__email')))", NAME | EMAIL),
    "a filtered relation": (
        "Order.objects.annotate(p=FilteredRelation('payment', condition=Q(payment__status=1)))",
        {"payments payment", "payments payment__status"},
    ),
    "a window": ("Order.objects.annotate(x=Window(Sum('total'), partition_by=[F('customer__name')], order_by='created'))", NAME),
    "a dict": ("Order.objects.filter(**{'customer__name': 1})", NAME),
    "a dict that is put together": (
        "def f():\n asked = {'state': 1}\n asked['customer__name'] = 2\n Order.objects.filter(**asked)",
        NAME,
    ),
    "a dict that is told more": (
        "def f():\n asked = dict(state=1)\n asked.update(customer__name=2)\n Order.objects.filter(**asked)",
        NAME,
    ),
    "a dict by way of a comprehension": (
        "def f(name):\n asked = {'customer__name': name}\n Order.objects.filter(**{k: v for k, v in asked.items() if v})",
        NAME,
    ),
    "a dict or none": (
        "def f(x):\n more = {} if x is None else {'customer__name': x}\n Order.objects.filter(state=1, **more)",
        NAME,
    ),
    "a condition in a name": ("def f():\n q = Q(state=1)\n q |= Q(customer__name=1)\n return Order.objects.filter(q)", NAME),
    "a condition that grows": (
        "def f():\n q = Q()\n q = q & Q(customer__name=1)\n q = q & Q(state=1)\n return Order.objects.filter(q)",
        NAME,
    ),
    "conditions in a list": (
        "def f():\n found = []\n found.append(Q(customer__name=1))\n return Order.objects.filter(*found)",
        NAME,
    ),
    "get_model": ("Any = apps.get_model('orders', 'Order')\nAny.objects.get(customer__name=1)", NAME),
    "get_model by label, in a function": (
        "def f():\n model = apps.get_model('orders.order')\n model.objects.get(customer__name=1)",
        NAME,
    ),
    "several at once": (
        "def f():\n o, p = (apps.get_model(x) for x in ('orders.Order', 'payments.Payment'))\n"
        " o.objects.filter(customer__name=1)\n p.objects.filter(payer__email=1)",
        NAME | {"accounts payer__email"},
    ),
    "an annotated parameter": ("def f(orders: QuerySet[Order]):\n orders.filter(customer__name=1)", NAME),
    "an annotation in quotes": ("def f(orders: 'models.QuerySet[Order] | None'):\n orders.filter(customer__name=1)", NAME),
    "the model as a parameter": ("def f(model: type[Order]):\n model.objects.filter(customer__name=1)", NAME),
    "a generic relation": ("Order.objects.filter(snapshots__total=1)", {"reports snapshots__total"}),
    "a related manager": ("def f(order: Order):\n order.lines.filter(product__name=1)", {"products product__name"}),
    "through several attributes": ("def f(line: Line):\n line.order.lines.filter(product__name=1)", {"products product__name"}),
    "in a loop": ("for order in Order.objects.all():\n order.lines.filter(product__name=1)", {"products product__name"}),
    "in a loop with a count": (
        "for n, order in enumerate(Order.objects.all()):\n order.lines.filter(product__name=1)",
        {"products product__name"},
    ),
    "in a comprehension": ("[order.lines.filter(product__name=1) for order in Order.objects.all()]", {"products product__name"}),
    "a walrus": ("if (order := Order.objects.first()):\n order.lines.filter(product__name=1)", {"products product__name"}),
    "either of two": ("(Order.objects.all() if x else Order.objects.none()).filter(customer__name=1)", NAME),
    "or": ("def f(orders=None):\n orders = orders or Order.objects.all()\n orders.filter(customer__name=1)", NAME),
    "a slice, an index": ("Order.objects.all()[:3][0].lines.filter(product__name=1)", {"products product__name"}),
    "a function's answer": ("def mine() -> QuerySet[Order]: ...\nmine().filter(customer__name=1)", NAME),
    "what a function returns": ("def mine(x):\n return Order.objects.filter(state=x)\nmine(1).filter(customer__name=1)", NAME),
    "a custom method between": ("Order.objects.of_this_year().visible_to(3).filter(customer__name=1)", NAME),
    "by a function that hands it on": (
        "def f():\n qs = Order.objects.all()\n qs = paged(qs)\n qs.filter(customer__name=1)",
        NAME,
    ),
    "get_object_or_404": ("get_object_or_404(Order, customer__name=1)", NAME),
    "get_list_or_404 of a queryset": ("get_list_or_404(Order.objects.all(), customer__name=1)", NAME),
    "the user's model": ("get_user_model().objects.filter(customer__name=1)", {"customers customer__name"}),
    "awaited": (
        "async def f():\n order = await Order.objects.aget(pk=1)\n order.lines.filter(product__name=1)",
        {"products product__name"},
    ),
    "get_or_create's pair": (
        "order, made = Order.objects.get_or_create(number=1)\norder.lines.filter(product__name=1)",
        {"products product__name"},
    ),
    "OuterRef starts outside": (
        "Order.objects.annotate(x=Subquery(Line.objects.filter(quantity=OuterRef('customer__name')).values('id')))",
        NAME,
    ),
    "OuterRef in a name": (
        "def f():\n inner = Line.objects.filter(quantity=OuterRef('customer__name'))\n Order.objects.filter(Exists(inner))",
        NAME,
    ),
    "OuterRef of the one outside": (
        "Order.objects.filter(Exists(Line.objects.filter(Exists(Product.objects.filter(name=OuterRef(OuterRef('customer__name')))))))",
        NAME,
    ),
    "a reverse relation joins": ("Order.objects.filter(payment=None)", {"payments payment"}),
    "and is null": ("Order.objects.filter(payment__isnull=True)", {"payments payment"}),
    "the table between, from the other side": ("Product.objects.filter(wish=3)", set()),
    "a signal's instance": (
        "@receiver(post_save, sender=Order)\ndef f(sender, instance, **kw):\n instance.lines.filter(product__name=1)",
        {"products product__name"},
    ),
    "a condition without a queryset": ("def paid():\n return Q(payment__status='paid')", {"payments payment__status"}),
    "a condition that a function puts together": (
        "def paid():\n q = Q(payment__status='paid')\n return q",
        {"payments payment__status"},
    ),
    "a constant": ("PAID = Q(payment__status='paid')", {"payments payment__status"}),
    "a model reached through a relation": ("Order.customer.field.related_model.objects.filter(pk=1)", {"customers customer"}),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_path_is_found(name: str) -> None:
    source, expected = FOUND[name]
    assert found(source) == expected


NONE = {
    "the foreign key's own column": "Order.objects.filter(customer=1, customer_id=2, customer__id=3, customer__pk=4)",
    "and is null": "Order.objects.filter(customer__isnull=True).exclude(customer__in=[1]).order_by('customer_id')",
    "the end of a path": "Line.objects.filter(order__customer=1, order__customer__isnull=True)",
    "keys in JSON": "Order.objects.filter(extra__customer__account__email=1).values('extra__customer__name')",
    "transforms": "Order.objects.filter(created__date__year__gte=1)",
    "names of annotations": "Order.objects.annotate(paid=Sum('total')).filter(paid__gt=1, customer_name__x=2)",
    "defaults": "Order.objects.get_or_create(number=1, defaults={'customer__name': 2})",
    "the table between": "Order.objects.filter(wished=1, wished__id=2, products__in=[3])",
    "another's function": "render(customer__name=1)\nfilter(None, ['customer__name'])\nconfig.filter(customer__name=1)",
    "dicts and strings": "x = {'customer__name': 1}\ny = 'customer__account__email'\n'customer__name'.split('__')",
    "a DataFrame": "df.filter(customer__name=1).groupby('customer__name').values('customer__name')",
    "dunder names": "Order.__init__\nOrder.objects.__class__.__name__",
    "an unknown part of a path": "def f(x):\n Order.objects.filter(**{f'customer__{x}': 1})",
    "another model's path": "Order.objects.filter(payer__email=1)",
    "a value": "Order.objects.annotate(x=Value('customer__name'))",
    "a name with another meaning": "def f(orders: QuerySet[Order]):\n orders = load()\n orders.filter(customer__name=1)",
    "a parameter that hides the model": "def f(Order):\n Order.objects.filter(customer__name=1)",
    "a loop that hides it": "for Order in things():\n Order.objects.filter(customer__name=1)",
    "after a count": "Order.objects.count().filter(customer__name=1)",
    "behind a comprehension": "def f(line):\n [line for line in Line.objects.all()]\n line.filter(product__name=1)",
    "names in another function": "def f():\n qs = Order.objects.all()\ndef g(qs):\n qs.filter(customer__name=1)",
    "a condition that fits two ways": "def f():\n return Q(order__customer=1)",
    "a class that is called Q": "class Q: ...\nQ(payment__status=1)",
}


@pytest.mark.parametrize("name", NONE)
def test_what_only_looks_like_a_path_is_not(name: str) -> None:
    assert found(NONE[name]) == set()


CLASSES = {
    "a model's own methods": (
        "class Order(models.Model):\n def f(self):\n  return self.lines.filter(product__name=1)",
        "shop.orders.models",
        {"products product__name"},
    ),
    "a model's class methods": (
        "class Order(models.Model):\n @classmethod\n def f(cls):\n  return cls.objects.filter(customer__name=1)",
        "shop.orders.models",
        NAME,
    ),
    "a model's ordering": (
        "class Order(models.Model):\n class Meta:\n  ordering = ['-customer__name', F('number').asc()]",
        "shop.orders.models",
        NAME,
    ),
    "a queryset that a model names": (
        "class OrderQuerying(QuerySet):\n def f(self):\n  return self.filter(customer__name=1)",
        "shop.orders.managers",
        NAME,
    ),
    "a manager in the same module": (
        "class Things(models.Manager):\n def get_queryset(self):\n  return super().get_queryset().filter(customer__name=1)\n"
        "class Order(models.Model):\n objects = Things()",
        "shop.orders.models",
        NAME,
    ),
    "from_queryset": (
        "class Things(models.QuerySet):\n def f(self):\n  return self.filter(customer__name=1)\n"
        "class Order(models.Model):\n objects = models.Manager.from_queryset(Things)()",
        "shop.orders.models",
        NAME,
    ),
    "a queryset that is called after a model": (
        "class OrderQuerySet(QuerySet):\n def f(self):\n  return self.filter(customer__name=1)",
        "shop.orders.other",
        NAME,
    ),
    "a registered admin": (
        "@admin.register(Order)\nclass A(admin.ModelAdmin):\n search_fields = ['=number', '^customer__name']",
        "shop.orders.admin",
        NAME,
    ),
    "an admin that is registered below": (
        "class A(admin.ModelAdmin):\n list_filter = ('state', ('customer__name', X))\nadmin.site.register(Order, A)",
        "shop.orders.admin",
        NAME,
    ),
    "an inline": ("class A(admin.TabularInline):\n model = Order\n ordering = ['customer__name']", "shop.orders.admin", NAME),
    "a list that others are added to": (
        "BASE = ['customer__name']\n@admin.register(Order)\n"
        "class A(admin.ModelAdmin):\n list_display = [*BASE, 'number'] + ['state']",
        "shop.orders.admin",
        NAME,
    ),
    "an admin's actions": (
        "@admin.register(Order)\nclass A(admin.ModelAdmin):\n"
        " def f(self, request, queryset):\n  queryset.filter(customer__name=1)",
        "shop.orders.admin",
        NAME,
    ),
    "an admin's rows": (
        "@admin.register(Order)\nclass A(admin.ModelAdmin):\n def f(self, obj):\n  obj.lines.filter(product__name=1)",
        "shop.orders.admin",
        {"products product__name"},
    ),
    "a view's queryset": (
        "class V(ListView):\n queryset = Order.objects.all()\n def f(self):\n  return self.queryset.filter(customer__name=1)",
        "shop.orders.views",
        NAME,
    ),
    "a view's get_queryset": (
        "class V(ListView):\n def get_queryset(self):\n  qs = Order.objects.all()\n  return qs\n"
        " def f(self):\n  return self.get_queryset().filter(customer__name=1)",
        "shop.orders.views",
        NAME,
    ),
    "a view's object": (
        "class V(DetailView):\n model = Order\n def f(self):\n  self.get_object().lines.filter(product__name=1)",
        "shop.orders.views",
        {"products product__name"},
    ),
    "a view by its serializer": (
        "class S(ModelSerializer):\n class Meta:\n  model = Order\n"
        "class V(ModelViewSet):\n serializer_class = S\n search_fields = ['customer__name']",
        "shop.orders.views",
        NAME,
    ),
    "a view of a base with a parameter": (
        "class V(ListAPIView[Order]):\n ordering_fields = ['customer__name']",
        "shop.orders.views",
        NAME,
    ),
    "a serializer's source": (
        "class S(ModelSerializer):\n x = CharField(source='customer.name')\n class Meta:\n  model = Order",
        "shop.orders.api",
        {"customers customer.name"},
    ),
    "a filter's field": (
        "class S(FilterSet):\n x = CharFilter(field_name='customer__name')\n class Meta:\n  model = Order",
        "shop.orders.api",
        NAME,
    ),
    "a filterset's fields": (
        "class S(FilterSet):\n class Meta:\n  model = Order\n  fields = {'customer__name': ['exact']}",
        "shop.orders.api",
        NAME,
    ),
    "a model by its label": (
        "class F(Factory):\n class Meta:\n  model = 'orders.Order'\n  ordering = ['customer__name']",
        "shop.orders.x",
        NAME,
    ),
    "a method instead of a list": (
        "@admin.register(Order)\nclass A(admin.ModelAdmin):\n def get_search_fields(self, request):\n  return ['customer__name']",
        "shop.orders.admin",
        NAME,
    ),
    "a property": (
        "class R:\n @property\n def all(self):\n  return Order.objects.all()\n"
        " def f(self):\n  return self.all.filter(customer__name=1)",
        "shop.orders.x",
        NAME,
    ),
    "an attribute of self": (
        "class Report:\n def __init__(self, orders: QuerySet[Order]):\n  self.orders = orders\n"
        " def f(self):\n  self.orders.filter(customer__name=1)",
        "shop.orders.x",
        NAME,
    ),
    "a constant of the class": (
        "class Report:\n FIELDS = ['customer__name']\n def f(self):\n  Order.objects.values_list(*self.FIELDS)",
        "shop.orders.x",
        NAME,
    ),
    "the user of a request": (
        "def f(request):\n request.user.customer.order_set.filter(payment__status=1)",
        "shop.orders.x",
        {"payments payment__status"},
    ),
    "no model, no path": (
        "class A:\n search_fields = ['customer__name']\n ordering = ['customer__name']",
        "shop.orders.x",
        set(),
    ),
    "an admin's other lists": (
        "@admin.register(Order)\nclass A(admin.ModelAdmin):\n raw_id_fields = ['customer__name']\n fields = ['customer']",
        "shop.orders.admin",
        set(),
    ),
}


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_tells_its_model(name: str) -> None:
    source, module, expected = CLASSES[name]
    assert found(source, module) == expected


def test_a_place_is_the_definition_or_the_assignment_that_it_stands_in() -> None:
    source = """
    X = Order.objects.filter(customer__name=1)
    class A:
        y = Order.objects.filter(customer__name=1)
        def f(self):
            def g():
                z = Order.objects.filter(customer__name=1)
    """
    from textwrap import dedent

    places = {where for _, where in seen(Queries, IMPORTS + dedent(source), names=["where"])}
    assert places == {"X", "A.y", "A.f.g"}


def test_code_of_a_third_context_sees_every_join_but_its_own() -> None:
    assert found("Payment.objects.filter(order__customer__name=1)", "shop.reports.code") == {
        "orders order__customer__name",
        "customers order__customer__name",
    }
    assert found("Payment.objects.filter(order__customer__name=1)", "shop.customers.code") == {"orders order__customer__name"}


@pytest.mark.parametrize(
    "source",
    ["a = " + "(" * 80 + "1" + ")" * 80, "x" + ".filter(customer__name=1)" * 300, "a = " + "+".join(["'customer'"] * 300)],
)
def test_code_that_a_machine_wrote_is_no_trouble(source: str) -> None:
    found(source)
