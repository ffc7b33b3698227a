"""The service contract over HTTP: who may call, what is refused, and in which words."""

from __future__ import annotations

import time

import pytest
import requests

from strangler.domain.tokens import issue
from strangler.errors import ServiceUnavailable, StranglerError
from strangler.sync.client import ServiceClient
from tests.integration.sync.bank.models import Code
from tests.integration.sync.estate import CONTEXT, DESTINATION, act_as, closing, connect

SECRET = "a token that is long enough for the tests"


def call(
    service, method: str, path: str, *, audience: str = CONTEXT, secret: str = SECRET, **request: object
) -> requests.Response:
    headers = {"Authorization": f"Bearer {issue(secret, audience=audience, now=time.time())}"}
    return requests.request(method, service.url + path, headers=headers, timeout=10, **request)


def assert_problem(answer: requests.Response, status: int, said: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert said in answer.json()["detail"]


def test_only_with_a_token_for_this_context(service):
    assert_problem(requests.get(f"{service.url}/_strangler/ownership", timeout=10), 401, "no bearer token")
    assert_problem(call(service, "GET", "/_strangler/ownership", audience="orders"), 401, "not meant for bank")
    assert_problem(call(service, "GET", "/_strangler/ownership", secret="x" * 40), 401, "wrong signature")
    assert call(service, "GET", "/_strangler/ownership").json()["owner"] == "monolith"


def test_rows_are_told_by_key_as_canonical_text(service, estate):
    with closing(there := connect(DESTINATION)):
        act_as(there, "bank")
        there.execute(
            "INSERT INTO bank_account (id, handle, balance, opened_at) VALUES (7, 'ä', 1.10, '2026-01-02 03:04:05+00:00')"
        )
    client = service.client()
    assert client.rows("bank.Account", ["7", "8"]) == {
        "7": {"id": "7", "handle": "ä", "balance": "1.1", "opened_at": "2026-01-02T03:04:05.000000Z", "holder_id": None}
    }
    assert client.rows("bank.None", ["7"]) is None, "like a service that has no such call"
    assert_problem(call(service, "GET", "/_strangler/rows?collection=bank.None&keys=[]"), 404, "bank.None")
    assert_problem(call(service, "GET", "/_strangler/rows?collection=bank.Tag&keys=7"), 400, "keys")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"{}", "not a list"),
        (b'[{"specversion": "0.3"}]', "event 0: specversion"),
        (b'[{"specversion": "1.0", "type": "x"}]', "type is 'x'"),
        (b'[{"specversion": "1.0", "type": "strangler.row.delete", "subject": "nokey"}]', "subject is 'nokey'"),
    ],
)
def test_rubbish_is_answered_with_what_is_wrong(service, body, said):
    assert_problem(call(service, "POST", "/_strangler/changes", data=body), 400, said)


def test_health_needs_no_token_and_metrics_say_who_owns(service):
    assert requests.get(f"{service.url}/livez", timeout=10).status_code == 200
    assert requests.get(f"{service.url}/readyz", timeout=10).status_code == 200
    assert 'strangler_ownership_epoch{context="bank",owner="monolith"' in requests.get(f"{service.url}/metrics", timeout=10).text


def test_digests_cut_the_keys_into_runs_of_equal_length(service, estate):
    with closing(there := connect(DESTINATION)):
        act_as(there, "bank")
        for n in range(1, 11):
            there.execute("INSERT INTO bank_tag (id, word) VALUES (%s, 'w')", [n])
    client = service.client()
    runs = client.digest("bank.Tag", buckets=4)
    assert [(run["from"], run["to"], run["count"]) for run in runs] == [
        ("1", "3", 3),
        ("4", "6", 3),
        ("7", "9", 3),
        ("10", "10", 1),
    ]
    (whole,) = client.digest("bank.Tag", buckets=1)
    assert whole["digest"] == sum(run["digest"] for run in runs) % 2**64
    assert [run["from"] for run in client.digest("bank.Tag", "4", "5", 10)] == ["4", "5"]
    assert [(item["from"], item["count"]) for item in client.digest_keys("bank.Tag", ["5", "77"])] == [("5", 1), ("77", 0)]
    assert_problem(call(service, "GET", "/_strangler/digest?collection=bank.None"), 404, "bank.None")
    assert_problem(call(service, "GET", "/_strangler/digest?collection=bank.Tag&from=abc"), 400, "abc")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"epoch": -1, "owner": "none"}, "epoch"),
        ({"epoch": 1, "owner": "me"}, "owner"),
        ({"context": "orders"}, "not of 'orders'"),
    ],
)
def test_p16_ownership_that_makes_no_sense_is_refused(service, body, said):
    assert_problem(call(service, "PUT", "/_strangler/ownership", json=body), 400, said)


def test_p16_a_stale_ownership_is_409(service):
    assert call(service, "PUT", "/_strangler/ownership", json={"epoch": 4, "owner": "none", "operation": "a"}).status_code == 200
    assert_problem(
        call(service, "PUT", "/_strangler/ownership", json={"epoch": 3, "owner": "monolith", "operation": "b"}), 409, "epoch 4"
    )


def test_p10_changes_for_the_owner_are_409(service, estate):
    estate.hand_over("service", 2)
    event = estate.event("bank.Code", "k", (1, 1, 1), {"code": "k"})
    with pytest.raises(StranglerError, match="owned by this side"):
        service.client().post_changes([event])


def test_a_batch_beyond_the_size_of_forms_is_taken(service, estate):
    events = [estate.event("bank.Code", str(n), (0, 1, 1), {"code": str(n), "meaning": "x" * 10_000}) for n in range(600)]
    assert len(service.client().post_changes(events)["applied"]) == 600
    assert Code.objects.using(DESTINATION).count() == 600


def test_a_service_that_is_away_is_named_with_the_next_command(service):
    service.kill()
    with pytest.raises(
        ServiceUnavailable, match=r"the bank service at http://127\.0\.0\.1:\d+ does not answer.*strangler status"
    ):
        service.client().ready()
    assert ServiceClient(CONTEXT).url == "http://127.0.0.1:9"
