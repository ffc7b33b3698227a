"""A page is what a reader sees and where its links lead, in order."""

from __future__ import annotations

import pytest

from strangler.domain.parity.difference import Found
from strangler.domain.parity.html_blocks import blocks, html_differences

PAGE = """<!doctype html><title>Cart &amp; more</title>
<style>p { color: red }</style>
<nav><a href="/">Home</a> <a href="/cart/">Cart</a></nav>
<!-- cached at 10:31 -->
<form method="post" action="/pay/"><input type="hidden" name="csrfmiddlewaretoken" value="abc"><input name=code value='7'></form>
<section id="cart"><p>Two <b>blue</b>
  cups<p>Sum: 7.00 EUR</section>
<script>let a = "<p>1</p>";</script>"""


def found(old: str, new: str) -> set[tuple[str, str]]:
    differences = Found()
    html_differences(old, new, differences)
    return {(one.field, one.kind.value) for one in differences.all()}


def test_text_blocks_and_attributes_in_order():
    assert list(blocks(PAGE)) == [
        ("title", "Cart & more"),
        ("a@href", "/"),
        ("a@href", "/cart/"),
        ("nav", "Home Cart"),
        ("form@action", "/pay/"),
        ("input@value", "•••"),
        ("input@value", "7"),
        ("#cart p", "Two blue cups"),
        ("#cart p", "Sum: 7.00 EUR"),
        ("script", 'let a = "<p>1</p>";'),
    ]


@pytest.mark.parametrize(
    ("change", "to", "differences"),
    [
        ("cached at 10:31", "cached at 10:32", set()),
        ("color: red", "color: blue", set()),
        ('value="abc"', 'value="xyz"', set()),
        ("  cups", "cups", set()),
        ('"/cart/"', "'/cart/'", set()),
        ("7.00", "7.01", {("text #cart p", "value")}),
        ("/pay/", "/pay2/", {("text form@action", "value")}),
        ("<p>Sum: 7.00 EUR", "", {("text #cart p", "missing")}),
        ("<nav>", "<nav><h1>New</h1>", {("text h1", "extra")}),
        ("value='7'", "value='8'", {("text input@value", "value")}),
        ('"<p>1</p>"', '"<p>2</p>"', {("text script", "value")}),
        ('<a href="/">Home</a> <a href="/cart/">Cart</a>', '<a href="/cart/">Cart</a> <a href="/">Home</a>', None),
    ],
)
def test_what_is_a_difference(change, to, differences):
    assert change in PAGE
    assert found(PAGE, PAGE.replace(change, to)) == (
        {("text", "order"), ("text nav", "value")} if differences is None else differences
    )


def test_another_order_is_one_difference():
    old, new = ("".join(f"<li>{item}" for item in items) for items in ("abcdef", "fabcde"))
    assert found(old, new) == {("text", "order")}


def test_numbers_in_ids_count_together():
    old, new = ("".join(f'<div id="row-{place}">{text}</div>' for place in range(9)) for text in ("a", "b"))
    assert found(old, new) == {("text #row-* div", "value")}


def test_tokens_in_scripts_are_masked_where_they_are_named():
    one, other = (f'<script>window.csrf = "{letter * 64}"</script>' for letter in "ab")
    assert found(one, other) == set()
    assert found(one.replace("csrf", "digest"), other.replace("csrf", "digest")) == {("text script", "value")}
