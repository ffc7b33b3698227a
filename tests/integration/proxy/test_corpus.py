"""Every case of ``tests/corpus`` against one proxy process, in both directions."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.corpus import cases, outcome
from tests.corpus.cases import RequestCase, ResponseCase
from tests.corpus.recorder import LAST
from tests.corpus.sockets import Server, converse
from tests.corpus.wire import SNAPSHOT
from tests.integration.proxy.harness import Proxy, running

REQUESTS, RESPONSES = cases.requests(), cases.responses()


@pytest.fixture(scope="module")
def application() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(application: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("corpus")
    (directory / "table.json").write_text(json.dumps(SNAPSHOT | {"default": {"targets": [application.url]}}))
    with running(directory, "--table", str(directory / "table.json")) as proxy:
        yield proxy
        assert "proxy.unexpected" not in proxy.log.read_text()


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.id)
def test_request(case: RequestCase, proxy: Proxy, application: Server) -> None:
    application.recorder.reset()
    received = converse(proxy.port, case.raw if case.half else case.raw + LAST, half=case.half)
    outcome.judge_request(case, outcome.asked(application.recorder, received, case.raw))


@pytest.mark.parametrize("case", RESPONSES, ids=lambda case: case.id)
def test_response(case: ResponseCase, proxy: Proxy, application: Server) -> None:
    application.recorder.reset(case.raw, case.ends)
    received = converse(proxy.port, case.request + LAST)
    outcome.judge_response(case, application.recorder, received)


def test_there_are_hundreds_of_each() -> None:
    assert len(REQUESTS) >= 300
    assert len(RESPONSES) >= 100
