"""What differs only until the watermark has passed is counted apart; what differs for good is not taken for that."""

from __future__ import annotations

import threading

from tests.integration.control.parity.conftest import Shadowed, as_json
from tests.integration.proxy.harness import PATIENCE, Asked

PATH, ENDPOINT = "/api/payments/17/", "GET /api/payments/<int:payment_id>/"
OLD, NEW = as_json({"state": "captured"}), as_json({"state": "pending"})


def test_p29_a_row_that_arrives_with_the_watermark_was_in_flight(shadowed: Shadowed) -> None:
    shadowed.unsettle()
    arrived = threading.Event()
    shadowed.old = lambda asked: OLD
    shadowed.service.handler = lambda asked: OLD if arrived.is_set() else NEW
    shadowed.ask(PATH)
    shadowed.questioned()
    assert len(shadowed.service.asked) == 1
    arrived.set()
    shadowed.mark()
    found = shadowed.counted(1)[ENDPOINT]
    assert (found.in_flight, found.samples, dict(found.unjudged)) == (1, 0, {})


def test_p29_what_still_differs_behind_the_watermark_is_different(shadowed: Shadowed) -> None:
    shadowed.unsettle()
    shadowed.old, shadowed.service.handler = (lambda asked: OLD), (lambda asked: NEW)
    shadowed.ask(PATH)
    shadowed.questioned()
    shadowed.mark()
    found = shadowed.counted(1)[ENDPOINT]
    assert dict(found.outcomes.samples) == {("body $.state",): 1}
    assert len(shadowed.service.asked) == 2


def test_a_watermark_that_does_not_come_leaves_it_unjudged(shadowed: Shadowed) -> None:
    shadowed.unsettle()
    shadowed.old, shadowed.service.handler = (lambda asked: OLD), (lambda asked: NEW)
    shadowed.ask(PATH)
    found = shadowed.counted(1)[ENDPOINT]
    assert (found.in_flight, found.samples, dict(found.unjudged)) == (0, 0, {"stale": 1})


def test_p29_a_round_that_nobody_heard_of_yet_is_waited_for_though_no_pointer_waits(shadowed: Shadowed) -> None:
    """The relay has deleted the pointers and not yet published its marker."""
    shadowed.arrived = shadowed.position = shadowed.marker + 1
    arrived = threading.Event()
    shadowed.old = lambda asked: OLD
    shadowed.service.handler = lambda asked: OLD if arrived.is_set() else NEW
    shadowed.ask(PATH)
    shadowed.questioned()
    arrived.set()
    shadowed.mark()
    assert shadowed.counted(1)[ENDPOINT].in_flight == 1


def test_p29_where_nothing_is_in_flight_a_fault_that_comes_and_goes_is_one(shadowed: Shadowed) -> None:
    """Asked again it would be gone, and would be taken for a row in flight."""
    answers = [NEW, OLD, OLD]
    shadowed.old, shadowed.service.handler = (lambda asked: OLD), (lambda asked: answers.pop(0))
    shadowed.ask(PATH)
    found = shadowed.counted(1)[ENDPOINT]
    assert dict(found.outcomes.samples) == {("body $.state",): 1}
    assert len(shadowed.service.asked) == 1


def test_an_error_of_the_service_is_never_in_flight(shadowed: Shadowed) -> None:
    shadowed.unsettle()
    answers = [as_json({}, 500), OLD]
    shadowed.old, shadowed.service.handler = (lambda asked: OLD), (lambda asked: answers.pop(0))
    shadowed.ask(PATH)
    shadowed.questioned()
    shadowed.mark()
    found = shadowed.counted(1)[ENDPOINT]
    assert (dict(found.outcomes.samples), found.outcomes.new_errors) == ({("status",): 1}, 1)


def test_an_answer_never_waits_for_what_comes_after_it(shadowed: Shadowed, settings) -> None:
    """Neither for the service nor for the owner's second answer, nor for the question to the monolith."""
    shadowed.declare(settings, noise=1.0)
    go, answers = threading.Event(), [OLD]

    def held(asked: Asked) -> bytes:
        assert go.wait(PATIENCE)
        return NEW

    shadowed.old = lambda asked: answers.pop() if answers else held(asked)
    shadowed.service.handler = held
    shadowed.ask(PATH)
    shadowed.service.wait(1)
    shadowed.monolith.wait(2)
    go.set()
    found = shadowed.counted(1)[ENDPOINT]
    assert (dict(found.outcomes.samples), dict(found.outcomes.noise)) == ({(): 1}, {("body $.state",): 1})
