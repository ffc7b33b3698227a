"""The page holds the whole ledger as a document; what comes from a project stays text."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from strangler.analysis.reports.page import page
from strangler.analysis.reports.words import Words
from strangler.domain.coupling.ledger import Ledger
from tests.unit.analysis.reports import ledgers

VOID = {"meta", "link", "input", "br"}
WORDS = Words(
    remedy=lambda edge: f"Replace {edge.what} by an id.",
    quotes={"orders": (("difficulty", "3 × 10 = 30"),)},
    ranking=(("orders", "orders first: nothing imports it"),),
    cycles=(("orders ⇄ payments", "cut 1 signal"),),
)


class Read(HTMLParser):
    """Elements, attributes and text; fails where one is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: list[str] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.said.append(data)


@pytest.mark.parametrize(
    "made", [ledgers.small(), ledgers.hostile(), ledgers.large(), Ledger()], ids=["small", "hostile", "large", "empty"]
)
def test_it_is_well_formed_and_each_link_leads_somewhere(made: Ledger) -> None:
    read = Read(page(made, WORDS))
    assert read.open == []
    assert len(read.ids) == len(set(read.ids))
    links = {value for name, value in read.attributes if name == "href"}
    assert links - {f"#{each}" for each in read.ids} == {"data:,"}


def test_every_crossing_stands_in_it_with_line_source_and_remedy() -> None:
    said = " ".join(Read(page(ledgers.small(), WORDS)).said)
    for edge in ledgers.small().edges:
        assert edge.what in said
        assert f"Replace {edge.what} by an id." in said
        for proof in edge.evidence:
            assert f"{proof.file}:{proof.line}" in said
            assert proof.text in said
    for told in ("3 × 10 = 30", "nothing imports it", "cut 1 signal", "shop/broken.py", "41 times, by request GET /search/"):
        assert told in said


def test_large_ones_lose_nothing() -> None:
    made = ledgers.large()
    assert page(made, WORDS).count("<li ") == len(made.edges) == 5000


def test_what_a_project_is_called_is_never_markup() -> None:
    read = Read(page(ledgers.hostile(), Words(remedy=lambda edge: ledgers.HOSTILE), ledgers.HOSTILE))
    assert read.tags.count("script") == 1
    assert "img" not in read.tags
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    shown = ledgers.HOSTILE.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    assert sum(shown in said for said in read.said) > 10


def test_it_asks_nobody_for_anything_and_obeys_only_its_own_style_and_script() -> None:
    text = page(ledgers.small(), WORDS)
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    for tag in ("style", "script"):
        inner = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert inner
        digest = base64.b64encode(hashlib.sha256(inner[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert "default-src 'none'" in policy[1]
    assert not re.search(r"https?:|url\(|@import|\ssrc=|\sstyle=", text)


def test_the_same_ledger_gives_the_same_page() -> None:
    assert page(ledgers.large(), WORDS) == page(ledgers.large(), WORDS)
