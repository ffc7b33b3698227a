"""Two relays, three writers and bad luck, each statement and each step of a round at any moment, on real databases.

What must hold at every step: the destination never shows an older state of a row than it did before, nor one that was never
committed (P8); whoever may believe a published marker finds there what was committed before it (P23); a steady key is never
called drift (P29). At the end both sides are equal, whatever is delivered once more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from strangler.domain.envelope import Event, from_json, to_json
from strangler.errors import LostLease, ServiceUnavailable, StaleEpoch
from strangler.sync import apply, backfill, drift, lease, marker, outbox
from strangler.sync.database import rows, value
from strangler.sync.relay import UNDER_WAY, Relay, give_up
from tests.integration.sync.estate import CONTEXT, DESTINATION, SOURCE, Direct, connect, wait_for
from tests.integration.sync.taken_out import taken_out

pytestmark = pytest.mark.only("postgresql", "writers side by side")

LONG = bool(os.environ.get("STRANGLER_LONG"))
EXAMPLES = 1000 if LONG else 10
FAIR = settings(
    max_examples=EXAMPLES,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    phases=[Phase.generate],
)
SMALL = 2  # changes a round
KEYS, ACCOUNTS = tuple("abc"), (1, 2, 3)
COLLECTIONS = ("bank.Code", "bank.Account", "bank.Reading")
WRITES = ("put", "put", "put", "delete", "rename", "swap", "move", "truncate")
PUT = "INSERT INTO bank_code VALUES (%s, %s) ON CONFLICT (code) DO UPDATE SET meaning = EXCLUDED.meaning"
READING = (
    "INSERT INTO bank_reading VALUES (%(number)s, 2025, %(value)s) ON CONFLICT (id, year) DO UPDATE SET value = EXCLUDED.value"
)
SWAP = (
    "UPDATE bank_account SET handle = '~' || handle WHERE id = %(first)s",
    "UPDATE bank_account s SET handle = ltrim(f.handle, '~') FROM bank_account f WHERE s.id = %(second)s AND f.id = %(first)s",
    "UPDATE bank_account SET handle = %(new)s WHERE id = %(first)s",
)
keys, few = st.sampled_from(KEYS), st.integers(0, 2)


class Network:
    """The way to the destination. What was sent may arrive later, and again; an answer may be lost."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.answers: list[dict[str, Any]] = []
        self.fate = "delivered"

    def post_changes(self, events: list[Event]) -> dict[str, Any]:
        fate, self.fate = self.fate, "delivered"
        self.sent.append(to_json(events))
        if fate != "delayed":
            answer = self.deliver(-1)
        if fate != "delivered":
            raise ServiceUnavailable("the network is away")
        return answer

    def deliver(self, index: int) -> dict[str, Any]:
        return apply.apply(from_json(self.sent[index]), using=DESTINATION).to_json()


class Posting:
    """A round that is under way. It arrives when luck has it, at the latest when its answer is waited for."""

    def __init__(self, post: Callable[..., Any], *args: Any) -> None:
        self._post, self._answer, self._error = lambda: post(*args), None, None
        self.has_arrived = False

    def arrive(self) -> None:
        if not self.has_arrived:
            self.has_arrived = True
            try:
                self._answer = self._post()
            except ServiceUnavailable as error:
                self._error = error

    def result(self) -> Any:
        self.arrive()
        if self._error:
            raise self._error
        return self._answer


class Holder:
    """A relay that stops after each step of ``Relay.push``. Its rounds are small, so that a sweep has several."""

    def __init__(self, held: lease.Lease, network: Network) -> None:
        self.relay, self.ended, self.postings = Relay(held, network, SOURCE, limit=SMALL), False, list[Posting]()
        self.relay._pool = lambda: self
        self._steps = self._rounds()

    def submit(self, post: Callable[..., Any], *args: Any) -> Posting:
        self.postings.append(Posting(post, *args))
        return self.postings[-1]

    def step(self) -> None:
        try:
            next(self._steps)
        except LostLease:
            self.ended = True
        except (ServiceUnavailable, StaleEpoch) as error:
            give_up(self.relay.lease, error, SOURCE)
            self.ended = True

    def _rounds(self) -> Iterator[None]:
        relay = self.relay
        while True:
            drawn = marker.draw(SOURCE)
            yield
            with patch.object(marker, "draw", return_value=drawn):
                seen = relay.read()
            yield
            while len(relay._under_way) >= UNDER_WAY:
                relay.land()
                yield
            relay.lease.renew()
            yield
            if seen.has_more and seen.batch.events:
                relay._under_way.append((seen, relay._pool().submit(relay._post, seen.batch.events)))
                relay._sent.update(pointer.id for pointer in seen.pointers)
                yield
                continue
            answer = relay._post(seen.batch.events) if seen.batch.events else ({}, 0.0)
            yield
            relay.land_all()
            relay._acknowledge(seen, *answer)
            yield


