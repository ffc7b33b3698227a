"""Python's clients: requests, aiohttp, http.client, urllib; kept connections, streams, generators, cookies."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import requests

from tests.integration.proxy.harness import Application, Proxy, running, table, until
from tests.integration.proxy.shop import EVENTS, PAGE, events_one_by_one, open_shop

PIECES = [bytes([number]) * 10_000 for number in range(50)]
DIGEST = hashlib.sha256(b"".join(PIECES)).hexdigest()


@pytest.fixture(scope="module")
def shop() -> Iterator[Application]:
    application = open_shop()
    yield application
    application.stop()


@pytest.fixture(scope="module")
def proxy(shop: Application, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    directory = tmp_path_factory.mktemp("proxy")
    (directory / "table.json").write_text(json.dumps(table(shop)))
    with running(directory, "--table", str(directory / "table.json")) as one:
        yield one


@pytest.fixture
def base(proxy: Proxy) -> str:
    return f"http://127.0.0.1:{proxy.port}"


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as one:
        one.trust_env = False
        yield one


# ---- requests -----------------------------------------------------------------------------------------------------------


def test_requests_keeps_one_connection_for_all_methods(base: str, session: requests.Session, proxy: Proxy) -> None:
    for _ in range(3):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            assert session.request(method, f"{base}/{method}", data=b"x", timeout=60).json()["method"] == method
        assert session.head(f"{base}/page", timeout=60).headers["Content-Length"] == "10000"
    assert proxy.metric("clients") == 1


def test_requests_sends_a_generator_in_chunks(base: str, session: requests.Session) -> None:
    said = session.post(f"{base}/upload", data=iter(PIECES), timeout=60).json()
    assert (said["chunked"], said["digest"]) == ("chunked", DIGEST)


def test_requests_reads_a_stream(base: str, session: requests.Session) -> None:
    with session.get(f"{base}/chunked", stream=True, timeout=60) as answer:
        assert b"".join(answer.iter_content(777)) == PAGE
    assert session.get(f"{base}/zipped", timeout=60).content == PAGE


def test_requests_keeps_several_cookies(base: str, session: requests.Session) -> None:
    assert session.get(f"{base}/cookies", timeout=60).cookies.get_dict() == {"a": "1", "b": "2", "c": "3"}
    assert set(session.get(f"{base}/", timeout=60).json()["cookie"].split("; ")) == {"a=1", "b=2", "c=3"}


def test_requests_sees_each_event_at_once(base: str, session: requests.Session, shop: Application) -> None:
    """The next event is made only when the one before it was seen."""
    go = threading.Semaphore(1)
    shop.streaming = events_one_by_one(go)
    try:
        seen = []
        with session.get(f"{base}/events", stream=True, timeout=60) as answer:
            for line in answer.iter_lines(chunk_size=1):
                if line.startswith(b"data: "):
                    seen.append(line)
                    go.release()
        assert seen == [event.splitlines()[1] for event in EVENTS]
    finally:
        shop.streaming = None


# ---- aiohttp ------------------------------------------------------------------------------------------------------------


def test_aiohttp_asks_for_many_things_at_once(base: str) -> None:
    async def ask() -> list[str]:
        async with aiohttp.ClientSession() as session:

            async def one(number: int) -> str:
                async with session.get(f"{base}/{number}") as answer:
                    return str((await answer.json())["target"])

            return await asyncio.gather(*(one(number) for number in range(100)))

    assert asyncio.run(ask()) == [f"/{number}" for number in range(100)]


@pytest.mark.parametrize("waits", [False, True])
def test_aiohttp_streams_both_ways(base: str, waits: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in PIECES:
            yield piece

    async def ask() -> None:
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{base}/upload", data=pieces(), expect100=waits) as answer:
                said = await answer.json()
                assert (said["digest"], said["chunked"]) == (DIGEST, "chunked")
            async with session.get(f"{base}/to-the-end") as answer:
                assert b"".join([data async for data in answer.content.iter_chunked(100)]) == PAGE

    asyncio.run(ask())


# ---- the standard library -------------------------------------------------------------------------------------------------


def test_http_client_keeps_its_connection(proxy: Proxy) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=60)
    try:
        for _ in range(3):
            connection.request("GET", "/page")
            answer = connection.getresponse()
            assert (answer.version, answer.read()) == (11, PAGE)
            connection.request("POST", "/upload", iter(PIECES), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
            assert json.loads(connection.getresponse().read())["digest"] == DIGEST
            connection.request("HEAD", "/page")
            assert connection.getresponse().read() == b""
    finally:
        connection.close()
    until(lambda: proxy.metric("clients") == 0, "the connection to end")


def test_urllib_follows_a_redirect(base: str) -> None:
    with urllib.request.urlopen(f"{base}/moved", timeout=60) as answer:
        assert answer.read() == PAGE
