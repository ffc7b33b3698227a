"""P25: foreign keys across the border are dropped before the cut, kept as text, and come back validated."""

from __future__ import annotations

import pytest
from django.db import transaction
from django.db.utils import IntegrityError

from strangler.sync import loose_keys
from strangler.sync.database import rows
from tests.integration.sync.bank.models import Account
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE
from tests.integration.sync.people.models import Person
from tests.integration.sync.servers import foreign_keys, is_validated


@pytest.fixture
def loose(estate):
    before = loose_keys.crossing(CONTEXT, SOURCE)
    dropped = loose_keys.drop(CONTEXT, SOURCE)
    yield [key.name for key in before], dropped
    rows("DELETE FROM strangler_outbox", using=SOURCE)
    rows("UPDATE bank_account SET holder_id = NULL", using=SOURCE)
    loose_keys.restore(CONTEXT, SOURCE)


def test_p25_only_keys_that_cross_the_border_are_dropped(estate, loose):
    before, dropped = loose
    assert before == dropped
    assert len(dropped) == 1
    assert loose_keys.tight(CONTEXT, SOURCE) == []
    assert loose_keys.drop(CONTEXT, SOURCE) == [], "again is nothing"
    assert len(foreign_keys("bank_transfer", SOURCE)) == 1, "keys within the context stay"


def test_p25_the_parent_can_be_deleted_while_the_child_belongs_to_the_other_side(estate, loose):
    """The monolith must be able to delete a person although the rows of accounts are only a copy here."""
    person = Person.objects.using(SOURCE).create(email="a@example.com", password="p")
    Account.objects.using(SOURCE).create(handle="a", holder=person)
    rows("DELETE FROM people_person", using=SOURCE)
    assert loose_keys.orphans(CONTEXT, SOURCE) == {"bank_account.holder_id -> people_person": 1}


def test_p25_restored_as_it_was_and_validated(estate):
    definition = loose_keys.crossing(CONTEXT, SOURCE)[0].definition
    loose_keys.drop(CONTEXT, SOURCE)
    assert loose_keys.restore(CONTEXT, SOURCE)
    (key,) = loose_keys.crossing(CONTEXT, SOURCE)
    assert key.definition == definition
    assert is_validated(key.name, SOURCE)
    assert rows("SELECT * FROM strangler_loose_key", using=SOURCE) == []


def test_p25_an_orphan_keeps_it_from_being_validated_but_new_rows_are_checked(estate, loose):
    person = Person.objects.using(SOURCE).create(email="a@example.com", password="p")
    Account.objects.using(SOURCE).create(handle="a", holder=person)
    rows("DELETE FROM people_person", using=SOURCE)
    with pytest.raises(IntegrityError, match="holder"):
        loose_keys.restore(CONTEXT, SOURCE)
    assert not is_validated(loose[1][0], SOURCE)
    with pytest.raises(IntegrityError), transaction.atomic(using=SOURCE):
        Account.objects.using(SOURCE).create(handle="b", holder_id=4711)
    assert rows("SELECT count(*) FROM strangler_loose_key", using=SOURCE) == [(1,)], "kept until it is whole again"


def test_p25_the_service_has_none(estate):
    assert loose_keys.tight(CONTEXT, DESTINATION) == []