class Writer:
    """A session with at most one open transaction. ``wrote``: key → the value that it will have, None for none."""

    def __init__(self) -> None:
        self.connection = connect(SOURCE)
        self.is_open = False
        self.wrote: dict[str, str | None] = {}
        self.locks: set[object] = set()

    def run(self, sql: str, *params: Any) -> None:
        if not self.is_open:
            self.connection.execute("BEGIN")
            self.is_open = True
        self.connection.execute(sql, params[0] if isinstance(params[0], dict) else params)

    def end(self, word: str) -> None:
        self.connection.execute(word)
        self.is_open, self.wrote = False, {}
        self.locks.clear()


class TwoRelays(RuleBasedStateMachine):
    estate: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.estate.reset()
        self.network = Network()
        self.holders: list[Holder] = []
        self.writers = [Writer() for _ in range(3)]
        self.values = 0
        self.history: dict[str, list[str | None]] = {key: [None] for key in KEYS}
        self.shown = dict.fromkeys(KEYS, 0)
        self.positions: list[tuple[int, str, int]] = []
        for number in ACCOUNTS:
            rows("INSERT INTO bank_account (id, handle, balance, opened_at) VALUES (%s, %s, 0, now())", [number, number], SOURCE)
        self.estate.relay()

    # ---- writers ------------------------------------------------------------------------------------------------------

    def free(self, writer: Writer, *wanted: object) -> bool:
        """Whether nobody else holds them in an open transaction, which would make this thread wait for itself."""
        if any(set(wanted) & other.locks for other in self.writers if other is not writer):
            return False
        writer.locks.update(wanted)
        return True

    def now(self, writer: Writer, key: str) -> str | None:
        return writer.wrote[key] if key in writer.wrote else self.history[key][-1]

    def new(self) -> str:
        self.values += 1
        return f"v{self.values}"

    @rule(which=few, what=st.sampled_from(WRITES), key=keys, number=few)
    def write(self, which: int, what: str, key: str, number: int) -> None:
        getattr(self, f"_{what}")(self.writers[which], key, number)

    def _put(self, writer: Writer, key: str, number: int) -> None:
        if self.free(writer, key):
            writer.wrote[key] = self.new()
            writer.run(PUT, key, writer.wrote[key])

    def _delete(self, writer: Writer, key: str, number: int) -> None:
        if self.free(writer, key):
            writer.wrote[key] = None
            writer.run("DELETE FROM bank_code WHERE code = %s", key)

    def _rename(self, writer: Writer, key: str, number: int) -> None:
        other = KEYS[number]
        if key == other or not self.free(writer, key, other):
            return
        if self.now(writer, key) is not None and self.now(writer, other) is None:
            writer.wrote[key], writer.wrote[other] = None, self.new()
            writer.run("UPDATE bank_code SET code = %s, meaning = %s WHERE code = %s", other, writer.wrote[other], key)

    def _swap(self, writer: Writer, key: str, number: int) -> None:
        """Two rows change their unique values: the third one goes to the place that the first one leaves."""
        first, second = ACCOUNTS[number], ACCOUNTS[number - 1]
        if self.free(writer, first, second):
            for statement in SWAP:
                writer.run(statement, {"first": first, "second": second, "new": self.new()})

    def _move(self, writer: Writer, key: str, number: int) -> None:
        """Into a partition, or from one to the other."""
        if self.free(writer, f"reading {number}"):
            writer.run(READING, {"number": number, "value": self.new()})
            writer.run("UPDATE bank_reading SET year = 2026 WHERE id = %s AND value LIKE '%%3'", number)

    def _truncate(self, writer: Writer, key: str, number: int) -> None:
        if not any(isinstance(lock, str) and lock.startswith("reading") for other in self.writers for lock in other.locks):
            writer.run("TRUNCATE bank_reading_2025", {})
            self._end(writer)

    @precondition(lambda self: any(writer.is_open for writer in self.writers))
    @rule(which=few, is_good=st.sampled_from([True, True, True, False]))
    def end(self, which: int, is_good: bool) -> None:
        writer = [writer for writer in self.writers if writer.is_open][which % sum(w.is_open for w in self.writers)]
        if is_good:
            self._end(writer)
        else:
            writer.end("ROLLBACK")

    def _end(self, writer: Writer) -> None:
        if not writer.is_open:
            return
        wrote = dict(writer.wrote)
        writer.end("COMMIT")
        position = marker.position(SOURCE)
        for key, found in wrote.items():
            self.history[key].append(found)
            self.positions.append((position, key, len(self.history[key]) - 1))

    # ---- relays -------------------------------------------------------------------------------------------------------

    @rule(which=few, times=st.sampled_from([1, 1, 2, 2, 3, 4, 5, 10]))
    def relay(self, which: int, times: int) -> None:
        """Some steps of one of the two; who is none yet takes the lease, if it is to be had."""
        if which % 2 >= len(self.holders):
            held = lease.take(CONTEXT, SOURCE)
            if held:
                self.holders.append(Holder(held, self.network))
        if self.holders:
            holder = self.holders[which % len(self.holders)]
            for _ in range(times):
                if not holder.ended:
                    holder.step()
                    self.look()
        self.holders = [holder for holder in self.holders if not holder.ended]

    @rule(
        which=few,
        what=st.sampled_from(
            ["expired", "expired", "repeated", "repeated", "arrives", "arrives", "delayed", "answer lost", "crash", "end"]
        ),
    )
    def bad_luck(self, which: int, what: str) -> None:
        if what == "expired":  # the holder need not be dead: it may only sleep
            self._expire()
        elif what == "arrives" and self.holders:
            for posting in self.holders[which % len(self.holders)].postings[-1 - which % 2 :]:  # in any order
                posting.arrive()
            self.look()
        elif what in ("delayed", "answer lost"):
            self.network.fate = what
        elif what == "repeated" and self.network.sent:
            self.network.deliver(which % len(self.network.sent))
            self.look()
        elif what in ("crash", "end") and self.holders:
            gone = self.holders.pop(which % len(self.holders))
            if what == "end":
                gone.relay.lease.release()

    def _expire(self) -> None:
        rows("UPDATE strangler_stream SET lease_until = now() - interval '1 second', retry_at = NULL", using=SOURCE)

    # ---- backfill and drift -------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(COLLECTIONS), what=st.sampled_from(["begin", "step", "step", "step", "verify", "verify"]))
    def backfill(self, name: str, what: str) -> None:
        if what == "begin":
            backfill.start(CONTEXT, [name], SOURCE)
        elif what == "step":
            backfill.step(CONTEXT, SOURCE)
        else:
            self.verify()

    def verify(self) -> None:
        assert drift.check(CONTEXT, ["bank.Code"], using=SOURCE, client=self.estate.service, remember=False).differing == []

    # ---- what must hold -----------------------------------------------------------------------------------------------

    def look(self) -> None:
        there = dict(rows("SELECT code, meaning FROM bank_code", using=DESTINATION))
        for key in KEYS:
            later = self.history[key][self.shown[key] :]
            assert there.get(key) in later, f"{key} is {there.get(key)} there after {later[0]}; committed since: {later[1:]}"
            self.shown[key] += later.index(there.get(key))

    @invariant()
    def a_published_marker_is_true(self) -> None:
        """The destination is as the source was at that position, or at a later one."""
        published = value("SELECT marker FROM strangler_stream WHERE name = %s", [CONTEXT], SOURCE)
        for position, key, index in self.positions:
            # None comes more than once: it may have been there before where it is counted, and is again. Other values are unique.
            if position < published and self.shown[key] < index:
                assert self.history[key][self.shown[key]] in self.history[key][index:], f"{key} at marker {published}"
        self.positions = [noted for noted in self.positions if noted[0] >= published]

    def teardown(self) -> None:
        try:
            for writer in self.writers:
                self._end(writer)
            self.holders.clear()

            def is_drained() -> bool:
                self._expire()
                self.estate.relay()
                is_left = backfill.step(CONTEXT, SOURCE)
                return not is_left and not outbox.depth(CONTEXT, SOURCE)

            wait_for(is_drained, "the drain", 10)
            assert not rows("SELECT collection, key, error FROM strangler_quarantine", using=SOURCE)
            self.look()
            for index in reversed(range(len(self.network.sent))):
                self.network.deliver(index)
            self.look()
            self.estate.assert_equal(*COLLECTIONS)
            self.verify()
        finally:
            for writer in self.writers:
                writer.connection.close()


