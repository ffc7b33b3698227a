"""P17 on real connections: a claim waits while nobody owns, is fixed until commit, and a hand-over waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from strangler.seams import Claim, Fenced, OutsideTransaction, claim, resolve
from strangler.sync import ownership
from strangler.sync.lock import lock_key

from .conftest import Aside

HOLDERS = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND mode = %s
AND ((classid::bigint << 32) | objid::bigint) = %s AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def holders(operator: Any, mode: str) -> int:
    unsigned = lock_key("payments") % 2**64
    signed = unsigned - 2**64 if unsigned >= 2**63 else unsigned
    return int(operator.execute(HOLDERS, [mode, signed]).fetchone()[0])


def claimed() -> Claim:
    with transaction.atomic():
        return claim("payments")


class RolledBack(Exception):
    pass


@transaction.atomic
def claim_and_roll_back() -> None:
    claim("payments")
    raise RolledBack


def test_p17_a_claim_follows_the_owner(own: Callable[..., None]) -> None:
    assert claimed() is Claim.LOCAL
    own("service", 1)
    assert claimed() is Claim.REMOTE


def test_p17_a_claim_waits_while_nobody_owns_and_the_hand_over_does_not_wait_for_it(
    own: Callable[..., None], aside: Aside, waits: threading.Event
) -> None:
    own("none", 1)
    claimant = aside(claimed)
    assert waits.wait(5)
    own("service", 1, lock_timeout_ms=50, tries=2)  # a claim that kept its lock while it waits would make this fail
    assert claimant.result(5) is Claim.REMOTE


def test_p17_a_claim_that_came_before_is_undone_and_goes_on_here(
    own: Callable[..., None], aside: Aside, waits: threading.Event
) -> None:
    own("none", 1)
    claimant = aside(claimed)
    assert waits.wait(5)
    own("monolith", 2)
    assert claimant.result(5) is Claim.LOCAL


def test_p17_nobody_for_too_long_is_fenced(own: Callable[..., None], settings: Any) -> None:
    settings.STRANGLER_CLAIM_TIMEOUT = 0.05
    own("none", 1)
    with pytest.raises(Fenced) as refused, transaction.atomic():
        claim("payments")
    assert (refused.value.context, refused.value.owner, refused.value.epoch) == ("payments", "none", 1)


def test_p17_the_owner_is_fixed_until_commit(own: Callable[..., None], operator: Any) -> None:
    with transaction.atomic():
        assert claim("payments") is Claim.LOCAL
        with pytest.raises(ownership.OwnershipBusy):
            own("none", 1, lock_timeout_ms=20, tries=2)
        assert claim("payments") is Claim.LOCAL
        assert holders(operator, "ShareLock") == 1
    own("none", 1)
    assert holders(operator, "ShareLock") == 0


def test_p17_a_unit_of_work_claims_a_context_once(own: Callable[..., None], django_assert_num_queries: Any) -> None:
    claimed()
    for _ in range(2):
        with transaction.atomic():
            with django_assert_num_queries(1):
                assert claim("payments") is Claim.LOCAL
            with django_assert_num_queries(0):
                assert claim("payments") is Claim.LOCAL
            with transaction.atomic(), django_assert_num_queries(0):
                assert claim("payments") is Claim.LOCAL


def test_p17_a_claim_is_not_remembered_where_somebody_else_commits(own: Callable[..., None]) -> None:
    transaction.set_autocommit(False)
    try:
        with transaction.atomic():
            assert claim("payments") is Claim.LOCAL
        transaction.commit()
        own("service", 1)
        with transaction.atomic():
            assert claim("payments") is Claim.REMOTE
        transaction.commit()
    finally:
        transaction.set_autocommit(True)


def test_p17_a_claim_ends_with_a_rollback(own: Callable[..., None]) -> None:
    with pytest.raises(RolledBack):
        claim_and_roll_back()
    own("none", 1, tries=1)


def test_p17_a_claim_of_an_inner_block_that_was_rolled_back_is_given_back(own: Callable[..., None]) -> None:
    with transaction.atomic():
        with pytest.raises(RolledBack):
            claim_and_roll_back()
        own("service", 1)
        assert claim("payments") is Claim.REMOTE


def test_p17_a_hand_over_under_way_is_waited_for(
    own: Callable[..., None], aside: Aside, operator: Any, waits: threading.Event
) -> None:
    with operator.transaction():
        operator.execute("SELECT pg_advisory_xact_lock(%s)", [lock_key("payments")])
        claimant = aside(claimed)
        assert waits.wait(5)
        operator.execute("UPDATE strangler_ownership SET owner = 'service', epoch = 1 WHERE context = 'payments'")
    assert claimant.result(5) is Claim.REMOTE


def test_p17_under_repeatable_read_a_claim_never_passes_on_an_old_snapshot(own: Callable[..., None]) -> None:
    """The snapshot stays that of the first statement: without FOR SHARE the claim would find the owner of before."""
    with pytest.raises(Exception, match="could not serialize"), transaction.atomic():  # noqa: PT012
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT count(*) FROM payments_payment")
        own("service", 1)
        claim("payments")


def test_a_claim_needs_a_transaction(fenced: None) -> None:
    with pytest.raises(OutsideTransaction):
        claim("payments")


def test_what_is_not_installed_is_local(transactional_db: None) -> None:
    assert resolve("orders") is Claim.LOCAL
    with transaction.atomic():
        assert claim("orders") is Claim.LOCAL


def test_without_our_tables_everything_is_local_and_the_transaction_goes_on(transactional_db: None) -> None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE strangler_ownership RENAME TO strangler_ownership_away")
        assert claim("payments") is Claim.LOCAL
        assert resolve("payments") is Claim.LOCAL
        transaction.set_rollback(True)


def test_for_a_service_every_other_context_is_remote(transactional_db: None, as_service: None) -> None:
    assert resolve("orders") is Claim.REMOTE
    with transaction.atomic():
        assert claim("orders") is Claim.REMOTE
