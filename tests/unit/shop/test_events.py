import json
import logging
import sys

from monolith.events import EventFormatter


def _line(**more: object) -> dict[str, object]:
    record = logging.LogRecord("shop", logging.INFO, __file__, 1, "orders.placed", None, None)
    vars(record).update(more)
    return dict(json.loads(EventFormatter().format(record)))


def test_an_event_is_one_line_with_its_fields() -> None:
    line = _line(order="S-1", lines=2)
    assert (line["event"], line["level"], line["order"], line["lines"]) == ("orders.placed", "info", "S-1", 2)
    assert str(line["at"]).endswith("Z")


def test_a_failure_carries_its_traceback_in_the_same_line() -> None:
    try:
        raise ValueError("rubbish")
    except ValueError:
        line = _line(exc_info=sys.exc_info())
    assert "ValueError: rubbish" in str(line["traceback"])