@pytest.fixture
def machine(estate, monkeypatch) -> type[TwoRelays]:
    monkeypatch.setattr("strangler.sync.client.ServiceClient", lambda context: Direct())  # the backfill verifies what it did
    monkeypatch.setattr("strangler.sync.relay.LIMIT", SMALL)
    return type("Machine", (TwoRelays,), {"estate": estate})


@pytest.mark.timeout(3600)
def test_p06_p08_p13_p23_two_relays_step_by_step(machine) -> None:
    run_state_machine_as_test(machine, settings=FAIR)


def older_rows_are_sent_again(model: TwoRelays) -> None:
    for _ in range(2):
        model.write(which=0, what="put", key="a", number=0)
        model.end(which=0, is_good=True)
        model.relay(which=0, times=ROUND)
    model.bad_luck(which=0, what="repeated")


def a_commit_comes_between_reading_and_deleting(model: TwoRelays) -> None:
    model.write(which=0, what="put", key="a", number=0)
    model.write(which=1, what="put", key="b", number=0)
    model.end(which=1, is_good=True)
    model.relay(which=0, times=POSTED)
    model.end(which=0, is_good=True)
    model.relay(which=0, times=ROUND - POSTED)


def the_successor_overtakes_one_that_has_drawn_its_marker(model: TwoRelays) -> None:
    model.write(which=0, what="put", key="a", number=0)
    model.end(which=0, is_good=True)
    model.relay(which=0, times=DRAWN)
    model.bad_luck(which=0, what="expired")
    model.relay(which=1, times=ROUND)
    model.write(which=0, what="put", key="a", number=0)
    model.end(which=0, is_good=True)
    model.relay(which=0, times=ROUND - DRAWN)


