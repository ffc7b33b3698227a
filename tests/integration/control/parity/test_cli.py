"""``strangler parity`` from outside: what it shows, what it proposes, how it ends."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import redis

from strangler.control.parity import drain
from strangler.domain.estate_file import parse
from strangler.management import cli
from tests.integration.control.conftest import valkey as valkey
from tests.integration.control.parity.test_drain import TOML, declared, different, sample, send

__all__ = ["declared"]


def say(capsys: pytest.CaptureFixture, *words: str) -> tuple[int, str, str]:
    code = cli.run(words)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture
def faulty(declared: Path, valkey: redis.Redis) -> Path:
    """A wrong amount in each payment, and a field that the monolith itself never says twice alike."""
    bodies: dict[bytes, bytes] = {}
    pairs = [
        different({"amount": "1.10", "token": "geheim"}, {"amount": "1.1", "token": "geheim"}, bodies, number=place)
        for place in range(40)
    ]
    noise = []
    for place in range(40):
        one = different({"at": place}, {"at": place + 1}, bodies, noise=True)
        again = different({"at": -place}, {}, bodies)["answers"]["old"]
        noise.append({**one, "target": "/api/payments/", "answers": {**one["answers"], "again": again}})
    send(valkey, 1, *pairs, *noise, sample("unreachable"), bodies=bodies)
    drain.drain(10.0)
    return declared


def test_what_differs_is_shown_with_its_share_and_an_example(faulty: Path, capsys: pytest.CaptureFixture) -> None:
    code, out, _ = say(capsys, "parity", "payments")
    assert code == 1
    assert "50 % of 80 samples equal" in out
    assert "1 not judged" in out
    lines = out.splitlines()
    assert any(line.startswith("✗") and "GET /api/payments/<int:payment_id>/" in line for line in lines)
    (field,) = [line for line in lines if "body $.amount" in line]
    assert " 100 % " in field
    (noisy,) = [line for line in lines if "body $.at" in line]
    assert noisy.startswith("~")
    number = lines[-1].rpartition(" ")[2]
    code, out, _ = say(capsys, "parity", "show", number)
    assert code == 0
    assert "body $.amount" in out
    assert '"amount": "1.10"' in out
    assert " | " in out
    assert "geheim" not in out
    code, out, _ = say(capsys, "parity", "show", number, "--json")
    assert json.loads(out)["old"]["body"] != json.loads(out)["new"]["body"]


def test_a_proposal_is_toml_that_the_estate_file_takes(faulty: Path, capsys: pytest.CaptureFixture, settings) -> None:
    code, out, _ = say(capsys, "parity", "proposals", "payments")
    assert code == 0
    pasted = TOML + out.partition("\n")[2]
    estate, problems = parse(tomllib.loads(pasted))
    assert problems == []
    (rule,) = estate.contexts["payments"].parity
    assert (rule.endpoint, rule.field, str(rule.how)) == ("GET /api/payments/", "body $.at", "ignore")
    faulty.write_text(pasted)
    settings.STRANGLER = {**settings.STRANGLER}
    said = json.loads(say(capsys, "parity", "payments", "--json")[1])
    assert [one["endpoint"] for one in said["endpoints"]] == ["GET /api/payments/<int:payment_id>/"]


def test_a_reset_needs_a_reason(faulty: Path, capsys: pytest.CaptureFixture) -> None:
    code, _, err = say(capsys, "parity", "reset", "payments")
    assert (code, "a reset needs a reason" in err) == (2, True)
    code, out, _ = say(capsys, "parity", "reset", "payments", "--why", "mended")
    assert (code, "counts no more (receipt" in out) == (0, True)
    code, out, _ = say(capsys, "parity", "payments")
    assert (code, "nothing was compared yet" in out) == (1, True)
    assert say(capsys, "parity")[0] == 0
    assert "parity reset" in say(capsys, "receipts", "payments")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "99999999"), "there is no pair 99999999"),
        (("show", "x"), "say which pair"),
        (("reset",), "say which context"),
        (("reset", "nothing", "--why", "x"), "there is no context 'nothing'"),
        (("nothing",), "there is no context 'nothing'"),
        (("payments", "orders"), "is too much"),
    ],
)
def test_misuse_ends_with_2_and_one_sentence(
    declared: Path, capsys: pytest.CaptureFixture, words: tuple[str, ...], said: str
) -> None:
    code, _, err = say(capsys, "parity", *words)
    assert (code, said in err) == (2, True)
