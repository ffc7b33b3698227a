"""A service that owns is killed with -9 and left by break-glass; when it comes back it writes nothing, and nothing is hidden.

Real processes throughout: the service dies with writes that it acknowledged and nobody has fetched, because the monolith's worker
was dead as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests

from strangler.seams.stamps import ACCESS, CONTEXT, EPOCH
from tests.faults.test_kill_nine import OWNER, ROWS, until
from tests.faults.writers import Writers
from tests.operator import Operator

pytestmark = [pytest.mark.estate, pytest.mark.timeout(240)]

COLLECTED = "SELECT error FROM strangler_stranding WHERE collected_at IS NOT NULL"


@pytest.fixture
def healed(operator: Operator) -> Iterator[Operator]:
    yield operator
    for name in ("payments", "worker"):
        if not operator.estate.running(name):
            operator.estate.restart(name)


def test_p22_a_dead_owner_is_left_and_what_it_had_acknowledged_is_found_when_it_returns(healed: Operator) -> None:
    operator, estate = healed, healed.estate
    operator.bring("live")
    with Writers(estate.url) as writers:
        assert writers.wait_for(2, 60), writers.refused[-3:]
        estate.kill("worker")  # nobody fetches the service's feed any more
        assert writers.wait_for(3, 60), writers.refused[-3:]
    ((_, epoch),) = operator.query("payments", OWNER)

    refused = operator.begin("rollback", "payments", "--force-dead-service", "--confirm", f"payments {epoch}")
    assert refused.communicate(60)[0], "a service that lives was left"
    assert refused.returncode == 1
    estate.kill("payments")
    words = ["rollback", "payments", "--force-dead-service", "--confirm", f"payments {epoch}", "--why", "its machine is gone"]
    (receipt,) = operator.go(*words)["receipts"]
    assert (receipt["outcome"], receipt["to"]["stage"]) == ("done", "mirror")
    assert any(verdict["gate"] == "loss" and "at least 0 rows" in verdict["reason"] for verdict in receipt["verdicts"])
    ((owner, now),) = operator.query("monolith", OWNER)
    assert (owner, now > epoch + 1) == ("monolith", True)
    with Writers(estate.url) as after:
        assert after.wait_for(2, 60), f"nobody can pay without the service: {after.refused[-3:]}"
    assert not after.refused

    estate.restart("payments")  # with nobody to tell it yet, because the worker is dead still
    assert operator.query("payments", OWNER) == [("service", epoch)]
    stamp = {CONTEXT: "payments", EPOCH: str(now), ACCESS: "write"}
    answer = requests.post(f"http://127.0.0.1:{estate.place.ports.payments}/api/payments/", headers=stamp, timeout=10)
    assert answer.status_code == 421, answer.text  # P20: it is stale, and knows by the stamp

    estate.restart("worker")
    until(lambda: operator.query("payments", OWNER) == [("monolith", now)], 30, "the word that it owns no more")
    until(lambda: operator.query("monolith", COLLECTED) == [("",)], 30, "what it had acknowledged")
    here = {row[0] for row in operator.query("monolith", ROWS)}
    lost = set(writers.acknowledged) - here
    assert lost, "everything had been fetched: nothing was proved"
    listing = operator.begin("sync", "stranded", "payments")
    said = json.loads(listing.communicate(60)[0])
    assert (listing.returncode, said["collected"]) == (1, True)
    stranded = {one["key"] for one in said["changes"] if one["collection"] == "payments.Payment" and one["here"] == "no such row"}
    assert stranded == lost
    assert not lost & set(after.acknowledged), "an id was given out twice"

    operator.go("sync", "stranded", "payments", "--settle-all", "--reason", "seen by a test")
    assert operator.go("sync", "backfill", "payments")["complete"]
    until(lambda: operator.query("monolith", ROWS) == operator.query("payments", ROWS), 30, "the mirror made anew")
    operator.bring("live")
    operator.bring("canary", 100)