DRAWN, POSTED, ROUND = 1, 4, 5
STORIES = {
    "version": older_rows_are_sent_again,
    "ids": a_commit_comes_between_reading_and_deleting,
    "token": the_successor_overtakes_one_that_has_drawn_its_marker,
}


@pytest.mark.parametrize("rule", STORIES)
def test_the_model_can_fail(machine, rule: str) -> None:
    """Of each story it knows how it must end; without the rule it ends otherwise."""
    model = machine()
    STORIES[rule](model)
    model.teardown()
    with pytest.raises(AssertionError):
        told_without(machine(), rule)


def told_without(model: TwoRelays, rule: str) -> None:
    try:
        with taken_out(rule):
            STORIES[rule](model)
    finally:
        model.teardown()


if LONG:  # minutes each

    @pytest.mark.timeout(3600)
    @pytest.mark.parametrize("rule", STORIES)
    def test_the_model_finds_the_story_by_itself(machine, rule: str) -> None:
        hunt = settings(FAIR, max_examples=5000, derandomize=True, database=None, phases=[Phase.generate])
        with taken_out(rule), pytest.raises(AssertionError):
            run_state_machine_as_test(machine, settings=hunt)


def test_a_row_that_came_and_went_between_two_rounds_is_shown_as_it_is_now(machine) -> None:
    """It is absent at the destination, as before it came; the marker speaks of what it is since it went."""
    model = machine()
    try:
        for what in ("put", "delete"):
            model.write(which=0, what=what, key="c", number=0)
            model.end(which=0, is_good=True)
        before = value("SELECT marker FROM strangler_stream WHERE name = %s", [CONTEXT], SOURCE)
        for _ in range(40):
            model.relay(which=0, times=1)
        assert value("SELECT marker FROM strangler_stream WHERE name = %s", [CONTEXT], SOURCE) > before
        model.a_published_marker_is_true()
    finally:
        model.teardown()
