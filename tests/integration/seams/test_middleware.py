"""What a request meets before and after its view: P15, P17, P20 and P23, through Django's whole request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from monolith.payments.models import Payment
from strangler.seams import exchange
from strangler.sync import marker

from .conftest import Aside
from .shop import client_of, make_order, make_user, pay

Own = Callable[..., None]


def stamp(epoch: int, access: str) -> dict[str, str]:
    return {"X-Strangler-Context": "payments", "X-Strangler-Epoch": str(epoch), "X-Strangler-Access": access}


def test_p15_a_write_that_meets_the_fence_is_answered_503(own: Own) -> None:
    user = make_user()
    order = make_order(user)
    own("service", 1)
    answer = pay(client_of(user), order)
    assert answer.status_code == 503
    assert answer["Retry-After"] == "1"
    assert answer["Content-Type"] == "application/problem+json"
    assert (answer.json()["owner"], answer.json()["epoch"]) == ("service", 1)
    assert not Payment.objects.exists()


def test_p15_the_owner_is_not_disturbed(fenced: None) -> None:
    user = make_user()
    assert pay(client_of(user), make_order(user)).status_code == 201


@pytest.mark.parametrize(
    ("owner", "epoch", "stamped", "access", "status"),
    [
        ("monolith", 7, 7, "write", 201),
        ("monolith", 7, 6, "write", 201),
        ("monolith", 7, 8, "write", 421),
        ("service", 7, 7, "write", 421),
        ("service", 7, 6, "write", 421),
        ("none", 7, 7, "write", 421),
        ("service", 7, 7, "read", 200),
        ("service", 7, 6, "read", 421),
        ("none", 7, 6, "read", 421),
        ("monolith", 7, 6, "read", 200),
        ("monolith", 7, 8, "read", 421),
    ],
)
def test_p20_the_stamp_is_judged_before_the_view(
    own: Own, owner: str, epoch: int, stamped: int, access: str, status: int
) -> None:
    user = make_user()
    order, client = make_order(user), client_of(user)
    own(owner, epoch)
    headers = stamp(stamped, access)
    answer = pay(client, order, **headers) if access == "write" else client.get("/api/payments/", headers=headers)
    assert answer.status_code == status
    assert Payment.objects.count() == (1 if status == 201 else 0)
    if status == 421:
        assert (answer["X-Strangler-Not-Executed"], answer["Retry-After"]) == ("1", "0")
        said = answer.json()
        assert (said["context"], said["owner"], said["epoch"], said["executed"]) == ("payments", owner, epoch, False)


def test_p20_a_context_that_is_not_installed_is_the_monoliths_at_epoch_0(transactional_db: None) -> None:
    user = make_user()
    order, client = make_order(user), client_of(user)
    assert pay(client, order, **stamp(1, "write")).status_code == 421
    assert pay(client, order, **stamp(0, "write")).status_code == 201


def test_p20_a_senseless_stamp_is_refused(fenced: None) -> None:
    answer = Client().get("/api/payments/", headers={"X-Strangler-Context": "payments", "X-Strangler-Epoch": "seven"})
    assert answer.status_code == 400


def position(answer: Any) -> dict[str, tuple[int, int]]:
    parts = (item.split(":") for item in answer[exchange.POSITION].split(","))
    return {database: (int(epoch), int(marker)) for database, epoch, marker in parts}


def test_p23_an_unsafe_request_tells_a_position_that_only_a_later_round_passes(fenced: None) -> None:
    user = make_user()
    drawn_before = marker.draw()
    answer = pay(client_of(user), make_order(user))
    epoch, told = position(answer)["monolith"]
    assert epoch == 0
    assert drawn_before <= told, "a round opened before the commit would count as fresh"
    assert marker.draw() > told, "a round opened after the commit would not count as fresh"


def test_p23_the_position_is_read_after_the_commit(fenced: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round that opens during the view does not see its writes; its marker must not pass."""
    user = make_user()
    order, client = make_order(user), client_of(user)
    marker.draw()
    drawn_meanwhile: list[int] = []
    from monolith.payments import provider

    charge = provider.charge
    monkeypatch.setattr(provider, "charge", lambda **asked: (drawn_meanwhile.append(marker.draw()), charge(**asked))[1])
    _, told = position(pay(client, order))["monolith"]
    assert drawn_meanwhile
    assert told >= drawn_meanwhile[0]


def test_p23_a_refused_write_tells_it_too_for_something_may_have_been_committed(fenced: None) -> None:
    assert exchange.POSITION in Client().post("/api/payments/")


def test_p23_a_read_tells_none_unless_it_is_declared_to_write(fenced: None) -> None:
    client = client_of(make_user())
    assert exchange.POSITION not in client.get("/api/payments/")
    assert exchange.POSITION in client.get("/api/payments/", headers=stamp(0, "write"))


def test_p23_a_service_tells_its_own_database_and_epoch(fenced: None, as_service: None, own: Own) -> None:
    own("service", 3)
    answer = Client().post("/api/payments/")
    assert position(answer)["payments"][0] == 3


def test_p17_a_view_that_is_one_transaction_is_run_again(
    own: Own, aside: Aside, waits: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ATOMIC_REQUESTS: all was rolled back, so once there is an owner again it is repeated whole, and once only counts."""
    user = make_user()
    order, client = make_order(user), client_of(user)
    own("none", 1)
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    released = aside(lambda: (waits.wait(5), own("monolith", 2)))
    answer = pay(client, order)
    released.result(5)
    assert answer.status_code == 201
    assert Payment.objects.count() == 1


def test_p17_a_view_of_several_transactions_is_not_run_again(own: Own, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of them may have been committed; only who asked can know what is safe to ask again."""
    user = make_user()
    order, client = make_order(user), client_of(user)
    own("none", 1)
    monkeypatch.setattr("strangler.seams.middleware.resolve", lambda context: own("monolith", 2))
    assert pay(client, order).status_code == 503
    assert not Payment.objects.exists()
