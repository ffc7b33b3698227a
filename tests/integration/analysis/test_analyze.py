"""``strangler analyze`` on the shop: the map, a quote, what if, files; what is wrong with a command is said in a sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from strangler.analysis.collect import collect
from strangler.analysis.reports import document
from strangler.analysis.reports.judging import Judged
from strangler.domain.coupling.edges import Skipped
from strangler.domain.coupling.ledger import Ledger
from strangler.management import cli
from strangler.management.verbs import analyze

SCHEMA = Path(__file__).parents[3] / "docs" / "reference" / "ledger.schema.json"
CHECK = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


@pytest.fixture(scope="module", autouse=True)
def _collected_once() -> Iterator[None]:
    """The shop is the same for all that is asked of it here; each way of asking is collected once."""
    known: dict[Any, Ledger] = {}

    def once(*, only: Sequence[str], recorded: Path | None, moves: dict[str, str] | None, progress: Any) -> Ledger:
        key = tuple(only), recorded, tuple((moves or {}).items())
        if key not in known:
            known[key] = collect(only=only, recorded=recorded, moves=moves, progress=progress)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(analyze, "collect", once)
        yield


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], db: None) -> Any:
    def said(*words: str) -> tuple[int, str]:
        code = cli.run(["analyze", *words])
        caught = capsys.readouterr()
        return code, caught.out + caught.err

    return said


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], db: None) -> Any:
    """The JSON, which is held against its schema."""

    def asked(*words: str) -> dict[str, Any]:
        assert cli.run(["analyze", *words, "--json"]) == 0
        data: dict[str, Any] = json.loads(capsys.readouterr().out)
        CHECK.validate(data)
        return data

    return asked


def test_the_map_names_pairs_cycles_ranking_and_what_was_looked_at(say: Any) -> None:
    code, text = say()
    assert code == 0
    for told in (
        "who knows whom",
        "orders → payments",
        "foreign_key",
        "cycles",
        "which to take out first",
        "first:",
        "static: ",
        "live: ",
    ):
        assert told in text
    assert "nothing recorded; run pytest --strangler-ledger" in text
    assert "declared by nobody, each a context by itself: shell" in text
    _, everything = say("--all")
    assert "pairs more" in text
    assert "more: --all" not in everything


def test_a_context_has_its_quote_and_its_crossings_with_line_and_remedy(say: Any) -> None:
    _, text = say("payments")
    assert "more: strangler analyze payments --all" in text
    _, everything = say("payments", "--all")
    assert len(everything.splitlines()) > len(text.splitlines())
    for told in ("difficulty", "to mirror", "loose keys", "monolith/payments/models.py:", "models.ForeignKey(", "→ id + API:"):
        assert told in everything


def test_json_has_the_whole_ledger_and_the_same_each_time(ask: Any) -> None:
    whole = ask()
    anew = json.loads(json.dumps(document.whole(Judged(collect()))))
    for part in ("edges", "cycles", "skipped", "looked_at"):  # the sizes of tables, and what follows from them, are estimates
        assert whole[part] == anew[part]
    found = {(edge["kind"], edge["source"], edge["where"], edge["target"]) for edge in whole["edges"]}
    assert ("foreign_key", "payments", "monolith/payments/models.py:Payment.order", "orders") in found
    assert {one["context"] for one in whole["quotes"]} == {"users", "customers", "products", "orders", "payments"}
    one = ask("payments")
    assert one["quote"] == next(each for each in whole["quotes"] if each["context"] == "payments")
    assert all("payments" in (edge["source"], edge["target"]) for edge in one["edges"])


def test_parts_are_asked_alone(ask: Any) -> None:
    assert set(ask("--only", "static")["looked_at"]) == {"static"}
    assert "import" not in {edge["kind"] for edge in ask("--only", "live")["edges"]}


def test_what_if_two_were_one_and_a_model_were_anothers(ask: Any, say: Any) -> None:
    merged = ask("--merge", "orders,payments")
    assert merged["what_if"] == {"move": {}, "merge": [["orders", "payments"]]}
    keys = {each["what"]: (each["before"], each["after"]) for each in merged["changes"]["orders"]}
    assert keys["tables to mirror"][0] < keys["tables to mirror"][1]
    moved = ask("payments", "--move", "payments.Refund=orders")
    assert {"what": "tables to mirror", "before": 5, "after": 4} in moved["changes"]["payments"]
    assert "tables to mirror" in say("payments", "--move", "payments.Refund=orders")[1]


def test_files_are_written_and_the_page_holds_what_was_found(ask: Any, say: Any, tmp_path: Path) -> None:
    html, chart = tmp_path / "map.html", tmp_path / "map.mmd"
    code, text = say("--html", str(html), "--mermaid", str(chart))
    assert code == 0
    assert f"written: {html}" in text
    assert html.read_text(encoding="utf-8").count("<li ") == len(ask()["edges"])
    assert chart.read_text(encoding="utf-8").startswith("flowchart LR\n")
    assert say("--mermaid")[1] == chart.read_text(encoding="utf-8")


def test_what_was_skipped_ends_with_one_only_when_asked_to_be_strict(say: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Skipped("file", "monolith/broken.py", "line 3: invalid syntax")
    monkeypatch.setattr(analyze, "collect", lambda **_: Ledger(skipped=(broken,), looked_at={"static": {"files": 1}}))
    code, text = say("--only", "static")
    assert code == 0
    assert "not looked at: 1" in text
    assert "line 3: invalid syntax" in text
    assert say("--only", "static", "--strict")[0] == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "there is no context 'nowhere'; there are users, customers"),
        (["--only", "stars"], "--only takes static, live, runtime"),
        (["--move", "Invoice"], "--move takes APP.MODEL=CONTEXT"),
        (["--move", "shop.Nothing=orders"], "there is no model shop.Nothing"),
        (["--merge", "orders"], "a merge takes two contexts"),
        (["--merge", "orders,nowhere"], "there is no context 'nowhere'"),
        (["--propose", "--merge", "orders,payments"], "--propose looks at the whole project as it is"),
        (["--write"], "--write goes with --propose"),
        (["--ledger", "nothing.json"], "there is no file nothing.json"),
        (["--html", "no/such/directory/map.html"], "can not be written"),
    ],
)
def test_misuse_is_said_in_a_sentence(say: Any, words: list[str], told: str) -> None:
    code, text = say(*words)
    assert code == 2
    assert told in text
